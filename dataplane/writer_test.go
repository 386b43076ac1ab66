package dataplane

import (
	"context"
	"errors"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// wantPanic runs f, which breaks the contract.
func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// TestWriterBreaksTheContract: misuse is caught in the writer's goroutine, before the
// poller hears of it.
func TestWriterBreaksTheContract(t *testing.T) {
	g := newRig(t, 64, nil)
	w, other := g.writer(0), g.writer(0)
	s, s2, so := g.open(w), g.open(w), g.open(other)
	b, ok := w.Reserve(s)
	if !ok {
		t.Fatal("no frame")
	}
	wantPanic(t, "commit for another stream", func() { w.Commit(s2, b, 1, 0) })
	wantPanic(t, "stream of another writer", func() { w.Reserve(so) })
	wantPanic(t, "commit by another writer", func() { other.Commit(so, b, 1, 0) })
	wantPanic(t, "no bytes", func() { w.Commit(s, b, 0, 0) })
	wantPanic(t, "too many bytes", func() { w.Commit(s, b, len(b.Bytes)+1, 0) })
	wantPanic(t, "frame of nobody", func() { w.Commit(s, Buf{Frame: 1 << 20, Bytes: b.Bytes}, 1, 0) })
	wantPanic(t, "closed with a frame reserved", func() { w.Close() })
	w.Commit(s, b, 1, 0)
	wantPanic(t, "committed twice", func() { w.Commit(s, b, 1, 0) })
	wantPanic(t, "abandoned after commit", func() { w.Abandon(s, b) })
	g.until("released", func() bool { return w.Releases(make([]Release, 1)) == 1 })
	g.finish()
}

// TestReserveWhen: not before the handshake, not after CloseWrite, not after the end,
// and never more than the budget.
func TestReserveWhen(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	g.peer.mute = true
	s, err := g.p.Open(g.now, w, g.config())
	must(t, err)
	g.step()
	if _, ok := w.Reserve(s); ok {
		t.Fatal("before the handshake: the size of a segment is not known yet")
	}
	g.peer.mute = false
	g.until("established", s.Established)
	var bufs []Buf
	for b, ok := w.Reserve(s); ok; b, ok = w.Reserve(s) {
		bufs = append(bufs, b)
	}
	if len(bufs) == 0 || len(bufs) > s.Budget() || w.Held(s) != len(bufs) {
		t.Fatalf("%d frames, budget %d, held %d", len(bufs), s.Budget(), w.Held(s))
	}
	if n := len(bufs[0].Bytes); n != s.MSS() || n != 1460 {
		t.Fatalf("%d bytes, MSS %d", n, s.MSS())
	}
	for _, b := range bufs {
		w.Abandon(s, b)
	}
	w.CloseWrite(s)
	w.CloseWrite(s)
	if _, ok := w.Reserve(s); ok {
		t.Fatal("after CloseWrite")
	}
	g.until("home", s.Home)
	g.finish()
}

// TestFrameIsUsedAgain: the frame released last is the next to be reserved, because
// it is in the cache.
func TestFrameIsUsedAgain(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	last := umem.NoFrame
	for i := range 20 {
		b, ok := w.Reserve(s)
		if !ok {
			t.Fatal("no frame")
		}
		if i > 0 && b.Frame != last {
			t.Fatalf("frame %d, released last was %d", b.Frame, last)
		}
		w.Commit(s, b, 100, 7)
		var r [1]Release
		g.until("released", func() bool { return w.Releases(r[:]) == 1 })
		last = r[0].Frame
	}
	g.finish()
}

// TestAbortReleasesEverything: committed, parked or never admitted, every commit of a
// connection that ends has its answer, and says so.
func TestAbortReleasesEverything(t *testing.T) {
	g := newRig(t, 128, nil)
	w := g.writer(0)
	cfg := g.config()
	cfg.SendSlots = 12 // four commits have room, the others are parked
	s, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	g.until("established", s.Established)
	c := newSource(1, w, s, 30000)
	g.peer.mute = true
	c.push()
	g.step()
	if g.p.counters.Parked == 0 {
		t.Fatal("nothing was parked")
	}
	g.p.Abort(g.now, s)
	late, _ := w.Reserve(s)
	if late.Bytes != nil {
		t.Fatal("reserved for a connection that ended")
	}
	g.until("home", s.Home)
	drain(t, w, c)
	if len(c.pending) != 0 || !errors.Is(s.Err(), tcp.ErrAborted) {
		t.Fatalf("%d without an answer, err %v", len(c.pending), s.Err())
	}
	for _, r := range c.log {
		if r.Reason != Aborted || r.Acked != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if k := g.p.CountersNow(); k.Aborts != k.Commits || k.BytesAborted != k.BytesWritten {
		t.Fatalf("%+v", k)
	}
	if !g.peer.flows[s.flow].reset {
		g.peer.mute = false
	}
	g.finish()
}

// TestCommitAfterTheEnd: a frame reserved while the connection lived and committed
// when it does not is answered too.
func TestCommitAfterTheEnd(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	b, _ := w.Reserve(s)
	g.p.Abort(g.now, s)
	g.step()
	w.Commit(s, b, 10, 42)
	var r [1]Release
	g.until("released", func() bool { return w.Releases(r[:]) == 1 })
	if r[0].Reason != Aborted || r[0].Cookie != 42 || r[0].Frame != b.Frame {
		t.Fatalf("%+v", r[0])
	}
	g.finish()
}

// TestParkedDoesNotBlock: a stream whose connection has no room leaves the other
// streams of its writer alone.
func TestParkedDoesNotBlock(t *testing.T) {
	g := newRig(t, 256, nil)
	w := g.writer(0)
	cfg := g.config()
	cfg.SendSlots = 12
	narrow, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	g.until("established", narrow.Established)
	stuck, free := newSource(1, w, narrow, 50000), newSource(2, w, g.open(w), 200000)
	g.peer.flows[narrow.flow].window = 0
	g.until("the other is done", func() bool {
		drain(t, w, stuck, free)
		stuck.push()
		free.push()
		return free.s.SendClosed() && len(free.pending) == 0
	})
	if len(stuck.pending) < 8 {
		t.Fatalf("only %d commits wait", len(stuck.pending))
	}
	g.peer.flows[narrow.flow].window = peerWindow
	g.transfer(stuck)
	g.finish()
}

// TestWriterLeaves: Close gives everything back, and what was committed is still sent.
func TestWriterLeaves(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	c := newSource(1, w, s, 20000)
	c.push()
	w.Close()
	w.Close()
	g.until("home", s.Home)
	g.until("forgotten", func() bool { return len(g.p.lanes) == 0 })
	if string(g.peer.flows[s.flow].stream) != string(c.bytes) {
		t.Fatal("the peer did not get what was committed")
	}
	if census, _ := g.pool.Audit(); census.Writer != 0 {
		t.Fatalf("%+v", census)
	}
	if _, err := g.p.Open(g.now, w, g.config()); !errors.Is(err, ErrBadConfig) {
		t.Fatalf("open with a writer that left: %v", err)
	}
	g.finish()
}

// TestOnRelease: the function sees each release, before Reserve gives the frame out.
func TestOnRelease(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(4) // so few that Reserve lives on releases
	s := g.open(w)
	seen := uint64(0)
	w.OnRelease = func(r Release, payload []byte) {
		if r.Cookie != seen || len(payload) != 100 || payload[0] != byte(seen) {
			t.Fatalf("release %+v of %x", r, payload[:1])
		}
		seen++
		for i := range payload {
			payload[i] = 0xee
		}
	}
	sent := uint64(0)
	g.until("a hundred", func() bool {
		for b, ok := w.Reserve(s); ok && sent < 100; b, ok = w.Reserve(s) {
			for i := range 100 {
				b.Bytes[i] = byte(sent)
			}
			w.Commit(s, b, 100, sent)
			sent++
		}
		return seen == 100
	})
	g.until("empty-handed", func() bool { w.Poll(); return w.bufs <= 1 })
	g.finish()
}

// TestReserveWaitErrors: what ReserveWait says when there is no point in waiting.
func TestReserveWaitErrors(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(1)
	s := g.open(w)
	ctx, cancel := context.WithCancelCause(t.Context())
	b, err := w.ReserveWait(ctx, s)
	must(t, err)
	w.Commit(s, b, 1, 0)
	g.until("released", func() bool { return w.releases.Peek(1) == 1 })
	if _, err := w.ReserveWait(ctx, s); !errors.Is(err, ErrReleases) {
		t.Fatalf("frames in releases: %v", err)
	}
	w.Releases(make([]Release, 1))
	b, err = w.ReserveWait(ctx, s)
	must(t, err)
	enough := errors.New("enough")
	cancel(enough)
	if _, err := w.ReserveWait(ctx, s); !errors.Is(err, enough) {
		t.Fatalf("cancelled: %v", err)
	}
	w.Abandon(s, b)
	g.p.Abort(g.now, s)
	g.step()
	if _, err := w.ReserveWait(t.Context(), s); !errors.Is(err, tcp.ErrAborted) {
		t.Fatalf("aborted: %v", err)
	}
	s2 := g.open(w)
	w.CloseWrite(s2)
	if _, err := w.ReserveWait(t.Context(), s2); !errors.Is(err, ErrClosed) {
		t.Fatalf("closed: %v", err)
	}
	g.finish()
}
