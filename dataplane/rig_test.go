package dataplane

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// rig is a poller on virtual time over a memPort and a peer.
type rig struct {
	testing.TB
	region *umem.Region
	pool   *umem.Pool
	port   *memPort
	peer   *peer
	p      *Poller
	now    tcp.Time
	ports  uint16
	rto    tcp.Duration
	checks int
}

const (
	rigRing    = 256
	rigRx      = 128
	rigReserve = 64
)

// newRig makes a rig whose writers can have frames frames together.
func newRig(t testing.TB, frames int, edit func(*Config)) *rig {
	t.Helper()
	total := frames + rigRx + rigReserve
	r, err := umem.Map(umem.Config{Frames: total, ChunkSize: 2048})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	pool, err := umem.NewPool(r, 0, total, rigReserve)
	must(t, err)
	g := &rig{TB: t, region: r, pool: pool, now: tcp.Second, ports: 4000, rto: 200 * tcp.Millisecond}
	g.port = newMemPort(r, rigRing)
	g.peer = newPeer(func(b []byte) { g.port.deliver(b) })
	g.port.wire = g.peer.packet
	cfg := Config{Pool: pool, Port: g.port, RxFrames: rigRx}
	if edit != nil {
		edit(&cfg)
	}
	g.p, err = New(cfg)
	must(t, err)
	return g
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (g *rig) writer(frames int) *Writer {
	g.Helper()
	w, err := g.p.NewWriter(frames)
	must(g, err)
	return w
}

func (g *rig) config() tcp.Config {
	g.ports++
	local := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), g.ports)
	return tcp.Config{
		Flow: wire.FlowOf(local, netip.MustParseAddrPort("10.0.0.2:80")), MTU: 1500, ISS: tcp.Seq(g.ports) * 1000,
		RTOMin: g.rto, TimeWait: tcp.Second, Resum: true,
	}
}

// open opens a stream and completes its handshake.
func (g *rig) open(w *Writer) *Stream {
	g.Helper()
	s, err := g.p.Open(g.now, w, g.config())
	must(g, err)
	g.until("established", s.Established)
	return s
}

// step is one pass: time moves 10 µs where there is work, and to the deadline where
// there is none.
func (g *rig) step() int {
	g.Helper()
	work := g.p.Step(g.now)
	g.p.Notify(work == 0)
	g.check()
	if work > 0 {
		g.now += 10 * tcp.Microsecond
	} else {
		g.now = max(g.now+tcp.Microsecond, min(g.p.Deadline(), g.now+100*tcp.Millisecond))
	}
	return work
}

// until steps until cond holds; ten virtual minutes are enough for everything.
func (g *rig) until(what string, cond func() bool) {
	g.Helper()
	end := g.now + 600*tcp.Second
	for n := 0; !cond(); n++ {
		g.step()
		if g.now > end || n > 2000000 {
			g.Fatalf("%s: not after %d ms, %d steps: %+v", what, (g.now-end)/tcp.Millisecond+600000, n, g.p.CountersNow())
		}
	}
}

// check proves what holds after every step.
func (g *rig) check() {
	g.Helper()
	if g.checks++; g.checks%16 == 0 { // it looks at everything
		if _, err := g.p.Audit(); err != nil {
			g.Fatal(err)
		}
		if _, err := g.p.BooksNow(); err != nil {
			g.Fatal(err)
		}
	}
	c := g.p.CountersNow()
	if c.Submitted != c.Completed+c.Quarantined+c.Out {
		g.Fatalf("submitted %d, completed %d, quarantined %d, out %d", c.Submitted, c.Completed, c.Quarantined, c.Out)
	}
	if g.p.mode == ReleaseAck && c.LentWhileHeld != 0 {
		g.Fatalf("%d bytes lent while held", c.LentWhileHeld)
	}
	if g.peer.bad != 0 {
		g.Fatalf("%d packets do not parse at the peer", g.peer.bad)
	}
	for _, l := range g.p.lanes {
		room := 0
		for _, s := range g.p.deadlines.heap {
			if s.writer.lane == l {
				room += max(0, s.allowed-s.committed)
			}
		}
		if room != l.room || l.lent < 0 || l.owned < l.lent || l.owned > l.most {
			g.Fatalf("lane: room %d, counted %d; lent %d, owned %d of %d", room, l.room, l.lent, l.owned, l.most)
		}
	}
}

// source is a stream of bytes that a test sends.
type source struct {
	w        *Writer
	s        *Stream
	bytes    []byte
	at       int
	pending  map[uint64][2]int // cookie: range
	released int
	cookie   uint64
	scribble bool // rewrite each frame when it is released
	log      []Release
}

func newSource(seed uint64, w *Writer, s *Stream, n int) *source {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return &source{w: w, s: s, bytes: b, pending: map[uint64][2]int{}}
}

// push commits what can be committed now.
func (c *source) push() {
	for c.at < len(c.bytes) {
		b, ok := c.w.Reserve(c.s)
		if !ok {
			return
		}
		c.commit(b)
	}
	c.w.CloseWrite(c.s)
}

// commit sends the next bytes in b.
func (c *source) commit(b Buf) {
	n := copy(b.Bytes, c.bytes[c.at:])
	c.cookie++
	c.pending[c.cookie] = [2]int{c.at, c.at + n}
	c.w.Commit(c.s, b, n, c.cookie)
	c.at += n
}

// took checks one release against the commit it answers.
func (c *source) took(t testing.TB, r Release) {
	t.Helper()
	want, ok := c.pending[r.Cookie]
	if !ok || r.Stream != c.s {
		t.Fatalf("release of cookie %d: not committed, or released before", r.Cookie)
	}
	if int(r.Start) != want[0] || int(r.End) != want[1] {
		t.Fatalf("release of [%d,%d), committed [%d,%d)", r.Start, r.End, want[0], want[1])
	}
	delete(c.pending, r.Cookie)
	c.released += want[1] - want[0]
	c.log = append(c.log, r)
	if c.scribble {
		b := c.w.Payload(&r)
		for i := range b {
			b[i] = 0xee
		}
	}
}

// drain takes releases of one writer and gives them to their sources.
func drain(t testing.TB, w *Writer, sources ...*source) {
	t.Helper()
	var out [64]Release
	for n := w.Releases(out[:]); n > 0; n = w.Releases(out[:]) {
		for _, r := range out[:n] {
			for _, c := range sources {
				if c.s == r.Stream {
					c.took(t, r)
				}
			}
		}
	}
}

// transfer sends every source to its end and sees everything come home.
func (g *rig) transfer(sources ...*source) {
	g.Helper()
	g.until("everything ACKed and released", func() bool {
		done := true
		for _, c := range sources {
			drain(g, c.w, sources...)
			c.push()
			done = done && c.s.SendClosed() && len(c.pending) == 0
		}
		return done
	})
	for _, c := range sources {
		if got := g.peer.flows[c.s.flow].stream; !bytes.Equal(got, c.bytes) {
			g.Fatalf("the peer got %d bytes, sent %d; they differ", len(got), len(c.bytes))
		}
	}
}

// finish closes everything and wants all frames back.
func (g *rig) finish() Remains {
	g.Helper()
	g.p.Shutdown(g.now)
	g.until("drained", g.p.Drained)
	rem, err := g.p.Close()
	must(g, err)
	if rem.Leaked != 0 {
		g.Fatalf("%d frames leaked: %+v", rem.Leaked, rem.Census)
	}
	return rem
}
