package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a suite may need of the CPU as the code stands, and what a mutant may need: a
// multiple of it, or a few seconds. Whoever needs more goes on for ever, and is killed in
// both senses.
const (
	suiteMost   = 6 * time.Second
	cpuMultiple = 3
	cpuLeast    = 2 * time.Second
	idleMost    = 15 * time.Second // without any CPU: it waits for what will never be
	wallMost    = 10 * time.Minute
	memoryMost  = 8 << 30 // bytes of address space
)

// bench compiles and runs tests with one file changed.
type bench struct {
	root    string
	scratch string // a directory for what is compiled
	idle    time.Duration
}

// errNotCompiling is of a mutant.
var errNotCompiling = errors.New("does not compile")

var compileError = regexp.MustCompile(`(?m)^\S+\.go:\d+:\d+: `)

// compile makes the test binary of a package with the text in place of the file.
func (b *bench) compile(ctx context.Context, pkg, file string, text []byte) (string, error) {
	changed, overlay := filepath.Join(b.scratch, "changed.go"), filepath.Join(b.scratch, "overlay.json")
	binary := filepath.Join(b.scratch, strings.ReplaceAll(pkg, "/", "-")+".test")
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary}
	if file != "" {
		list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(b.root, file): changed}})
		if err := errors.Join(err, os.WriteFile(changed, text, 0o666), os.WriteFile(overlay, list, 0o666)); err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return binary, nil
	case file != "" && compileError.Match(out):
		return "", fmt.Errorf("%w: %s", errNotCompiling, out)
	}
	return "", fmt.Errorf("go test -c ./%s: %w\n%s", pkg, err, out)
}

// outcome is how a test binary ended.
type outcome struct {
	passed bool
	cpu    time.Duration
	by     string // the test that failed, or what else ended it
	output []byte
}

// try runs a test binary within limits, as the mutant that is chosen; 0 is none.
func (b *bench) try(ctx context.Context, binary string, s suite, chosen int, cpu time.Duration) (outcome, error) {
	wall, cancel := context.WithTimeout(ctx, wallMost)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(wall, binary, append([]string{"-test.failfast"}, s.args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join(b.root, s.pkg), &out, &out
	cmd.Env = append(append(os.Environ(), s.env...), chooser+"="+strconv.Itoa(chosen))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children too
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	if err := limit(cmd.Process.Pid, cpu); err != nil {
		_ = cmd.Cancel()
		return outcome{}, errors.Join(err, cmd.Wait())
	}
	go watch(wall, cancel, cmd.Process.Pid, b.idle)
	err := cmd.Wait()
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	o := outcome{passed: err == nil, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), output: out.Bytes()}
	if bytes.Contains(o.output, []byte("warning: no tests to run")) {
		return o, fmt.Errorf("%s %q: no tests to run", s.pkg, s.args)
	}
	if !o.passed {
		o.by = killer(o.output)
	}
	return o, nil
}

// watch ends a process that uses no CPU any more. On a machine that is busy with other
// things time alone says nothing.
func watch(ctx context.Context, end func(), pid int, most time.Duration) {
	tick := time.NewTicker(most / 10)
	defer tick.Stop()
	used, idle := -1, 0
	for idle < 10 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := ticksOf(pid); now != used {
			used, idle = now, 0
		} else {
			idle++
		}
	}
	end()
}

// ticksOf is the CPU that a process has used, in ticks of the clock.
func ticksOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(text), ") ") // a name may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return -1
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// limit bounds a process that just began; one that is over already needs no limits.
func limit(pid int, cpu time.Duration) error {
	seconds := uint64((cpu + time.Second - 1) / time.Second)
	for what, most := range map[int]uint64{unix.RLIMIT_CPU: seconds, unix.RLIMIT_AS: memoryMost} {
		if err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("limit the tests: %w", err)
		}
	}
	return nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// byTime is what killed a mutant that went on for ever.
const byTime = "time"

// killer is the test that failed. A process that was killed names none.
func killer(output []byte) string {
	if m := failed.FindSubmatch(output); m != nil {
		return string(m[1])
	}
	for _, sign := range []string{"panic", "fatal error"} {
		if bytes.Contains(output, []byte(sign+": ")) {
			return sign
		}
	}
	return byTime
}

// baseline is what a suite needs as the code stands. It must pass, and soon.
func (b *bench) baseline(ctx context.Context, s suite) (time.Duration, error) {
	binary, err := b.compile(ctx, s.pkg, "", nil)
	if err != nil {
		return 0, err
	}
	o, err := b.try(ctx, binary, s, 0, 10*suiteMost)
	switch {
	case err != nil:
		return 0, err
	case !o.passed:
		return 0, fmt.Errorf("the tests of %s fail as the code stands:\n%s", s.pkg, o.output)
	case o.cpu > suiteMost:
		return 0, fmt.Errorf("the tests of %s need %v of CPU, the most is %v: %q", s.pkg, o.cpu, suiteMost, s.args)
	}
	return o.cpu, nil
}
