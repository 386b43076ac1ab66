#!/bin/bash
# smoke.sh: the program in zero-copy on an emulated igb, and in copy mode on it and a e1000, the wire's capture checked from
# outside.
# Exit 0: passed, or "SKIP vm-smoke: reason" where QEMU or the kernel can't be had. 1: failed.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${XSEND_VM_OUT:-${XSEND_VM_CACHE:-$HOME/.cache/xsend-vm}/smoke}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# skip_or_fail CODE WHAT: 69 means that this machine can't, anything else that it went wrong.
skip_or_fail() {
	if [ "$1" = 69 ]; then
		echo "SKIP vm-smoke: $(tail -n 1 "$work/why")"
		exit 0
	fi
	cat "$work/why" >&2
	echo "FAIL vm-smoke: $2" >&2
	exit 1
}

# guest_failed WHAT: the end of what the guest said, and where the rest is.
guest_failed() {
	tail -n 40 "$out/console.log" >&2
	echo "FAIL vm-smoke: $1; everything the guest left is in $out" >&2
	exit 1
}

kernel=$("$here/fetch.sh" 2>"$work/why") || skip_or_fail $? "fetch.sh"
binary=${XSEND_VM_BINARY:-$work/xsend}
if [ -z "${XSEND_VM_BINARY:-}" ]; then
	(cd "$here/.." && CGO_ENABLED=0 GOARCH=amd64 go build -o "$binary" ./cmd/xsend) 2>"$work/why" || skip_or_fail $? "go build"
fi
(cd "$here/.." && CGO_ENABLED=0 GOARCH=amd64 go test -c -o "$work/sumprobe.test" ./hw/sumprobe) 2>"$work/why" || skip_or_fail $? "go test -c"
"$here/initramfs.sh" "$kernel" "$work/initramfs" "$here/guest/smoke.sh" "$binary" "$work/sumprobe.test" 2>"$work/why" ||
	skip_or_fail $? "initramfs.sh"

rm -rf "$out"
"$here/run.sh" "$kernel" "$work/initramfs" "$out" igb igb e1000 2>"$work/why" ||
	guest_failed "the scenario ended with $? $(cat "$work/why")"
(cd "$here/.." && go run ./vm/verdict "$out") || guest_failed "the verdict on the runs"
echo "PASS vm-smoke: kernel $(cat "$kernel/version"), igb zero-copy, igb and e1000 copy mode, files in $out"
