package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// TestStoppedReceiver: the receiver is stopped, as by Ctrl-Z, for longer than --hold-time. What it has not ACKed is copied, its
// frames are handed back and overwritten at once, and when it goes on it gets the right bytes.
func TestStoppedReceiver(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	const size = 20_000_000
	path, sum := file(t, size)
	s, to := r.sink("--once", "--rcvbuf", "64K")
	p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--rewrite", "-b", "400M", "--hold-time", "0.3", to, path)
	r.passes(1_000_000)
	s.signal(syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond) // that is what is tested: it stands still for so long
	s.signal(syscall.SIGCONT)
	p.want(0)
	received(t, s, 1, size, sum)
	rep := p.report()
	for name, least := range map[string]float64{
		"hold.demotions": 1, "bytes_demoted": 1, "hold.arena_peak": 4096, "hold.arena_size": 64 << 20, "hold.arena_copied": 1,
		"streams.0.demotions": 1, "streams.0.bytes_demoted": 1, "streams.0.probes": 1,
	} {
		if got := rep.number(t, name); got < least {
			t.Errorf("%s is %.0f, want %.0f at least", name, got, least)
		}
	}
	if released, demoted := rep.number(t, "bytes_released"), rep.number(t, "bytes_demoted"); released+demoted != size ||
		rep.number(t, "hold.arena_acked") != rep.number(t, "hold.arena_copied") || rep.number(t, "hold.resets") != 0 ||
		rep.number(t, "rewritten_in_flight") != 0 || rep.number(t, "frames.leaked") != 0 || rep.at("sha256") != sum {
		t.Errorf("%.0f bytes released, %.0f demoted of %d; %v", released, demoted, size, rep.at("hold"))
	}
	sent := 0.0
	for i := range rep["intervals"].([]any) {
		sent += rep["intervals"].([]any)[i].(map[string]any)["bytes"].(float64)
	}
	if sent != size {
		t.Errorf("the intervals add up to %.0f of %d bytes", sent, size)
	}
	r.clean()
}

// TestHoldLimits: each limit ends a run whose receiver stands still, with what it was and what to do about it.
func TestHoldLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		texts []string
	}{
		{"no arena", []string{"--arena", "0", "--hold-time", "0.3"}, []string{"hold limit", "there is no arena", "--arena"}},
		{"small arena", []string{"--arena", "64K", "--hold-time", "0.3"}, []string{"hold limit", "65536 bytes is full", "a larger one"}},
		{"abort", []string{"--hold-policy", "abort", "--hold-time", "300ms"}, []string{"hold limit", "the limit is 0.3 s", "--hold-policy"}},
		{"second limit", []string{"--hold-time", "0.3", "--hold-abort", "1"}, []string{"hold limit", "the limit is 1.0 s", "--hold-abort"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			s, to := r.sink("--once", "--rcvbuf", "64K")
			p := r.start(lab.Sender, nil, append(append([]string{"send", "--json", "--pattern", "-t", "60"}, c.flags...), to)...)
			r.passes(1_000_000)
			s.signal(syscall.SIGSTOP)
			p.want(1, c.texts...)
			s.signal(syscall.SIGCONT)
			if rep := p.report(); rep.number(t, "hold.resets") != 1 || rep.number(t, "frames.leaked") != 0 || rep.number(t, "bytes_aborted")+rep.number(t, "bytes_demoted") == 0 {
				t.Errorf("%v", rep)
			}
			s.wait()
			r.clean()
		})
	}
}
