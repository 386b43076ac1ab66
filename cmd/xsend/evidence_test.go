package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// TestAuditFindsAWrongMode: a writer that believes a wrong mode is named, and the run fails because of it, not because of the mode.
func TestAuditFindsAWrongMode(t *testing.T) {
	for _, sg := range []string{"off", "on"} {
		for _, mode := range []string{"completion", "submit"} {
			t.Run(mode+"/sg "+sg, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Config{Loss: 2, LossSeed: 7})
				_, to := r.sink("--once")
				// A few frames only, so that each is handed back and rewritten before what was lost of it is sent again.
				p := r.start(lab.Sender, nil, "send", "--json", "--audit", "--rewrite", "--release", mode, "--sg", sg, "--pattern", "-n", "20M", "--frames", "1300", to)
				p.want(1, "payload changed after it was committed: frame ", "before a retransmission", to)
				rep := p.report()
				if rep.at("exit_code") != 1.0 || rep.at("audit.changed.when") != "a retransmission" || rep.at("audit.changed.remote") != to || rep.number(t, "audit.changed.bytes") == 0 {
					t.Errorf("%v", rep.at("audit"))
				}
				// It is the marker, or what was to be sent next.
				if was, known := rep.at("audit.changed.was").(float64); known && was == rep.at("audit.changed.is") {
					t.Errorf("%v", rep.at("audit.changed"))
				}
				r.clean()
			})
		}
	}
}

// TestAuditAndTrapOfARightRun: the right mode has no difference and no fault under the same loss, and the bytes arrive.
func TestAuditAndTrapOfARightRun(t *testing.T) {
	for _, flags := range [][]string{{"--audit"}, {"--trap"}, {"--audit", "--trap"}, {"--audit", "--trap", "--sg", "on"}, {"--audit", "--binding", "asavie"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			size := 3_000_000
			if slices.Contains(flags, "--trap") {
				size = 200_000 // each frame takes four system calls, which interrupt the other processor
			}
			r := newRig(t, lab.Config{Loss: 1, LossSeed: 3})
			path, sum := file(t, size)
			s, to := r.sink("--once", "--count", "2")
			p := r.start(lab.Sender, nil, append([]string{"send", "--json", "--hash", "--rewrite", "-P", "2", to, path}, flags...)...)
			p.want(0)
			received(t, s, 2, size, sum)
			rep := p.report()
			sound(t, rep, 2*int64(size))
			on := func(name string) bool { return strings.Contains(strings.Join(flags, " "), name) }
			if on("--audit") != (rep.at("audit") != nil) || rep.at("audit.changed") != nil || on("--trap") != (rep.at("trap") != nil) || rep.at("trap.stray") != nil {
				t.Errorf("audit %v, trap %v", rep.at("audit"), rep.at("trap"))
			}
			if on("--audit") && rep.number(t, "audit.releases") != rep.number(t, "audit.commits") {
				t.Errorf("%v", rep.at("audit"))
			}
			if on("--trap") && rep.number(t, "trap.calls") < 4*rep.number(t, "streams.0.commits") {
				t.Errorf("%v", rep.at("trap"))
			}
		})
	}
}

// TestTrapIsRefused: where it cannot be had nothing is sent.
func TestTrapIsRefused(t *testing.T) {
	r := newRig(t, lab.Config{})
	_, to := r.sink("--once")
	for flags, says := range map[string]string{
		"--chunk 2048":     "use a chunk of 4096",
		"--hugepages":      "leave one of them out",
		"--frames 100000":  "100000 frames: at most",
		"--binding asavie": "use --binding native",
	} {
		p := r.start(lab.Sender, nil, append([]string{"send", "--trap", "--pattern", "-n", "1M", to}, strings.Fields(flags)...)...)
		p.want(2, "--trap", says)
	}
	p := r.start(lab.Sender, nil, "send", "--trap", "--audit", "--pattern", "-n", "10000", to)
	p.want(0)
	for _, text := range []string{"audit       7 commits, compared in 7 transmissions and 7 releases: no difference", " calls of mprotect"} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("%q is not in %s", text, p.out.String())
		}
	}
	r.clean()
}

// TestMonitorAlone: the monitor's command is of no use by hand, and says so.
func TestMonitorAlone(t *testing.T) {
	r := newRig(t, lab.Config{})
	p := r.start(lab.Sender, nil, trapCommand)
	p.want(1, "starts the monitor by itself")
}
