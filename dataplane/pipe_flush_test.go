package dataplane

import (
	"context"
	"errors"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// TestFlushWhen: in the only mode that is right Flush ends with the later of ACK and
// completion, whichever that is. That it ends earlier in the others shows that the test
// would see it.
func TestFlushWhen(t *testing.T) {
	for _, c := range []struct {
		mode              ReleaseMode
		ackFirst          bool
		sent, half, whole bool // Flush has ended after the submission, the first, the second
	}{
		{ReleaseAck, true, false, false, true},
		{ReleaseAck, false, false, false, true},
		{ReleaseAcked, true, false, true, true},
		{ReleaseAcked, false, false, false, true},
		{ReleaseCompletion, true, false, false, true},
		{ReleaseCompletion, false, false, true, true},
		{ReleaseSubmit, true, true, true, true},
	} {
		g, p := piped(t, 64, func(cfg *Config) { cfg.Release = c.mode })
		g.port.hold, g.peer.mute = true, true
		b := letters(3000)
		_, err := p.Write(b)
		must(t, err)
		m := p.Mark()
		ack := func() { g.ackAll(&source{s: p.stream, bytes: b}) }
		steps := []func(){func() {}, ack, g.complete}
		if !c.ackFirst {
			steps[1], steps[2] = steps[2], steps[1]
		}
		for i, want := range []bool{c.sent, c.half, c.whole} {
			steps[i]()
			for range 8 {
				g.pass()
				g.now += tcp.Microsecond
			}
			switch err := p.Flush(over); {
			case want && err != nil, !want && !errors.Is(err, context.Canceled):
				t.Errorf("%v, ACK first %v, step %d: %v", c.mode, c.ackFirst, i, err)
			case reached(m) != want || m.Err() != nil:
				t.Errorf("%v, ACK first %v, step %d: mark %v, %v", c.mode, c.ackFirst, i, reached(m), m.Err())
			}
		}
		g.port.hold, g.port.noWire, g.peer.mute = false, false, false
		g.complete()
		g.finish()
	}
}

func reached(m *Mark) bool {
	select {
	case <-m.Done():
		return true
	default:
		return false
	}
}

// TestFlushGoesOn: one that was given up takes nothing from the next.
func TestFlushGoesOn(t *testing.T) {
	g, p := piped(t, 64, nil)
	must(t, p.Flush(over)) // of nothing
	_, err := p.Write(letters(5000))
	must(t, err)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	err = p.Flush(ctx)
	if want := "flush 10.0.0.2:80: 4 frames are not released: enough"; !errors.Is(err, enough) || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	g.idle()
	must(t, p.Flush(over)) // what there is to do needs no waiting
	_, err = p.Write(letters(5000))
	must(t, err)
	must(t, g.flushed(p))
	g.finish()
}

// TestFlushAborted: its error is the stream's, and comes when the frames are back: not
// while the NIC may still read them. What was ACKed before stays so.
func TestFlushAborted(t *testing.T) {
	g, p := piped(t, 64, nil)
	_, err := p.Write(letters(100))
	must(t, err)
	good := p.Mark()
	must(t, g.flushed(p))
	g.port.hold = true
	_, err = p.Write(letters(100))
	must(t, err)
	bad := p.Mark()
	g.pass()
	g.p.Abort(g.now, p.stream)
	for range 8 {
		g.now += tcp.Microsecond
		g.pass()
	}
	if err := p.Flush(over); !p.stream.Ended() || !errors.Is(err, context.Canceled) || reached(bad) {
		t.Errorf("in the NIC: %v, mark %v", err, reached(bad))
	}
	g.port.hold = false
	g.complete()
	for range 2 {
		if err := g.flushed(p); !errors.Is(err, tcp.ErrAborted) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := good.Wait(over); err != nil {
		t.Errorf("the mark before: %v", err)
	}
	if err := bad.Wait(over); !errors.Is(err, tcp.ErrAborted) || !errors.Is(bad.Err(), tcp.ErrAborted) {
		t.Errorf("the mark behind: %v", err)
	}
	if err := p.Mark().Wait(over); !errors.Is(err, tcp.ErrAborted) {
		t.Errorf("a later mark: %v", err)
	}
	g.finish()
}

// TestFlushBehindCloseWrite: a piece that came too late is lost, and said to be.
func TestFlushBehindCloseWrite(t *testing.T) {
	g, p := piped(t, 64, nil)
	b, err := p.Reserve(t.Context())
	must(t, err)
	must(t, p.CloseWrite())
	p.Send(b, 1, 0, nil)
	if err := g.flushed(p); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	g.finish()
}

// TestMarksAreReachedInOrder, though frames come back in another: a mark waits for
// what is before it and for nothing behind it.
func TestMarksAreReachedInOrder(t *testing.T) {
	_, p := piped(t, 64, nil)
	first := p.Mark()
	if !reached(first) {
		t.Error("nothing is before it")
	}
	var marks []*Mark
	var frames []Buf
	for range 4 {
		b, err := p.Reserve(t.Context())
		must(t, err)
		frames = append(frames, b)
		p.Send(b, 1, 0, nil)
		marks = append(marks, p.Mark())
	}
	marks = append(marks, p.Mark()) // two in the same place
	if len(p.writer.marked) != 1 {
		t.Errorf("%d pipes with marks", len(p.writer.marked))
	}
	for _, c := range []struct{ released, reached int }{{2, 0}, {0, 1}, {1, 3}, {3, 5}} {
		p.release(&Release{Stream: p.stream, Cookie: uint64(c.released), Frame: frames[c.released].Frame})
		for i, m := range marks {
			if reached(m) != (i < c.reached) {
				t.Errorf("release %d: mark %d: %v", c.released, i, reached(m))
			}
		}
	}
	if len(p.writer.marked) != 0 || len(p.marks) != 0 || p.Outstanding() != 0 {
		t.Errorf("%d pipes, %d marks, %d outstanding", len(p.writer.marked), len(p.marks), p.Outstanding())
	}
}

// TestMarkBeforeALoss: what is lost behind a mark is not lost before it, even if it is
// known first; what is lost before a mark is lost before all later ones.
func TestMarkBeforeALoss(t *testing.T) {
	g, p := piped(t, 64, nil)
	var marks []*Mark
	for range 3 {
		b, err := p.Reserve(t.Context())
		must(t, err)
		p.Send(b, 1, 0, nil)
		marks = append(marks, p.Mark())
	}
	g.p.Abort(g.now, p.stream)
	p.release(&Release{Stream: p.stream, Cookie: 1, Frame: umem.NoFrame, Reason: Quarantined})
	p.release(&Release{Stream: p.stream, Cookie: 2, Frame: umem.NoFrame})
	p.release(&Release{Stream: p.stream, Cookie: 0, Frame: umem.NoFrame})
	for i, m := range marks {
		if !reached(m) || (m.Err() != nil) != (i > 0) {
			t.Errorf("mark %d: %v, %v", i, reached(m), m.Err())
		}
	}
}

// TestMarkWaits for its writer, and not for ever.
func TestMarkWaits(t *testing.T) {
	g, p := piped(t, 64, nil)
	_, err := p.Write(letters(100))
	must(t, err)
	m := p.Mark()
	if err := m.Wait(over); !errors.Is(err, context.Canceled) || m.Err() != nil {
		t.Errorf("canceled: %v, %v", err, m.Err())
	}
	p.writer.Close()
	if err := m.Wait(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(m.Err(), ErrClosed) {
		t.Errorf("writer closed: %v", err)
	}
	g.finish()
	g, p = piped(t, 64, nil)
	_, err = p.Write(letters(100))
	must(t, err)
	close(g.p.stopped)
	if err := p.Mark().Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("stopped: %v", err)
	}
}

// ending is a context that ends while somebody begins to wait, after something else
// happened.
type ending struct {
	context.Context
	before func()
}

func (c ending) Done() <-chan struct{} {
	c.before()
	return c.Context.Done()
}

// TestFlushHearsTheLastWords: releases that come together with the end of a context,
// or of the poller, count.
func TestFlushHearsTheLastWords(t *testing.T) {
	g, p := piped(t, 64, nil)
	for range 20 { // which of two news a select takes is left to chance
		_, err := p.Write(letters(100))
		must(t, err)
		if err := p.Flush(ending{over, func() { g.idle() }}); err != nil {
			t.Fatalf("all back: %v", err)
		}
	}
	g.idle()
	for told(t, p.writer) {
	}
	_, err := p.Write(letters(100))
	must(t, err)
	close(g.p.stopped)
	if err := p.Flush(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("frames out: %v", err)
	}
}

// TestNews: what Wait would return for, once, and a channel that sleeps otherwise.
func TestNews(t *testing.T) {
	g, p := piped(t, 64, nil)
	w := p.writer
	heard := func() bool {
		select {
		case <-w.News():
			return true
		default:
			return false
		}
	}
	for heard() {
	}
	_, err := p.Write(letters(100))
	must(t, err)
	if heard() {
		t.Error("of nothing")
	}
	ch := w.News()
	g.idle()
	select {
	case <-ch:
	default:
		t.Error("nobody woke it")
	}
	w.Poll()
	for heard() {
	}
	if told(t, w) || p.Outstanding() != 0 {
		t.Error("told of it again, or not of all")
	}
	_, err = p.Write(letters(100))
	must(t, err)
	w.waiting.Store(false)
	g.idle() // while it did not listen
	if !heard() {
		t.Error("missed")
	}
	g.finish()
}
