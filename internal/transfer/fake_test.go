package transfer

import (
	"context"
	"errors"
	"math/rand"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// fakeConn is a connection whose network moves when its writer waits: then a seeded part of what was committed
// is read by the peer and released, in a seeded order. What the peer gets is read at the release, so that
// bytes which change before are seen.
type fakeConn struct {
	t    *testing.T
	rnd  *rand.Rand
	mss  int
	fail int   // bytes after which the connection breaks; 0: never
	dead error // why it broke

	free      []umem.Frame
	memory    [][]byte
	reserved  map[umem.Frame]bool
	committed []dataplane.Release
	waiting   []dataplane.Release // released, not polled
	got       []byte              // by the peer
	acked     atomic.Uint64       // its length
	end       uint64
	release   func(dataplane.Release, []byte)
	lie       func(*dataplane.Release) // changes a release on its way
	stats     func() tcp.Stats         // instead of its own
	guard     func(func() error) error // instead of none

	closed, aborted, left bool
}

var errBroken = errors.New("broken by the test")

func newFakeConn(t *testing.T, seed int64, frames, mss int) *fakeConn {
	c := &fakeConn{t: t, rnd: rand.New(rand.NewSource(seed)), mss: mss, reserved: map[umem.Frame]bool{}}
	for i := range frames {
		c.memory = append(c.memory, make([]byte, mss))
		c.free = append(c.free, umem.Frame(i))
	}
	return c
}

func (c *fakeConn) Reserve() (dataplane.Buf, bool) {
	if len(c.free) == 0 || c.closed || c.dead != nil || c.rnd.Intn(10) == 0 {
		return dataplane.Buf{}, false
	}
	f := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.reserved[f] = true
	return dataplane.Buf{Frame: f, Bytes: c.memory[f]}, true
}

func (c *fakeConn) ReserveWait(ctx context.Context) (dataplane.Buf, error) {
	for {
		if b, ok := c.Reserve(); ok {
			return b, nil
		}
		if err := c.Wait(ctx); err != nil {
			return dataplane.Buf{}, err
		}
		if c.dead != nil {
			return dataplane.Buf{}, c.dead
		}
		c.Poll()
		if len(c.free) == 0 && len(c.committed)+len(c.waiting) == 0 {
			c.t.Fatal("deadlock: the writer waits for a frame that it holds itself")
		}
	}
}

func (c *fakeConn) Commit(b dataplane.Buf, n int, cookie uint64) {
	if !c.reserved[b.Frame] || n < 1 || n > len(b.Bytes) || c.closed {
		c.t.Fatalf("commit of %d bytes in frame %d: reserved %v, closed %v", n, b.Frame, c.reserved[b.Frame], c.closed)
	}
	delete(c.reserved, b.Frame)
	c.committed = append(c.committed, dataplane.Release{
		Cookie: cookie, Start: c.end, End: c.end + uint64(n), Frame: b.Frame, Submitted: 10, Completed: 20, Acked: 30, Transmissions: 1,
	})
	c.end += uint64(n)
	if c.fail > 0 && c.end >= uint64(c.fail) {
		c.breakOff(errBroken)
	}
}

// breakOff ends the connection: everything comes back as aborted.
func (c *fakeConn) breakOff(err error) {
	if c.dead == nil {
		c.dead = err
	}
	for _, r := range c.committed {
		r.Reason = dataplane.Aborted
		c.waiting = append(c.waiting, r)
	}
	c.committed = nil
}

func (c *fakeConn) Abandon(b dataplane.Buf) {
	if !c.reserved[b.Frame] {
		c.t.Fatalf("frame %d abandoned, which is not reserved", b.Frame)
	}
	delete(c.reserved, b.Frame)
	c.free = append(c.free, b.Frame)
}

func (c *fakeConn) Guard(f func() error) error {
	if c.guard != nil {
		return c.guard(f)
	}
	return f()
}

func (c *fakeConn) Explain(err error, _ ...[]byte) error { return err }

func (c *fakeConn) OnRelease(f func(dataplane.Release, []byte)) { c.release = f }

func (c *fakeConn) Poll() int {
	n := len(c.waiting)
	for _, r := range c.waiting {
		if c.lie != nil {
			c.lie(&r)
		}
		c.release(r, c.memory[r.Frame][:r.End-r.Start])
		c.free = append(c.free, r.Frame)
	}
	c.waiting = c.waiting[:0]
	return n
}

// Wait lets the peer read a part of what was committed.
func (c *fakeConn) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for range c.rnd.Intn(len(c.committed) + 1) {
		i := c.rnd.Intn(len(c.committed))
		r := c.committed[i]
		c.committed = append(c.committed[:i], c.committed[i+1:]...)
		if short := int(r.End) - len(c.got); short > 0 {
			c.got = append(c.got, make([]byte, short)...)
		}
		c.acked.Store(uint64(len(c.got)))
		copy(c.got[r.Start:r.End], c.memory[r.Frame])
		c.waiting = append(c.waiting, r)
	}
	return nil
}

func (c *fakeConn) CloseWrite() { c.closed = true }

func (c *fakeConn) Leave() {
	if len(c.reserved) > 0 {
		c.t.Fatalf("left with %d frames reserved", len(c.reserved))
	}
	c.left = true
}

func (c *fakeConn) Abort() {
	c.aborted = true
	c.breakOff(tcp.ErrAborted)
}

func (c *fakeConn) WaitSent(ctx context.Context) error {
	if c.dead != nil {
		return c.dead
	}
	return nil
}

func (c *fakeConn) WaitPeerClosed(context.Context) error { return nil }
func (c *fakeConn) Err() error                           { return c.dead }
func (c *fakeConn) Acked() uint64                        { return c.Stats().BytesAcked }
func (c *fakeConn) LocalAddr() netip.AddrPort            { return netip.MustParseAddrPort("192.0.2.1:1234") }
func (c *fakeConn) RemoteAddr() netip.AddrPort           { return netip.MustParseAddrPort("192.0.2.2:9000") }
func (c *fakeConn) Stats() tcp.Stats {
	if c.stats != nil {
		return c.stats()
	}
	return tcp.Stats{BytesAcked: c.acked.Load(), SegmentsOut: 7, Retransmits: 2, MSS: c.mss}
}

// fakeNet hands out connections made beforehand; nil ones refuse.
type fakeNet struct {
	conns chan *fakeConn
	dial  func(session.DialConfig) error
	left  session.Report
	close error
	extra dataplane.Counters

	unbalanced error            // of Books
	ledger     dataplane.Ledger // of the end
}

func (n *fakeNet) Dial(_ context.Context, dc session.DialConfig) (connection, error) {
	if n.dial != nil {
		if err := n.dial(dc); err != nil {
			return nil, err
		}
	}
	return <-n.conns, nil
}

func (n *fakeNet) Info() session.Info {
	return session.Info{Interface: "eth9", Driver: "fake", MTU: 1500, Mode: "zerocopy", Attach: "native", Binding: session.BindingNative, Queues: 1}
}

func (n *fakeNet) Knobs() []session.Knob {
	return []session.Knob{{Name: "checksum", Requested: "auto", Accepted: "hw", Active: "hw", Where: "nic", Proved: true, Evidence: "canary"}}
}

func (n *fakeNet) Books(context.Context) ([]session.QueueBooks, error) {
	return []session.QueueBooks{{Books: n.left.Books}}, n.unbalanced
}

func (n *fakeNet) Times(context.Context) (*dataplane.Times, error) { return n.left.Times, nil }

func (n *fakeNet) Close() (session.Report, error) { return n.left, n.close }
