package main

import (
	"os"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// TestUserTimeout: a peer that vanishes ends the run, and the error says what happened. The last RTT and the floor
// make the first timeout, so that the run's RTO shows the floor too.
func TestUserTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--json", "--pattern", "-t", "60", "-b", "60M", "--rto-min", "50", "--user-timeout", "300", to)
	r.passes(1_000_000)
	if err := r.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	p.want(1, "timed out")
	rep := p.report()
	if rep.number(t, "streams.0.timeouts") < 1 || rep.at("start.parameters.user-timeout") != "300" || rep.at("start.parameters.rto-min") != "50" {
		t.Errorf("%v timeouts, %v", rep.at("streams.0.timeouts"), rep.at("start.parameters"))
	}
	if rto := rep.number(t, "streams.0.rto"); rto < 50e3 {
		t.Errorf("rto %v us", rto)
	}
	r.clean()
}

// TestKeepAlive: while standard input is silent the peer is asked whether it is there; when it vanishes, so that
// nobody answers, the run ends.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := r.start(lab.Sender, in, "send", "--json", "--keepalive", "100ms", "--user-timeout", "400", to, "-")
	in.Close()
	if _, err := out.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	r.passes(100_000)
	time.Sleep(time.Second)
	if err := r.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	p.want(1, "timed out")
	rep := p.report()
	if n := rep.number(t, "streams.0.keepalives"); n < 3 || rep.number(t, "streams.0.timeouts") > 0 || rep.at("start.parameters.keepalive") != "100ms" {
		t.Errorf("%v questions, %v timeouts, %v", n, rep.at("streams.0.timeouts"), rep.at("start.parameters"))
	}
	r.clean()
}

// TestRTOFloor: without loss the timeout is the RTT with its floor on top.
func TestRTOFloor(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, _ := file(t, 100_000)
	for _, c := range []struct {
		args  []string
		floor float64 // us
	}{{nil, 200e3}, {[]string{"--rto-min", "1s"}, 1e6}} {
		_, to := r.sink("--once")
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--json"}, c.args...), to, path)...)
		p.want(0)
		rtt, rto := p.report().number(t, "streams.0.rtt"), p.report().number(t, "streams.0.rto")
		if rto < c.floor+rtt-1 {
			t.Errorf("%q: rto %v us with an rtt of %v us", c.args, rto, rtt)
		}
	}
}
