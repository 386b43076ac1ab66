package dataplane

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/trap"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// trapRig is a rig over frames of a page, with a trap and an audit.
func trapRig(t *testing.T, frames int) (*rig, *trap.Trap, *PayloadAudit) {
	t.Helper()
	if os.Getpagesize() != umem.MaxChunk {
		t.Skipf("needs pages of %d bytes", umem.MaxChunk)
	}
	total := frames + rigRx + rigReserve
	r, err := umem.Map(umem.Config{Frames: total, ChunkSize: umem.MaxChunk})
	must(t, err)
	tr, err := trap.New(r)
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()); _ = r.Close() })
	pool, err := umem.NewPool(r, 0, total, rigReserve)
	must(t, err)
	port, a := newMemPort(r, rigRing), new(PayloadAudit)
	g := newRig(t, frames, func(c *Config) { c.Pool, c.Port, c.Trap, c.Audit = pool, port, tr, a })
	g.region, g.pool, g.port = r, pool, port
	g.port.wire = g.peer.packet
	return g, tr, a
}

// stray wants a store at byte k of b to be trapped, in frame f at that place of the payload.
func (g *rig) stray(w *Writer, f umem.Frame, b []byte, k int, holder string) {
	g.Helper()
	before := g.region.Bytes(f)[g.p.payloadAt+k]
	err := <-w.Go(func() error { b[k]++; return nil })
	var s *StrayWrite
	if !errors.As(err, &s) || s.Frame != f || s.Offset != g.p.payloadAt+k || !strings.Contains(s.Holder, holder) {
		g.Errorf("frame %d, byte %d, held by %q: %v", f, k, holder, err)
	}
	if g.region.Bytes(f)[g.p.payloadAt+k] != before {
		g.Error("it was written all the same")
	}
}

// fine wants a store at byte k of b not to be trapped.
func (g *rig) fine(w *Writer, b []byte, k int) {
	g.Helper()
	if err := <-w.Go(func() error { b[k]++; return nil }); err != nil {
		g.Error(err)
	}
}

// A frame may be written from Reserve to Commit, and from its release until the writer's next call; at no other time.
func TestTrapFollowsTheContract(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		g, _, a := trapRig(t, 64)
		w := g.writer(0)
		s := g.open(w)
		g.idle()
		g.port.hold, g.peer.mute = true, true
		b, _ := w.Reserve(s)
		g.fine(w, b.Bytes, 7)
		n := len(b.Bytes)
		w.Commit(s, b, n, 42)
		g.stray(w, b.Frame, b.Bytes, 7, "on its way")
		g.pass()
		holder := "TCP and kernel"
		g.stray(w, b.Frame, b.Bytes, n-1, holder)
		if err := <-w.Go(func() error { b.Bytes[0] = 1; return nil }); !strings.Contains(err.Error(), "writer 1, cookie 42: bytes 0 to ") {
			t.Error(err)
		}
		zero, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(zero) //nolint:errcheck // a test's
		_, err = unix.Read(zero, b.Bytes[5:])
		var stray *StrayWrite
		if err = w.Explain(err, b.Bytes[5:]); !errors.As(err, &stray) || !errors.Is(err, unix.EFAULT) || stray.Offset != g.p.payloadAt+5 {
			t.Errorf("a read into a frame: %v", err)
		}
		c := &source{w: w, s: s, bytes: make([]byte, n)}
		g.ackAll(c)
		g.pass()
		g.stray(w, b.Frame, b.Bytes, 7, "kernel (0 segments not ACKed")
		g.port.hold, g.peer.mute = false, false
		g.complete()
		g.port.noWire = false
		g.pass()
		g.stray(w, b.Frame, b.Bytes, 7, "on its way")
		var out [1]Release
		if w.Releases(out[:]) != 1 || out[0].Frame != b.Frame {
			t.Fatalf("%+v", out[0])
		}
		g.fine(w, w.Payload(&out[0]), 7)
		w.Releases(out[:])
		g.stray(w, b.Frame, b.Bytes, 7, "has not reserved it")
		again, _ := w.Reserve(s)
		if again.Frame != b.Frame {
			t.Fatalf("frame %d, want %d again", again.Frame, b.Frame)
		}
		g.fine(w, again.Bytes, 7)
		w.Abandon(s, again)
		g.stray(w, b.Frame, b.Bytes, 7, "has not reserved it")
		g.finish()
		if c := a.Report().First; c != nil {
			t.Error(c)
		}
	})
}

// OnRelease has the frame until it returns.
func TestTrapAndOnRelease(t *testing.T) {
	g, _, _ := trapRig(t, 64)
	w := g.writer(0)
	s := g.open(w)
	g.idle()
	var kept []byte
	var frame umem.Frame
	w.OnRelease = func(r Release, payload []byte) {
		kept, frame = payload, r.Frame
		g.fine(w, payload, 3)
	}
	b, _ := w.Reserve(s)
	w.Commit(s, b, 100, 1)
	g.until("released", func() bool { w.Poll(); return kept != nil })
	g.stray(w, frame, kept, 3, "has not reserved it")
	g.finish()
}

// A good writer meets no fault and no difference, whatever is lost: with releases that it takes, and with those that it is told of.
func TestTrapOfAGoodWriter(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		g, tr, a := trapRig(t, 128)
		n := 0
		g.peer.drop = func(seg *wire.Segment) bool { n++; return seg.PayloadLen > 0 && n%13 == 0 }
		w, told := g.writer(0), g.writer(0)
		c, d := newSource(1, w, g.open(w), 1<<19), newSource(2, told, g.open(told), 1<<19)
		c.scribble, d.scribble = true, true
		told.OnRelease = func(r Release, _ []byte) { d.took(g, r) }
		err := w.Guard(func() error {
			g.until("everything ACKed and released", func() bool {
				drain(g, w, c)
				told.Poll()
				c.push()
				d.push()
				return c.s.SendClosed() && d.s.SendClosed() && len(c.pending)+len(d.pending) == 0
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []*source{c, d} {
			if string(g.peer.flows[x.s.flow].stream) != string(x.bytes) {
				t.Error("the peer got something else")
			}
		}
		g.finish()
		if r := a.Report(); r.First != nil || r.Commits == 0 || tr.Calls() < 3*r.Commits {
			t.Errorf("%+v, %d calls", r, tr.Calls())
		}
	})
}

// Without a trap the audit finds what the trap would have, and the guard does nothing.
func TestNoTrap(t *testing.T) {
	g, c, a, bufs := auditedRig(t, ReleaseAck)
	if err := <-c.w.Go(func() error { misbehave(bufs[0], 1); return nil }); err != nil {
		t.Error(err)
	}
	if err := c.w.Explain(unix.EFAULT, bufs[0].Bytes); err != unix.EFAULT {
		t.Error(err)
	}
	g.until("found", func() bool { return a.Report().First != nil })
	if c.w.trap.trap != nil || g.now < tcp.Second {
		t.Error("there is a trap")
	}
}

// What Releases showed is the writer's until his next call, so that it must not go to another one before, whether the budget still
// allows it or not.
func TestShownFramesAreGivenBackLater(t *testing.T) {
	for name, next := range map[string]func(*Writer) error{
		"Releases": func(w *Writer) error { var out [1]Release; w.Releases(out[:]); return nil },
		"Wait":     func(w *Writer) error { return w.Wait(canceled()) },
	} {
		g := newRig(t, 64, nil)
		w := g.writer(0)
		c := newSource(1, w, g.open(w), 5*1460)
		g.idle()
		c.push()
		g.until("nothing is to be sent any more", func() bool { return c.s.SendClosed() && w.room.Load() == 0 })
		var out [64]Release
		if n := w.Releases(out[:]); n == 0 || w.commits.Pending() != 0 {
			t.Errorf("%s: %d releases, and %d frames given back at once", name, n, w.commits.Pending())
		}
		free := len(w.free)
		if err := next(w); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := w.commits.Pending(); n != free || len(w.free) != 0 {
			t.Errorf("%s: %d of %d frames given back", name, n, free)
		}
		g.finish()
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
