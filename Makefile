# xsend. The two commands that matter: `make demo` and `make test`.
GO      ?= go
BIN     := bin/xsend
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TMP     := $(or $(TMPDIR),/tmp)

export FILE # through the environment: a name may hold anything

.PHONY: all build demo test check generate mutants fuzz scripts bench bench-wire soak golden hash-arm64 vm-smoke clean

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/xsend

# A file leaves UMEM over AF_XDP and reaches a kernel TCP receiver whole. FILE=/any/file sends that one.
demo: build
	$(SUDO) $(BIN) demo $(if $(FILE),--file "$$FILE")

# Everything that passes without special hardware; without root the veth tests skip by name.
test:
	$(GO) test -timeout 30m ./...

# What a commit must pass.
check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt: the files above'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	$(GO) test ./internal/policy
	$(GO) test -race -short -timeout 15m ./umem ./tcp ./internal/wire ./dataplane/... ./internal/transfer
	$(GO) test -race -short ./internal/simnet -simnet.seeds 50
	GOARCH=arm64 $(GO) build ./...
	GOARCH=arm64 $(GO) vet ./...
	$(MAKE) generate
	@git diff --exit-code --stat -- '*_bpfe[lb].go' '*_bpfe[lb].o' || { echo 'make generate leaves a diff'; exit 1; }

# Needs clang. Leaves no diff in a clean checkout.
generate:
	@if command -v clang >/dev/null; then $(GO) generate ./...; else echo 'generate: SKIP: no clang (apt-get install clang)'; fi

# Changes the code in one place at a time and asks the tests whether they see it. Goes on where it was interrupted.
mutants:
	$(GO) run ./internal/mutants $(MUTANTS)

# The engine with each of some sixty mistakes, and which scripts fail: writes docs/scripts.md. With VIOLATIONS only those
# whose names match are played, and their rows are printed.
VIOLATIONS ?= .
scripts:
	$(GO) test ./tcp -run '^TestViolations$$' -v -count=1 -tcp.violations '$(VIOLATIONS)'

# Every fuzz target for FUZZTIME, or those whose names match FUZZ.
FUZZTIME ?= 10s
FUZZ     ?= .
fuzz:
	@for pkg in $$(grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		names=$$($(GO) test -list '^Fuzz' $$pkg) || { echo "$$names"; exit 1; }; \
		for name in $$(echo "$$names" | grep -E '^Fuzz' | grep -E '$(FUZZ)'); do \
			echo "$$pkg $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; \
		done; \
	done

# Goodput of xsend, of the kernel's sendfile() and of the raw dataplane, paired in one run on veth. Root.
bench: build
	$(SUDO) $(BIN) bench

# Runs that change a NIC's settings, killed at any instant (root); then the simulator with many seeds, in the background if you like:
# make soak >soak.log 2>&1 &. Each line says how to go on.
FIRST ?= 1
SEEDS ?= 10000
KILLS ?= 200
SCHEDULES ?= 1000000
soak:
	$(GO) test ./hw/settings -run '^TestKilledAnywhere$$' -v -count=1 -timeout 0 -settings.kills $(KILLS)
	$(GO) test ./internal/simnet -run '^(TestBlindAttacker|TestSchedules|TestSoak)$$' -v -count=1 -timeout 0 \
		-simnet.schedules $(SCHEDULES) -simnet.soak -simnet.forged 1000000 -simnet.first $(FIRST) -simnet.seeds $(SEEDS)

# What a commit that means to change what is sent when writes anew: traces and goodput.
golden:
	$(GO) test ./internal/simnet -run 'Golden|Goodput' -count=1 -simnet.update

# The traces of the simulator on another CPU, which fuses floats where amd64 does not.
hash-arm64:
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -exec qemu-aarch64-static -count=1 -v -run '^TestGoldenTraces$$' ./internal/simnet

# xsend and the kernel's TCP over losses, RTTs and congestion controls, on the lab's wire. Root; about 80 minutes, and goes on
# where it was interrupted. FLAGS=--coarse takes 10 minutes; FLAGS=--refine looks at weak cells more closely.
bench-wire: build
	$(SUDO) $(BIN) bench headroom
	$(SUDO) $(BIN) bench wire $(if $(findstring --coarse,$(FLAGS)),,--state bin/bench-wire.jsonl) $(FLAGS)

vm-smoke:
	./vm/smoke.sh

clean:
	rm -rf bin
