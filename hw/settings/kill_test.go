package settings

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// steps counts those of a whole run on the veth.
func (r *rig) steps(guardian bool) int {
	r.t.Helper()
	c := r.start(job{Change: change(r.t, thrice...), Guardian: guardian, Steps: true})
	lines, err := c.rest()
	if err != nil || len(lines) < 20 || !strings.HasPrefix(lines[len(lines)-1], "restored: exact") {
		r.t.Fatalf("%q, %v: %s", lines, err, c.complaint.String())
	}
	return len(lines) - 1
}

// A process that is killed at any step of apply and restore leaves everything as it was: its guardian sees to that.
func TestKilledAtEachStep(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	n := r.steps(true)
	if n < 20 {
		t.Fatalf("only %d steps", n)
	}
	t.Logf("%d steps", n)
	for at := 1; at <= n; at++ {
		c := r.start(job{Change: change(t, thrice...), Guardian: true, Die: at})
		c.killed()
		r.free()
		r.recover() // what was killed between the journal and the guardian has changed nothing
		r.same(before, fmt.Sprintf("killed at step %d", at))
	}
}

// free waits until neither the run nor its guardian holds the lock.
func (r *rig) free() {
	r.t.Helper()
	within(r.t, guardianPatience, "the guardian's end", func() bool {
		for _, name := range r.left() {
			if !strings.HasSuffix(name, ".lock") {
				continue
			}
			l, err := tryLock(r.state + "/" + name)
			if err != nil {
				r.t.Fatal(err)
			}
			if l == nil {
				return false
			}
			_ = l.release()
		}
		return true
	})
}

// same fails the test unless everything is as it was, and no file is left.
func (r *rig) same(before Snapshot, what string) {
	r.t.Helper()
	if diff := before.Diff(r.snapshot()); len(diff) > 0 {
		r.t.Errorf("%s: %v", what, diff)
	}
	if left := r.left(); slices.ContainsFunc(left, func(s string) bool { return !strings.HasSuffix(s, ".part") }) {
		r.t.Errorf("%s: left behind: %v", what, left)
	}
}

// Where the guardian is killed too, "xsend restore" does it. The control: without it the changes are there, at most of the steps.
func TestKilledWithItsGuardian(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	n := r.steps(true)
	changed := 0
	for at := 1; at <= n; at++ {
		c := r.start(job{Change: change(t, thrice...), Guardian: true, Die: at, Orphan: true})
		c.killed()
		r.free()
		if len(before.Diff(r.snapshot())) > 0 {
			changed++
			next := r.start(job{Change: change(t, "mtu", "1300")})
			if _, err := next.rest(); err == nil || !strings.Contains(next.complaint.String(), `"xsend restore veth-a"`) {
				t.Errorf("step %d: a run on what is left over: %v: %s", at, err, next.complaint.String())
			}
		}
		r.recover()
		r.same(before, fmt.Sprintf("killed at step %d", at))
	}
	if changed < n/3 {
		t.Errorf("only at %d of %d steps had anything changed: the test shows little", changed, n)
	}
}

// A guardian that is killed at any of its own steps leaves a journal that a restore goes on from.
func TestGuardianKilledAtEachStep(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	for at := 1; ; at++ {
		c := r.start(job{Change: change(t, thrice...), Guardian: true, Die: 13}, guardDieEnv+"="+strconv.Itoa(at))
		c.killed()
		r.free()
		whole := strings.Contains(c.complaint.String(), "veth-a restored: exact")
		r.recover()
		r.same(before, fmt.Sprintf("guardian killed at step %d", at))
		if whole {
			if at < 8 {
				t.Errorf("the guardian has only %d steps", at-1)
			}
			return
		}
		if at > 100 {
			t.Fatal("the guardian never gets to its end")
		}
	}
}

// What ends a run from its terminal, or from a service manager, does not end its guardian, which is in a session of its own.
func TestGuardianOutlivesSignals(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	c := r.start(job{Change: change(t, thrice...), Guardian: true, Hold: true})
	if said := c.line(); said != "set" {
		t.Fatal(said, c.complaint.String())
	}
	pids := childrenOf(c.cmd.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("children %v, want one", pids)
	}
	within(t, guardianPatience, "ignoring signals", func() bool { return ignores(t, pids[0], unix.SIGTERM) })
	if sid, err := unix.Getsid(pids[0]); err != nil || sid != pids[0] {
		t.Errorf("the guardian is in session %d, %v", sid, err)
	}
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if err := unix.Kill(pids[0], s); err != nil {
			t.Error(err)
		}
	}
	_ = c.cmd.Process.Kill()
	c.killed()
	if !strings.Contains(c.complaint.String(), "veth-a restored: exact") {
		t.Errorf("said %s", c.complaint.String())
	}
	r.same(before, "afterwards")
}

// ignores reads the kernel's set of ignored signals.
func ignores(t *testing.T, pid int, s unix.Signal) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "SigIgn:")
	set, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	return err == nil && set>>(s-1)&1 != 0
}

// The negative control: a guardian that leaves a group out says so, keeps the journal, and the comparison sees it.
func TestGuardianThatSkips(t *testing.T) {
	for _, g := range []Group{Feature, Channels, MTU} {
		t.Run(string(g), func(t *testing.T) {
			r := newRig(t)
			before := r.snapshot()
			c := r.start(job{Change: change(t, thrice...), Guardian: true, Hold: true}, guardSkip+"="+string(g))
			if said := c.line(); said != "set" {
				t.Fatal(said, c.complaint.String())
			}
			_ = c.cmd.Process.Kill()
			c.killed()
			if !strings.Contains(c.complaint.String(), "not restored") || len(r.left()) == 0 {
				t.Errorf("left %v, said %s", r.left(), c.complaint.String())
			}
			if len(before.Diff(r.snapshot())) == 0 {
				t.Error("the comparison sees nothing")
			}
			r.recover()
			r.same(before, "restored")
		})
	}
}

// A run that comes while a guardian is restoring waits for it, and then takes its snapshot of what was restored.
func TestRunAfterAKilledOne(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	for range 5 {
		c := r.start(job{Change: change(t, thrice...), Guardian: true, Hold: true})
		if said := c.line(); said != "set" {
			t.Fatal(said, c.complaint.String())
		}
		if second := r.start(job{Change: change(t, thrice...)}); true {
			if _, err := second.rest(); err == nil || !strings.Contains(second.complaint.String(), fmt.Sprintf("process %d holds it", c.cmd.Process.Pid)) {
				t.Errorf("a second run: %v: %s", err, second.complaint.String())
			}
		}
		if err := c.cmd.Process.Kill(); err != nil { // a zombie, until it is waited for
			t.Fatal(err)
		}
		next := r.start(job{Change: change(t, thrice...), Guardian: true})
		if lines, err := next.rest(); err != nil {
			t.Errorf("the next run: %q, %v: %s", lines, err, next.complaint.String())
		}
		c.killed()
		r.same(before, "afterwards")
	}
}

// Waiting for a guardian that never ends has an end.
func TestGuardianThatHangs(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "mtu", "1400"))
	r := begin(t, cfg)
	if err := r.lock.sign("guardian"); err != nil {
		t.Fatal(err)
	}
	cfg.patience.guardian = 50 * time.Millisecond
	start := time.Now()
	_, err := Begin(t.Context(), cfg)
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("the guardian of a run that was killed, process %d, is still restoring after 50ms", os.Getpid())) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

// The soak: killed at any instant, from outside.
func TestKilledAnywhere(t *testing.T) {
	if *kills == 0 {
		t.Skip("needs -settings.kills N")
	}
	r := newRig(t)
	before := r.snapshot()
	random := rand.New(rand.NewSource(1))
	guarded, finished := 0, 0
	for i := range *kills {
		c := r.start(job{Change: change(t, thrice...), Guardian: true})
		time.Sleep(time.Duration(random.Intn(60_000)) * time.Microsecond)
		_ = c.cmd.Process.Kill()
		if _, err := c.rest(); err == nil {
			finished++
		}
		r.free()
		if strings.Contains(c.complaint.String(), "veth-a restored: exact") {
			guarded++
		}
		r.recover()
		r.same(before, fmt.Sprintf("kill %d", i))
		if t.Failed() {
			return
		}
	}
	t.Logf("of %d runs guardians restored %d, %d had finished before", *kills, guarded, finished)
	if guarded < *kills/10 {
		t.Error("too few were killed while something was changed: the soak shows little")
	}
}
