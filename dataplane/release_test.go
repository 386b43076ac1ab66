package dataplane

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

func TestNames(t *testing.T) {
	for m, want := range map[ReleaseMode]string{ReleaseAck: "ack", ReleaseCompletion: "completion", ReleaseSubmit: "submit", ReleaseAcked: "acked"} {
		if got, err := ParseReleaseMode(want); m.String() != want || got != m || err != nil {
			t.Errorf("mode %d: %q; %q: %d, %v", m, m, want, got, err)
		}
	}
	if m, err := ParseReleaseMode("never"); m != ReleaseAck || !errors.Is(err, ErrBadConfig) {
		t.Errorf("%d, %v", m, err)
	}
	_ = ReleaseMode(200).String() // a number of no mode has no name of its own
	for r, want := range map[Reason]string{Acked: "acked", Aborted: "aborted", Quarantined: "quarantined", Demoted: "demoted", 9: "demoted"} {
		if r.String() != want {
			t.Errorf("reason %d: %q", r, r)
		}
	}
}

// TestAckedByTheLastACK: an ACK that ends the connection acknowledges all the same.
func TestAckedByTheLastACK(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1000)
	g.idle()
	r := g.peer.flows[c.s.flow]
	g.peer.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
	r.sndNext++
	g.idle()
	g.peer.drop = func(seg *wire.Segment) bool { return true }
	c.push()
	g.until("sent", func() bool { return c.s.State() == tcp.LastAck && g.p.Out() == 0 })
	r.next += 1001
	g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
	g.pass()
	drain(t, w, c)
	if c.s.State() != tcp.Closed || len(c.log) != 1 || c.log[0].Reason != Acked || c.log[0].Acked != g.now {
		t.Errorf("%v: %+v", c.s.State(), c.log)
	}
	if k := g.p.CountersNow(); k.BytesReleased != 1000 || k.BytesAborted != 0 {
		t.Errorf("%+v", k)
	}
	g.finish()
}

// TestLentWhileHeldExactly: what a wrong mode hands out too early is counted byte by
// byte, once, and nothing of it is kept in mind.
func TestLentWhileHeldExactly(t *testing.T) {
	for mode, early := range map[ReleaseMode]uint64{ReleaseAck: 0, ReleaseCompletion: 1000, ReleaseSubmit: 1000, ReleaseAcked: 0} {
		g, c := commitOne(t, mode)
		g.peer.mute = true
		g.settled(c)
		g.complete()
		g.settled(c)
		k := g.p.CountersNow()
		if k.LentWhileHeld != early || len(g.p.submitted) != 0 {
			t.Errorf("%v: %d bytes lent while held, %d frames kept in mind", mode, k.LentWhileHeld, len(g.p.submitted))
		}
		g.ackAll(c)
		g.settled(c)
		if k := g.p.CountersNow(); k.LentWhileHeld != early || k.BytesReleased != 1000 || len(c.log) != 1 {
			t.Errorf("%v: %d bytes lent while held, %d released, %d times", mode, k.LentWhileHeld, k.BytesReleased, len(c.log))
		}
		g.port.hold, g.port.noWire, g.peer.mute = false, false, false
		g.complete()
		g.finish()
	}
}

// TestSharedAnewAfterTheLast: a stream that is closed leaves its share to the others
// with its last commit, and not with the ACK of its FIN.
func TestSharedAnewAfterTheLast(t *testing.T) {
	g := newRig(t, 130, nil)
	w := g.writer(0)
	a, b := newSource(1, w, g.open(w), 100), newSource(2, w, g.open(w), 2920)
	g.idle()
	g.peer.drop = func(seg *wire.Segment) bool { return seg.Flags&wire.FlagFIN != 0 }
	g.port.hold = true
	b.push()
	g.pass()
	g.now += tcp.Microsecond
	g.pass()
	g.now += tcp.Microsecond
	if g.p.share != fairShare(130, 2) {
		t.Fatalf("a share of %d", g.p.share)
	}
	g.port.finish(2) // of three packets, the last is the FIN
	before := g.p.share
	g.p.Step(g.now)
	g.p.Step(g.now)
	if g.p.share != before {
		t.Error("shared anew within a Step")
	}
	g.p.Notify(false)
	drain(t, w, b)
	if len(b.pending) != 0 || b.s.SendClosed() {
		t.Fatalf("%d commits without an answer, the FIN ACKed: %v", len(b.pending), b.s.SendClosed())
	}
	if want := fairShare(130, 1); g.p.share != want {
		t.Errorf("a share of %d, want %d", g.p.share, want)
	}
	g.p.resharing = false
	g.commits(a, 1)
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.until("a's is ACKed", func() bool { drain(t, w, a); return len(a.pending) == 0 })
	g.peer.drop = nil
	g.finish()
}
