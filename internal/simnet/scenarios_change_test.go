package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/tcp"
)

// What changes about a path while a transfer runs.
var changeScenarios = []scenario{
	{"rate-changes", func(t *Trial, r *rand.Rand) {
		t.Bytes, t.Peer.Buffer, t.Peer.Scale = 100_000+r.IntN(200_000), 1<<20, 7
		t.Forward.Rate, t.Forward.Queue = 1_000_000, 10+r.IntN(100)
		again(t, r, 20*ms, 500*ms, func(run *Run) { run.Forward.SetRate(20_000 << r.IntN(8)) })
	}, func(s *tally) string {
		return missing(min(s.forward.Changed, s.forward.Overflow), "full queue after a change")
	}},
	{"rtt-changes", func(t *Trial, r *rand.Rand) { // shorter ways overtake, longer ones look like loss
		t.Forward.Rate = 100_000 + r.IntN(1_000_000)
		again(t, r, 10*ms, 400*ms, func(run *Run) {
			run.Forward.SetDelay(tcp.Duration(1+r.IntN(300)) * ms)
			run.Back.SetDelay(tcp.Duration(1+r.IntN(300)) * ms)
		})
		sometimes(t, r, lossy)
	}, func(s *tally) string {
		return missing(min(s.forward.Changed, s.tcp.Timeouts), "timeout after a change")
	}},
	{"route-flap", func(t *Trial, r *rand.Rand) {
		t.Forward.Rate = 100_000 + r.IntN(1_000_000)
		again(t, r, 50*ms, 2*tcp.Second, func(run *Run) {
			run.Forward.Reroute(tcp.Duration(r.IntN(400))*ms, tcp.Duration(1+r.IntN(50))*ms)
			if r.IntN(2) == 0 {
				run.Back.Reroute(tcp.Duration(r.IntN(400))*ms, tcp.Duration(1+r.IntN(50))*ms)
			}
		})
	}, func(s *tally) string {
		return missing(min(s.forward.CutOff, s.back.CutOff), "packet lost with its route")
	}},
	{"mtu-falls", func(t *Trial, r *rand.Rand) {
		to := 1280
		if !t.IPv6 {
			to = 600 + r.IntN(800)
		}
		ours := r.IntN(3) == 0 // the interface's own MTU; otherwise that of a link far away
		t.At = append(t.At, Action{tcp.Duration(r.IntN(6000)) * us, func(r *Run) {
			r.Forward.SetMTU(to)
			if ours {
				r.Poller.SetMTU(r.World.Now(), r.Streams[0].Stream, to)
			}
		}})
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(uint64(s.tcp.PathMTU), "fall of the path MTU") }},
	{"black-hole", func(t *Trial, r *rand.Rand) { // the same, and no router says a word
		t.BlackHole, t.Bytes = true, 5_000+r.IntN(20_000)
		to := 1280 + r.IntN(100)
		if !t.IPv6 {
			to = 600 + r.IntN(800)
		}
		t.At = append(t.At, Action{tcp.Duration(r.IntN(6000)) * us, func(r *Run) { r.Forward.SetMTU(to) }})
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.tcp.BlackHoles, "black hole that was found") }},
	{"pauses", func(t *Trial, r *rand.Rand) { // the writer has nothing to say for longer than any timeout
		t.Bytes = 20_000 + r.IntN(40_000)
		t.WriterSleep, t.Commit = tcp.Duration(500+r.IntN(3000))*ms, 0
		t.Peer.Buffer = 8192 + r.IntN(20_000) // so much at a time
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(uint64(s.forward.Gap/tcp.Second), "pause of a second") }},
}

// again has do called over and over, at random moments so far apart, until the trial ends.
func again(t *Trial, r *rand.Rand, least, most tcp.Duration, do func(*Run)) {
	var next func(run *Run)
	next = func(run *Run) {
		do(run)
		run.World.After(between(r, least, most), func() { next(run) })
	}
	t.At = append(t.At, Action{between(r, 0, most), next})
}
