package dataplane

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// bareStreams are streams with a connection and nothing else.
func bareStreams(g *rig, n int) []*Stream {
	streams := make([]*Stream, n)
	for i := range streams {
		c, err := tcp.New(g.config(), g.pool)
		must(g, err)
		streams[i] = &Stream{conn: c, due: tcp.Never}
	}
	return streams
}

// TestDeadlines: a model of keys against the heap.
func TestDeadlines(t *testing.T) {
	g := newRig(t, 64, nil)
	rng := rand.New(rand.NewPCG(3, 3))
	var d deadlines
	d.init(100)
	rest := bareStreams(g, 100)
	var in []*Stream
	for range 20000 {
		switch k := rng.IntN(4); {
		case k == 0 && len(rest) > 0:
			s := rest[len(rest)-1]
			rest = rest[:len(rest)-1]
			s.due = tcp.Time(rng.IntN(1000))
			d.add(s)
			in = append(in, s)
		case k == 1 && len(in) > 0:
			i := rng.IntN(len(in))
			d.remove(in[i])
			rest = append(rest, in[i])
			in = slices.Delete(in, i, i+1)
		case k == 2 && len(in) > 0:
			d.later(d.heap[0], d.heap[0].due+tcp.Time(rng.IntN(1000)))
		case len(in) > 0: // what earlier does
			s := in[rng.IntN(len(in))]
			s.due -= tcp.Time(rng.IntN(100))
			d.up(s.heapAt)
		}
		want := tcp.Never
		for _, s := range in {
			want = min(want, s.due)
			if d.heap[s.heapAt] != s {
				t.Fatal("a stream does not know its place")
			}
		}
		if d.next() != want || len(d.heap) != len(in) {
			t.Fatalf("next %d, want %d", d.next(), want)
		}
	}
}

// TestFlights: a completion of a frame is that of the descriptor with its address, else of the oldest; those of
// another frame do not disturb them.
func TestFlights(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var f flights
	f.init(16, 8)
	type out struct {
		s    *Stream
		addr uint64
	}
	streams := []*Stream{{}, {}, {}}
	model := make([][]out, 8)
	n := 0
	for range 20000 {
		frame := rng.IntN(8)
		if rng.IntN(2) == 0 && f.room() > 0 {
			o := out{streams[rng.IntN(3)], rng.Uint64N(4)}
			f.push(frame, o.addr, o.s, tcp.Ref{})
			model[frame] = append(model[frame], o)
			n++
			continue
		}
		addr := rng.Uint64N(5)
		at := max(0, slices.IndexFunc(model[frame], func(o out) bool { return o.addr == addr }))
		s, _, ok := f.pop(frame, addr)
		if ok != (len(model[frame]) > 0) || ok && s != model[frame][at].s {
			t.Fatalf("frame %d, address %d: %p, %v; want number %d of %v", frame, addr, s, ok, at, model[frame])
		}
		if ok {
			model[frame] = slices.Delete(model[frame], at, at+1)
			n--
		}
		if f.out != n || f.room() != 16-n || streams[0].out+streams[1].out+streams[2].out != n {
			t.Fatalf("%d out, counted %d", n, f.out)
		}
	}
}

// TestReadyQueue: each stream once, in the order in which it became ready.
func TestReadyQueue(t *testing.T) {
	var q readyQueue
	q.init(3)
	a, b, c := &Stream{}, &Stream{}, &Stream{}
	for range 10 {
		q.add(a)
		q.add(b)
		q.add(a)
		q.add(c)
		if q.len() != 3 || q.pop() != a {
			t.Fatal("a is not first")
		}
		q.add(a)
		if q.pop() != b || q.pop() != c || q.pop() != a || q.len() != 0 {
			t.Fatal("not in turn")
		}
	}
}

// TestTap: every packet once, whole, in order; what the reader has no time for is
// counted.
func TestTap(t *testing.T) {
	tap := NewTap(64, 2048)
	g := newRig(t, 64, func(c *Config) { c.Tap = tap })
	w := g.writer(0)
	s := g.open(w)
	sent, received := 0, 0
	last := tcp.Time(0)
	read := func() {
		for p, ok := tap.Next(); ok; p, ok = tap.Next() {
			if p.Time < last || len(p.Bytes) < 54 {
				t.Fatalf("packet of %d bytes at %d", len(p.Bytes), p.Time)
			}
			last = p.Time
			if p.Sent {
				sent++
			} else {
				received++
			}
		}
	}
	c := newSource(1, w, s, 100000)
	g.until("done", func() bool {
		read()
		drain(t, w, c)
		c.push()
		return s.SendClosed() && len(c.pending) == 0
	})
	read()
	k := g.p.CountersNow()
	if k.TapLost != 0 || uint64(sent) != k.Submitted || uint64(received) != k.RxPackets {
		t.Fatalf("%d sent, %d received; %+v", sent, received, k)
	}
	c = newSource(2, w, g.open(w), 200000) // and nobody reads
	g.transfer(c)
	if k := g.p.CountersNow(); k.TapLost == 0 {
		t.Fatal("nothing was lost")
	}
	g.finish()
}

// TestNewRefuses: each refusal names what is wrong.
func TestNewRefuses(t *testing.T) {
	r, err := umem.Map(umem.Config{Frames: 128, ChunkSize: 2048})
	must(t, err)
	defer r.Close() //nolint:errcheck // memory only
	pool := func() *umem.Pool {
		p, err := umem.NewPool(r, 0, 128, 60)
		must(t, err)
		return p
	}
	port := newMemPort(r, 64)
	for name, c := range map[string]struct {
		cfg  Config
		want error
		text string
	}{
		"no pool":        {Config{Port: port}, ErrBadConfig, "pool"},
		"no port":        {Config{Pool: pool()}, ErrBadConfig, "port"},
		"mode":           {Config{Pool: pool(), Port: port, Release: 9}, ErrBadConfig, "release mode 9"},
		"streams":        {Config{Pool: pool(), Port: port, MaxStreams: 1 << 20}, ErrBadConfig, "streams"},
		"receive frames": {Config{Pool: pool(), Port: port, RxFrames: 65}, ErrBadConfig, "64 entries"},
		"stall":          {Config{Pool: pool(), Port: port, Stall: -1}, ErrBadConfig, "stall"},
		"too few frames": {Config{Pool: pool(), Port: newMemPort(r, 128), RxFrames: 67}, umem.ErrTooSmall, "128 frames, but 67 to receive into, the engine's reserve of 60 and 2 to send from make 129"},
		"far too few":    {Config{Pool: pool(), Port: newMemPort(r, 128), RxFrames: 128}, umem.ErrTooSmall, "make 190"},
		"just enough":    {Config{Pool: pool(), Port: newMemPort(r, 128), RxFrames: 66}, nil, ""},
	} {
		_, err := New(c.cfg)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpenRefuses: each refusal names what is wrong, and leaves nothing behind.
func TestOpenRefuses(t *testing.T) {
	g := newRig(t, 9, func(c *Config) { c.MaxStreams = 8 })
	w, stranger := g.writer(0), newRig(t, 64, nil).writer(0)
	cfg := g.config()
	s, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	if _, err := g.p.Open(g.now, w, cfg); !errors.Is(err, ErrFlowInUse) {
		t.Errorf("same flow: %v", err)
	}
	if _, err := g.p.Open(g.now, stranger, g.config()); !errors.Is(err, ErrBadConfig) {
		t.Errorf("writer of another poller: %v", err)
	}
	bad := g.config()
	bad.MTU = 20000
	if _, err := g.p.Open(g.now, w, bad); !errors.Is(err, tcp.ErrBadConfig) {
		t.Errorf("MTU: %v", err)
	}
	n := 1
	for ; ; n++ {
		if _, err = g.p.Open(g.now, w, g.config()); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooMany) || n != 4 {
		t.Errorf("%d streams out of 9 frames: %v", n, err)
	}
	g.p.Shutdown(g.now)
	if _, err := g.p.Open(g.now, w, g.config()); !errors.Is(err, ErrStopped) {
		t.Errorf("after Shutdown: %v", err)
	}
	g.until("over", s.Home)
	g.finish()
}

// TestOtherQueue: every answer arrives on the other poller's queue, and reaches its
// connection; what there is no room for is dropped and counted.
func TestOtherQueue(t *testing.T) {
	d := new(Directory)
	a := newRig(t, 128, func(c *Config) { c.Directory = d })
	b := newRig(t, 128, func(c *Config) { c.Directory = d })
	a.peer.send = func(packet []byte) { b.port.deliver(packet) }
	w := a.writer(0)
	s, err := a.p.Open(a.now, w, a.config())
	must(t, err)
	c := newSource(1, w, s, 1<<20)
	b.now = a.now
	a.until("done", func() bool {
		b.step()
		b.now = a.now
		drain(t, w, c)
		if s.Established() {
			c.push()
		}
		return s.SendClosed() && len(c.pending) == 0
	})
	ka, kb := a.p.CountersNow(), b.p.CountersNow()
	if ka.RxOtherQueue == 0 || ka.RxPackets != 0 || kb.RxPackets != ka.RxOtherQueue+kb.RxStrayLost || kb.RxUnknown != 0 {
		t.Fatalf("%+v\n%+v", ka, kb)
	}
	for range 2 * strayRing {
		a.peer.reply(a.peer.flows[s.flow], 0, 0, nil)
		b.step()
	}
	if k := b.p.CountersNow(); k.RxStrayLost == 0 {
		t.Fatalf("%+v", k)
	}
	a.until("home", s.Home)
	a.peer.reply(a.peer.flows[s.flow], 0, 0, nil)
	b.step()
	if k := b.p.CountersNow(); k.RxUnknown != 1 {
		t.Fatalf("a flow that is over is still somebody's: %+v", k)
	}
	a.finish()
	b.finish()
}
