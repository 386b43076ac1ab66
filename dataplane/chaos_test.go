package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// chaos drives a poller by a string of bytes: each picks an event and its fields. It
// stands for writers, the kernel, the peer and the clock at once. Writers keep to their
// contract, and rewrite what they are given back; the kernel, the peer and the clock
// keep to nothing. Then everybody does, and everything must come to its end.
type chaos struct {
	*rig
	in      []byte
	writers []*Writer
	left    []bool // writers that closed: nobody is told of their releases
	sources []*source
	owner   map[*source]int
	bufs    []reserved
	late    bool // the kernel completes when an event says so
	downTo  tcp.Time
	fails   int // attempts to open the queue again that will fail
	forced  map[*Stream]bool
}

// reserved is a frame that a writer filled and did not commit yet.
type reserved struct {
	c *source
	b Buf
}

const chaosStreams = 6

func FuzzPoller(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomBytes(seed, 300))
	}
	f.Fuzz(func(t *testing.T, events []byte) {
		if len(events) < 4000 {
			runChaos(t, events, ReleaseAck)
		}
	})
}

// TestChaos runs the fuzz target over seeded strings: long ones, which a coverage-guided
// fuzzer is slow to reach. A run that never gets somewhere proves nothing of it.
func TestChaos(t *testing.T) {
	runs := uint64(200)
	if testing.Short() {
		runs = 24
	}
	var sum Counters
	for seed := range runs {
		k := runChaos(t, randomBytes(seed, 1000), ReleaseAck)
		sum.Spurious += k.Spurious
		sum.OutOfRange += k.OutOfRange
		sum.RxFault += k.RxFault
		sum.RxBad += k.RxBad
		sum.Parked += k.Parked
		sum.Aborts += k.Aborts
		sum.Rebuilds += k.Rebuilds
		sum.Quarantined += k.Quarantined
		sum.BytesReleased += k.BytesReleased
	}
	t.Logf("%+v", sum)
	if min(sum.Spurious, sum.OutOfRange, sum.RxFault, sum.RxBad, sum.Parked, sum.Aborts, sum.Rebuilds, sum.Quarantined, sum.BytesReleased) == 0 {
		t.Error("the events miss something")
	}
}

// condemned is a test whose failure is what is wanted.
type condemned struct {
	testing.TB
	said string
}

func (c *condemned) Fatalf(format string, args ...any) {
	c.said = fmt.Sprintf(format, args...)
	panic(c)
}

func (c *condemned) Fatal(args ...any) { c.Fatalf("%s", fmt.Sprint(args...)) }

// fails is what the test said before it failed; "" where it passed.
func (c *condemned) fails(test func(testing.TB)) (said string) {
	defer func() {
		if p := recover(); p != nil && p != any(c) {
			panic(p)
		}
		said = c.said
	}()
	test(c)
	return ""
}

// TestChaosFindsWrongModes is the negative control of TestChaos: whoever gives frames
// back too early does not get through.
func TestChaosFindsWrongModes(t *testing.T) {
	for _, mode := range []ReleaseMode{ReleaseCompletion, ReleaseSubmit, ReleaseAcked} {
		said := ""
		seed := uint64(0)
		for ; said == "" && seed < 100; seed++ {
			c := condemned{TB: t}
			said = c.fails(func(tb testing.TB) { runChaos(tb, randomBytes(seed, 1000), mode) })
		}
		if said == "" {
			t.Errorf("mode %v is not found out in %d runs", mode, seed)
		}
		t.Logf("mode %v: found out by run %d: %s", mode, seed, said)
	}
}

func randomBytes(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 17))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func runChaos(t testing.TB, events []byte, mode ReleaseMode) Counters {
	w := &chaos{in: events, owner: map[*source]int{}, forced: map[*Stream]bool{}}
	bits := w.byte()
	w.rig = newRig(t, 12+int(w.byte())%100, func(c *Config) {
		c.MaxStreams, c.Release = chaosStreams, mode
		c.TrustRX = bits&1 != 0
		c.Reopen = w.reopened
	})
	for range 2 {
		w.writers = append(w.writers, w.writer(int(w.byte())%40))
		w.left = append(w.left, false)
	}
	if bits&6 != 0 { // else the handshakes are left to chance
		w.openStream()
		w.openStream()
		w.until("established", func() bool { return w.sources[0].s.Established() })
	}
	for len(w.in) > 0 {
		w.event(w.byte() % 32)
	}
	w.settleDown()
	return w.p.CountersNow()
}

func (w *chaos) byte() byte {
	if len(w.in) == 0 {
		return 0
	}
	b := w.in[0]
	w.in = w.in[1:]
	return b
}

func (w *chaos) event(n byte) {
	switch n {
	case 0, 1:
		w.openStream()
	case 2, 3, 4, 5, 6, 7:
		w.write()
	case 8:
		w.reserve()
	case 9:
		w.decide()
	case 10:
		if c := w.source(); c != nil && w.byte() < 64 && !w.holds(c) {
			c.w.CloseWrite(c.s)
		}
	case 11, 12:
		w.collect(int(w.byte()) % len(w.writers))
	case 13:
		if c := w.source(); c != nil && w.byte() < 16 {
			w.forced[c.s] = true
			w.p.Abort(w.now, c.s)
		}
	case 14:
		w.leave()
	case 19:
		w.pass(tcp.Duration(1) << (w.byte() % 32))
	case 20:
		w.pass(max(tcp.Microsecond, min(w.p.Deadline()-w.now, tcp.Second)))
	case 21, 22, 23, 24:
		w.kernel(n)
	case 25:
		w.nonsense()
	case 26:
		w.stray()
	case 27, 28, 29:
		w.rudePeer(n)
	case 30:
		w.queueFails()
	case 31:
		if c := w.source(); c != nil {
			w.p.SetMTU(w.now, c.s, 500+int(w.byte())*4)
		}
	default:
		for range 1 + w.byte()%8 {
			w.pass(tcp.Microsecond)
		}
	}
}

// pass is one Step, and what Run does when a queue is dead.
func (w *chaos) pass(d tcp.Duration) {
	w.now += d
	w.port.hold = w.late
	work := w.p.Step(w.now)
	if w.p.Dead() != nil {
		_ = w.p.Rebuild(w.now)
	}
	w.p.Notify(work == 0)
	w.check()
	if _, err := w.p.Audit(); err != nil {
		w.Fatal(err)
	}
}

func (w *chaos) source() *source {
	if len(w.sources) == 0 {
		return nil
	}
	return w.sources[int(w.byte())%len(w.sources)]
}

func (w *chaos) openStream() {
	at := int(w.byte()) % len(w.writers)
	if w.left[at] {
		return
	}
	cfg := w.config()
	cfg.SendSlots = 12 + int(w.byte())%40
	s, err := w.p.Open(w.now, w.writers[at], cfg)
	if err != nil {
		if !errors.Is(err, ErrTooMany) && !errors.Is(err, ErrQueueDead) {
			w.Fatal(err)
		}
		return
	}
	c := newSource(uint64(len(w.sources)), w.writers[at], s, 1<<16)
	c.scribble = true
	w.sources = append(w.sources, c)
	w.owner[c] = at
}

// next is a source whose writer may reserve, and a frame.
func (w *chaos) next() (*source, Buf, bool) {
	c := w.source()
	if c == nil || w.left[w.owner[c]] || c.at+2000 > len(c.bytes) {
		return nil, Buf{}, false
	}
	b, ok := c.w.Reserve(c.s)
	return c, b, ok
}

func (w *chaos) write() {
	for range 1 + w.byte()%16 {
		if c, b, ok := w.next(); ok {
			w.commit(c, b)
		}
	}
}

// commit sends some of the next bytes; sometimes few.
func (w *chaos) commit(c *source, b Buf) {
	if n := 1 + int(w.byte())*8; n < len(b.Bytes) {
		b.Bytes = b.Bytes[:n]
	}
	c.commit(b)
}

func (w *chaos) reserve() {
	if c, b, ok := w.next(); ok {
		w.bufs = append(w.bufs, reserved{c, b})
	}
}

func (w *chaos) holds(c *source) bool {
	for _, r := range w.bufs {
		if r.c == c {
			return true
		}
	}
	return false
}

// decide commits or abandons a frame that was reserved before.
func (w *chaos) decide() {
	if len(w.bufs) == 0 {
		return
	}
	i := int(w.byte()) % len(w.bufs)
	r := w.bufs[i]
	w.bufs = append(w.bufs[:i], w.bufs[i+1:]...)
	if w.byte() < 64 {
		r.c.w.Abandon(r.c.s, r.b)
		return
	}
	w.commit(r.c, r.b)
}

// collect takes the releases of a writer.
func (w *chaos) collect(at int) {
	if w.left[at] {
		return
	}
	drain(w, w.writers[at], w.sources...)
}

// leave closes a writer, seldom, and only one that has nothing in its hands.
func (w *chaos) leave() {
	at := int(w.byte()) % len(w.writers)
	if w.byte() >= 8 || w.writers[at].bufs > 0 {
		return
	}
	w.left[at] = true
	w.writers[at].Close()
}

func (w *chaos) kernel(n byte) {
	held := w.port.held
	switch {
	case n == 21:
		w.late = w.byte() < 128
	case n == 22 && len(held) > 0: // some of what is out comes back
		w.port.finish(1 + int(w.byte())%len(held))
	case n == 23 && len(held) > 1: // in another order
		i, j := int(w.byte())%len(held), int(w.byte())%len(held)
		if w.port.whole(i) && w.port.whole(j) {
			held[i], held[j] = held[j], held[i]
		}
	case n == 24: // an address of nothing that is out
		f := umem.Frame(int(w.byte()) % w.pool.Len())
		addr := w.region.Addr(f) + uint64(w.byte())
		if w.pool.InKernel(f) > 0 {
			addr = w.region.Addr(umem.Frame(w.pool.Len())) << (w.byte() % 40)
		}
		w.port.complete(addr)
		w.pass(0) // before the frame is sent
	}
}

// nonsense is an RX descriptor that the kernel made up, or a packet that is none.
func (w *chaos) nonsense() {
	switch k := w.byte(); {
	case k < 64 && w.port.krx.Reserve(1) > 0:
		f := umem.Frame(int(w.byte()) % w.pool.Len())
		if w.pool.InKernel(f) == 0 {
			w.port.krx.Put(umem.Desc{Addr: w.region.Addr(f) + uint64(w.byte())<<4, Len: uint32(w.byte()) << 4})
			w.port.krx.Submit()
			w.pass(0)
		}
	case k < 96 && w.port.kfill.Peek(1) > 0: // a packet that leaves its frame
		addr := w.port.kfill.Take() + 256
		w.port.kfill.Release()
		w.port.krx.Put(umem.Desc{Addr: addr, Len: 1793 + uint32(w.byte())<<8})
		w.port.krx.Submit()
	default:
		w.port.deliver(randomBytes(uint64(w.byte()), int(w.byte())))
	}
}

// stray is a segment without payload that the peer did not send, at most of what it has.
func (w *chaos) stray() {
	c := w.source()
	if c == nil {
		return
	}
	r := w.peer.flows[c.s.flow]
	if r == nil {
		return
	}
	flags := []uint8{wire.FlagACK, wire.FlagACK, wire.FlagACK | wire.FlagRST, wire.FlagACK | wire.FlagSYN, wire.FlagRST, 0}[w.byte()%6]
	h := *r
	h.next -= uint32(w.byte())
	if near := w.byte(); near < 200 {
		h.next = r.next
	}
	seq := r.sndNext - uint32(w.byte()>>1)
	if flags&(wire.FlagRST|wire.FlagSYN) != 0 { // else its window would be believed, and no older one
		seq += uint32(w.byte())
	}
	w.peer.reply(&h, seq, flags, nil)
}

func (w *chaos) rudePeer(n byte) {
	switch c := w.source(); {
	case n == 27:
		w.peer.mute = w.byte() < 64
	case n == 28:
		lose := int(w.byte()) % 16
		w.peer.drop = func(*wire.Segment) bool { lose--; return lose >= 0 }
	case c != nil && w.peer.flows[c.s.flow] != nil:
		r := w.peer.flows[c.s.flow]
		r.window = uint16(w.byte()) << (w.byte() % 9)
	}
}

// queueFails: the interface is down for a while, or the queue dies.
func (w *chaos) queueFails() {
	switch k := w.byte(); {
	case k < 64:
		w.downTo = w.now + tcp.Duration(w.byte())<<(w.byte()%24)
		w.port.answer = w.answer
	case k < 72:
		w.fails = int(w.byte()) % 20
		w.port.answer = func() Kick { return KickDead }
	case k < 76:
		w.fails = int(w.byte()) % 4
		w.port.corrupt = true
	}
}

func (w *chaos) answer() Kick {
	if w.now < w.downTo {
		return KickDown
	}
	return KickOK
}

func (w *chaos) reopened(queue int) (Port, error) { return w.reopen(&w.fails)(queue) }

// settleDown lets everybody keep to the rules from now on: every commit is answered
// once, what a connection that nobody ended sent has arrived, and all frames come home.
func (w *chaos) settleDown() {
	w.late, w.port.hold, w.downTo, w.fails = false, false, 0, 0
	w.peer.mute, w.peer.drop = false, nil
	w.port.answer, w.port.corrupt = nil, false
	w.port.finish(len(w.port.held))
	for len(w.bufs) > 0 {
		w.decide()
	}
	for _, c := range w.sources {
		if !w.left[w.owner[c]] {
			c.w.CloseWrite(c.s)
		}
	}
	end := w.now + 3600*tcp.Second
	for !w.over() {
		w.pass(max(tcp.Microsecond, min(w.p.Deadline()-w.now, 100*tcp.Millisecond)))
		if w.now > end {
			w.Fatalf("it does not end: %+v", w.p.CountersNow())
		}
	}
	for _, c := range w.sources {
		w.compare(c)
	}
	w.finish()
}

// over reports that every stream whose writer is there has ended, in TIME-WAIT too, and
// every commit is answered.
func (w *chaos) over() bool {
	if w.p.Dead() != nil && w.p.failed == nil {
		return false
	}
	for _, r := range w.peer.flows {
		r.window, r.stopped = peerWindow, false
	}
	for at := range w.writers {
		w.collect(at)
	}
	for _, c := range w.sources {
		if !w.left[w.owner[c]] && (len(c.pending) > 0 || !c.s.SendClosed() && !c.s.Ended()) {
			return false
		}
	}
	return true
}

// compare holds what arrived against what was sent.
func (w *chaos) compare(c *source) {
	var got []byte
	if r := w.peer.flows[c.s.flow]; r != nil {
		got = r.stream
	}
	sent := c.bytes[:c.at]
	clean := c.s.SendClosed() && !w.left[w.owner[c]]
	if !bytes.HasPrefix(sent, got) || clean && len(got) != len(sent) {
		w.Fatalf("port %d: the peer got %d bytes, sent %d; they differ", c.s.flow.LocalPort, len(got), len(sent))
	}
	if c.s.Ended() && c.s.Err() == nil && w.forced[c.s] && !c.s.SendClosed() {
		w.Fatalf("port %d: aborted, and no error", c.s.flow.LocalPort)
	}
}
