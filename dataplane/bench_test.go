package dataplane

import (
	"encoding/binary"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// quickPeer ACKs every second segment of one flow, and costs nearly nothing.
type quickPeer struct {
	r     *receiver
	port  *memPort
	ack   []byte
	next  uint32
	count int
}

// packet takes sequence number and length from where they are in our own packets.
func (q *quickPeer) packet(b []byte) {
	const tcpAt = 14 + 20
	n := uint32(len(b) - tcpAt - int(b[tcpAt+12]>>4)*4)
	if seq := binary.BigEndian.Uint32(b[tcpAt+4:]); seq != q.next || n == 0 {
		return
	}
	q.next += n
	if q.count++; q.count%2 == 0 {
		binary.BigEndian.PutUint32(q.ack[tcpAt+8:], q.next)
		q.port.deliver(q.ack)
	}
}

// quickRig is a rig with one stream whose peer is quick.
func quickRig(b testing.TB, frames int) (*rig, *Writer, *Stream) {
	g := newRig(b, frames, func(c *Config) { c.TrustRX = true })
	w := g.writer(0)
	s := g.open(w)
	r := g.peer.flows[s.flow]
	q := &quickPeer{r: r, port: g.port, next: r.next}
	h := wire.Header{Seq: r.sndNext, Ack: r.next, Flags: wire.FlagACK, Window: 65535}
	buf := make([]byte, 256)
	q.ack = buf[256-r.tmpl.Put(buf, &h, 0, 0):]
	g.port.wire = q.packet
	return g, w, s
}

// round lets the writer commit what it may and the poller do one Step; it returns
// the commits.
func round(g *rig, w *Writer, s *Stream, out []Release) (n int) {
	for b, ok := w.Reserve(s); ok; b, ok = w.Reserve(s) {
		w.Commit(s, b, len(b.Bytes), uint64(n))
		n++
	}
	g.p.Step(g.now)
	g.p.Notify(false)
	g.now += 20 * tcp.Microsecond
	for w.Releases(out) > 0 {
	}
	return n
}

// BenchmarkSegment is one full segment through writer, poller and engine, with half
// an ACK; the kernel's end is in it too. Nothing is copied; the payload is summed once.
func BenchmarkSegment(b *testing.B) {
	g, w, s := quickRig(b, 512)
	var out [256]Release
	for range 1000 {
		round(g, w, s, out[:])
	}
	b.SetBytes(1460)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += round(g, w, s, out[:])
	}
}

// TestStepAllocatesNothing: nor do the writer's calls.
func TestStepAllocatesNothing(t *testing.T) {
	g, w, s := quickRig(t, 512)
	var out [256]Release
	for range 300 {
		round(g, w, s, out[:])
	}
	sent := 0
	if n := testing.AllocsPerRun(200, func() { sent += round(g, w, s, out[:]) }); n != 0 {
		t.Fatalf("%v allocations in a round", n)
	}
	if sent < 5000 {
		t.Fatalf("only %d segments: the test tests nothing", sent)
	}
}

// TestSlowPathAllocatesNothing: loss, retransmission, timers, parking, wrong modes.
func TestSlowPathAllocatesNothing(t *testing.T) {
	for m := ReleaseAck; m <= ReleaseAcked; m++ {
		g := newRig(t, 128, func(c *Config) { c.Release = m })
		w := g.writer(0)
		s := g.open(w)
		n := 0
		inner := g.port.wire
		g.port.wire = func(b []byte) {
			if n++; n%23 != 0 {
				inner(b)
			}
		}
		var out [64]Release
		step := func() {
			for b, ok := w.Reserve(s); ok; b, ok = w.Reserve(s) {
				w.Commit(s, b, len(b.Bytes), 0)
			}
			g.now = max(g.now+10*tcp.Microsecond, min(g.p.Deadline(), g.now+tcp.Millisecond))
			for w.Releases(out[:]) > 0 {
			}
		}
		// Only Step is measured: the peer and the port behind Kick may allocate, so that
		// they are run in between.
		allocs := 0.0
		for range 700 {
			step()
			g.p.Step(g.now)
			g.p.Notify(false)
		}
		g.port.wire = func([]byte) {} // from now on nothing is answered: timeouts
		g.port.held = make([]umem.Desc, 0, 4096)
		allocs += testing.AllocsPerRun(400, func() {
			step()
			g.p.Step(g.now)
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations in a Step", m, allocs)
		}
		if s.StatsNow().Retransmits == 0 {
			t.Errorf("%v: nothing was sent again: the test tests nothing", m)
		}
	}
}
