package dataplane

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// TestNewWriterTakesWhatThereIs: as many frames as asked for, or all, and rings that
// have a place for each of them, for the FIN of each stream and for its own leaving.
func TestNewWriterTakesWhatThereIs(t *testing.T) {
	g := newRig(t, 64, func(c *Config) { c.MaxStreams = 63 })
	for _, c := range []struct{ ask, most, small, large int }{{1, 1, 1, 128}, {63, 63, 64, 128}, {64, 64, 64, 128}, {65, 64, 64, 128}, {0, 64, 64, 128}} {
		w := g.writer(c.ask)
		if w.lane.most != c.most || cap(w.free) != c.most || len(w.free) != 0 {
			t.Errorf("%d frames: at most %d, a stack of %d", c.ask, w.lane.most, cap(w.free))
		}
		if w.credits.Cap() != c.small || w.releases.Cap() != c.small || w.commits.Cap() != c.large {
			t.Errorf("%d frames: rings of %d, %d and %d", c.ask, w.credits.Cap(), w.releases.Cap(), w.commits.Cap())
		}
	}
	if n := cap(g.p.touchedLanes); n != 5 {
		t.Errorf("the list of five writers has %d places", n)
	}
	if _, err := g.p.NewWriter(-1); !errors.Is(err, ErrBadConfig) || !strings.Contains(err.Error(), "-1 frames") {
		t.Errorf("-1 frames: %v", err)
	}
	if len(g.p.lanes) != 5 {
		t.Errorf("%d lanes", len(g.p.lanes))
	}
	g.finish()
}

// TestBufEndsWithItsSegment: an append cannot spill into what is behind it, neither
// when a frame is lent nor when it is shown again.
func TestBufEndsWithItsSegment(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	b, _ := w.Reserve(c.s)
	if len(b.Bytes) != 1460 || cap(b.Bytes) != 1460 || &b.Bytes[0] != &g.region.WriterBytes(b.Frame)[tcp.Headroom] {
		t.Errorf("%d bytes of %d", len(b.Bytes), cap(b.Bytes))
	}
	b.Bytes = b.Bytes[:100]
	c.commit(b)
	g.idle()
	var out [2]Release
	if n := w.Releases(out[:]); n != 1 {
		t.Fatalf("%d releases", n)
	}
	p := w.Payload(&out[0])
	if len(p) != 100 || cap(p) != 100 || &p[0] != &b.Bytes[0] {
		t.Errorf("%d bytes of %d", len(p), cap(p))
	}
	if w.Payload(&Release{Frame: umem.NoFrame, End: 100}) != nil {
		t.Error("bytes of a frame that did not come back")
	}
	g.finish()
}

// TestHeldIsCounted through all that can become of a frame.
func TestHeldIsCounted(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(8)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	state := func(what string, held, bufs, free int) {
		t.Helper()
		if w.Held(c.s) != held || w.bufs != bufs || len(w.free) != free {
			t.Errorf("%s: held %d, in hand %d, free %d; want %d, %d, %d", what, w.Held(c.s), w.bufs, len(w.free), held, bufs, free)
		}
	}
	a, _ := w.Reserve(c.s)
	b, _ := w.Reserve(c.s)
	state("two reserved", 2, 2, 0)
	w.Abandon(c.s, a)
	state("one abandoned", 1, 1, 1)
	again, _ := w.Reserve(c.s)
	if again.Frame != a.Frame {
		t.Errorf("frame %d, abandoned last was %d", again.Frame, a.Frame)
	}
	c.commit(b)
	c.commit(again)
	state("two committed", 2, 0, 0)
	g.idle()
	state("ACKed and not taken", 2, 0, 0)
	var one [1]Release
	for i := range 2 {
		if n := w.Releases(one[:]); n != 1 || one[0].Cookie != uint64(i+1) {
			t.Errorf("release %d: %d of cookie %d", i, n, one[0].Cookie)
		}
	}
	state("taken", 0, 0, 2)
	if n := w.Releases(one[:]); n != 0 {
		t.Errorf("%d more", n)
	}
	r := Release{Stream: c.s, Frame: umem.NoFrame}
	c.s.held++
	w.took(&r)
	state("one that is in quarantine", 0, 0, 2)
	g.finish()
}

// TestPoll: it tells of each release once, not within itself, and takes them where
// there is nobody to tell.
func TestPoll(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(8)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.commits(c, 3)
	g.idle()
	told := 0
	w.OnRelease = func(r Release, payload []byte) {
		told++
		if n := w.Poll(); n != 0 {
			t.Errorf("%d releases within Poll", n)
		}
		if len(payload) != 1460 || r.Cookie != uint64(told) {
			t.Errorf("%d bytes of cookie %d", len(payload), r.Cookie)
		}
	}
	if n := w.Poll(); n != 3 || told != 3 || len(w.free) != 3 || w.Poll() != 0 || told != 3 {
		t.Errorf("%d polled, %d told, %d free", n, told, len(w.free))
	}
	w.OnRelease = nil
	g.commits(c, 2)
	g.idle()
	if n := w.Poll(); n != 2 || told != 3 || w.Held(c.s) != 0 || w.releases.Peek(9) != 0 {
		t.Errorf("%d polled, %d told, held %d", n, told, w.Held(c.s))
	}
	g.p.Step(g.now)
	g.commits(c, 1)
	g.idle()
	w.OnRelease = func(Release, []byte) { told++ }
	w.free = w.free[:0] // the others are elsewhere: Reserve has to look at the releases
	b, ok := w.Reserve(c.s)
	if !ok || told != 4 {
		t.Errorf("reserved %v, %d told", ok, told)
	}
	w.Abandon(c.s, b)
}

// TestGivesBackWhatItMayNotUse: once the streams of a writer need less, it keeps what
// they may use, and no more.
func TestGivesBackWhatItMayNotUse(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<18)
	g.idle()
	n := c.s.Budget()
	g.commits(c, n)
	g.until("all back", func() bool {
		var out [64]Release
		return w.Releases(out[:]) > 0 && w.Held(c.s) == 0 || w.Held(c.s) == 0
	})
	if len(w.free) != n || w.lane.owned != n {
		t.Fatalf("%d free, %d owned, the budget is %d", len(w.free), w.lane.owned, n)
	}
	g.commits(c, 1)
	for _, room := range []int32{5, 5, 0} {
		w.room.Store(room)
		w.giveBack()
		if len(w.free) != min(n-1, int(room)) {
			t.Errorf("room for %d, kept %d", room, len(w.free))
		}
	}
	g.idle()
	if w.lane.owned != w.lane.lent+c.s.committed || w.lane.owned > n {
		t.Errorf("%d owned, %d lent, %d committed", w.lane.owned, w.lane.lent, c.s.committed)
	}
	if _, err := g.p.Audit(); err != nil {
		t.Error(err)
	}
	g.finish()
}

// TestEverythingAtOnce: all frames committed, each stream closed and the writer gone
// before the poller looks: the ring has a place for all of it.
func TestEverythingAtOnce(t *testing.T) {
	g := newRig(t, 32, func(c *Config) { c.MaxStreams = 2 })
	w := g.writer(29) // with two streams and the leaving the ring's 32 places are taken
	a, b := newSource(1, w, g.open(w), 1<<16), newSource(2, w, g.open(w), 1<<16)
	g.idle()
	for _, c := range []*source{a, b} {
		for buf, ok := w.Reserve(c.s); ok; buf, ok = w.Reserve(c.s) {
			c.commit(buf)
		}
		w.CloseWrite(c.s)
		w.CloseWrite(c.s)
	}
	committed := w.Held(a.s) + w.Held(b.s)
	w.Close()
	w.Close()
	if n := w.lane.commits.Peek(1 << 10); n != committed+3 || committed < 20 {
		t.Errorf("%d requests, %d of them commits", n, committed)
	}
	g.until("home", func() bool { return a.s.Home() && b.s.Home() })
	g.finish()
}

// TestWaitEnds with the poller, and with its context.
func TestWaitEnds(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	for told(t, w) {
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if err := w.Wait(ctx); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if _, err := w.ReserveWait(ctx, s); err != nil {
		t.Errorf("a frame is there: %v", err)
	}
	w.wake <- struct{}{} // for nothing: it goes on waiting
	if err := w.Wait(ctx); !errors.Is(err, enough) {
		t.Errorf("woken for nothing: %v", err)
	}
	g.p.Shutdown(g.now)
	g.until("drained", g.p.Drained)
	for told(t, w) {
	}
	close(g.p.stopped)
	if err := w.Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
}
