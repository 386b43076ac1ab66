package tcp

import (
	"bytes"
	"encoding/binary"
	"flag"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// harness drives one connection by verbs: what it emits must be named by the test
// (want...), or the test fails. The kernel's end is explicit too: complete gives
// frames back, and by default everything is completed at once.
type harness struct {
	t         *testing.T
	c         *Conn
	pool      *umem.Pool
	region    *umem.Region
	now       Time
	out       []sent // emitted and not yet named
	hold      bool   // completions wait for complete
	held      []heldTx
	mutant    bool // this test breaks the engine on purpose: rewritten counts what it breaks
	rewritten int  // packets that were written to while the kernel held them
	peerTS    uint32
	irs       Seq
	wnd       uint16
	opts      wire.Options // of the peer's SYN
	done      map[umem.Frame]bool
	next      byte

	deaf bool // checksums that are asked for are not computed
	bad  bool // packets whose checksum is wrong are kept, and named as such

	synAckAfter Duration // round trip of the handshake; 0 = 1 ms
}

// sent is one segment as the peer's parser sees it.
type sent struct {
	seg     wire.Segment
	payload string
	tx      Tx
	bad     bool // its checksum is wrong
}

// heldTx is a packet that the kernel has, and its bytes as they were handed over, the
// request before them included.
type heldTx struct {
	tx    Tx
	bytes []byte
}

// offloadAll plays every test that does not say otherwise with checksum offload.
var offloadAll = flag.Bool("tcp.offload", false, "checksums are asked for, not computed, in every test that has a harness")

const testISS = Seq(1000)

var testFlow = wire.FlowOf(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:80"))

// idle are the regions that no test uses now, by their number of frames: to map one
// takes longer than most tests. Tests of this package do not run in parallel.
var idle = map[int][]*umem.Region{}

func testRegion(tb testing.TB, frames int) *umem.Region {
	tb.Helper()
	var r *umem.Region
	if n := len(idle[frames]); n > 0 {
		r = idle[frames][n-1]
		idle[frames] = idle[frames][:n-1]
	} else {
		var err error
		if r, err = umem.Map(umem.Config{Frames: frames, ChunkSize: 2048}); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() { idle[frames] = append(idle[frames], r) })
	return r
}

func newHarness(t *testing.T, edit func(*Config, *harness)) *harness {
	t.Helper()
	r := testRegion(t, 512)
	pool, err := umem.NewPool(r, 0, 512, 64)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, pool: pool, region: r, now: Second, peerTS: 5000, irs: 9000, wnd: 65535, done: map[umem.Frame]bool{}}
	h.opts = wire.Options{HasMSS: true, MSS: 1460, SACKPermitted: true, HasTS: true, HasWScale: true, WScale: 7}
	cfg := Config{Flow: testFlow, MTU: 1500, ISS: testISS, SendSlots: 256, Congestion: Reno, MaxSegs: testSegs}
	if *offloadAll {
		cfg.Checksum = ChecksumOffload
	}
	if edit != nil {
		edit(&cfg, h)
	}
	c, err := New(cfg, pool)
	if err != nil {
		t.Fatal(err)
	}
	h.c = c
	t.Cleanup(h.finish)
	return h
}

// established is a harness after the handshake, one millisecond long.
func established(t *testing.T, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := newHarness(t, edit)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.advance(max(h.synAckAfter, Millisecond))
	h.synAck()
	h.want(1, 0, wire.FlagACK)
	return h
}

func (h *harness) connect() {
	h.t.Helper()
	if err := h.c.Connect(h.now); err != nil {
		h.t.Fatal(err)
	}
	h.transmit()
}

func (h *harness) synAck() {
	h.t.Helper()
	seg := wire.Segment{Flow: testFlow, Seq: uint32(h.irs), Ack: uint32(testISS + 1), Flags: wire.FlagSYN | wire.FlagACK, Window: h.wnd, Options: h.opts}
	seg.Options.TSVal, seg.Options.TSEcr = h.peerTS, h.c.tsVal(h.now)
	h.inject(seg)
}

// write commits n payload bytes, a frame per MSS.
func (h *harness) write(n int) {
	h.t.Helper()
	for n > 0 {
		k := min(n, h.c.MSS())
		h.writeFrame(payloadAt, k)
		n -= k
	}
	h.transmit()
}

func (h *harness) writeFrame(off, n int) umem.Frame {
	h.t.Helper()
	f, ok := h.pool.Lend()
	if !ok {
		h.t.Fatal("no frame to lend")
	}
	b := h.region.WriterBytes(f)[off : off+n]
	for i := range b {
		b[i] = h.next
		h.next++
	}
	h.pool.Commit(f)
	if !h.c.Queue(f, off, n) {
		h.t.Fatalf("Queue of %d bytes refused in %v", n, h.c.State())
	}
	return f
}

// transmit takes what the engine emits, checks each packet as a receiver would, and
// completes it unless the test holds completions.
func (h *harness) transmit() {
	h.t.Helper()
	var txs [64]Tx
	for {
		n := h.c.Transmit(h.now, txs[:])
		for _, tx := range txs[:n] {
			h.take(tx)
		}
		if n < len(txs) {
			break
		}
	}
	h.check()
}

func (h *harness) take(tx Tx) {
	h.t.Helper()
	pkt := h.packet(tx)
	s := sent{tx: tx}
	err := wire.Parse(pkt, true, &s.seg)
	if err == wire.ErrChecksum && h.bad {
		s.bad = true
		err = wire.Parse(pkt, false, &s.seg)
	}
	if err != nil {
		h.t.Fatalf("emitted packet does not parse: %v", err)
	}
	s.payload = string(s.seg.Payload)
	h.out = append(h.out, s)
	if h.hold {
		h.held = append(h.held, heldTx{tx, bytes.Clone(covered(h.region, &tx))})
		return
	}
	h.completeTx(tx)
}

// packet is what leaves: with the checksum that was asked for.
func (h *harness) packet(tx Tx) []byte {
	h.t.Helper()
	pkt := covered(h.region, &tx)
	if !tx.Metadata {
		return pkt
	}
	pkt = bytes.Clone(pkt)
	m, pkt := pkt[:MetadataLen], pkt[MetadataLen:]
	if h.deaf {
		return pkt
	}
	start, offset := binary.NativeEndian.Uint16(m[8:]), binary.NativeEndian.Uint16(m[10:])
	if flags := binary.NativeEndian.Uint64(m); flags != 2 || !wire.Complete(pkt, int(start), int(offset)) {
		h.t.Fatalf("metadata % x asks for no checksum", m)
	}
	return pkt
}

// completeHeld completes what the kernel held, and proves that nobody wrote to it: the
// NIC may read it until this moment.
func (h *harness) completeHeld(k heldTx) {
	h.t.Helper()
	if !bytes.Equal(k.bytes, covered(h.region, &k.tx)) {
		h.rewritten++
		if !h.mutant {
			h.t.Fatalf("frame %d was written to while the kernel held it", k.tx.Frame)
		}
	}
	h.completeTx(k.tx)
}

func (h *harness) completeTx(tx Tx) {
	h.t.Helper()
	if fault := completeAll(h.pool, h.c, h.now, &tx); fault != umem.FaultNone {
		h.t.Fatalf("completion of %d: fault %d", tx.Addr, fault)
	}
}

// complete gives back everything held so far.
func (h *harness) complete() {
	h.t.Helper()
	held := h.held
	h.held = nil
	for _, k := range held {
		h.completeHeld(k)
	}
	h.transmit()
}

// advance moves the clock, firing every deadline on the way at its own time.
func (h *harness) advance(d Duration) {
	h.t.Helper()
	end := h.now + d
	for n := 0; ; n++ {
		dl := h.c.Deadline()
		if dl > end {
			break
		}
		if n > 10000 {
			h.t.Fatalf("deadline %d does not move", dl)
		}
		h.now = max(h.now, dl)
		h.c.Advance(h.now)
		h.transmit()
	}
	h.now = end
}

// ack injects a pure ACK of n stream bytes (0 = nothing but the SYN) with SACK blocks.
func (h *harness) ack(n int, blocks ...[2]int) {
	h.t.Helper()
	seg := h.segment(wire.FlagACK, n)
	for i, b := range blocks {
		seg.Options.SACK[i] = wire.SACKBlock{Start: uint32(testISS.Add(1 + b[0])), End: uint32(testISS.Add(1 + b[1]))}
		seg.Options.NumSACK++
	}
	h.inject(seg)
}

// segment is one from the peer that ACKs n stream bytes.
func (h *harness) segment(flags uint8, n int) wire.Segment {
	seg := wire.Segment{Flow: testFlow, Seq: uint32(h.irs + 1), Ack: uint32(testISS.Add(1 + n)), Flags: flags, Window: h.wnd}
	if h.opts.HasTS {
		h.peerTS++
		seg.Options.HasTS, seg.Options.TSVal, seg.Options.TSEcr = true, h.peerTS, h.c.tsVal(h.now)
	}
	return seg
}

func (h *harness) inject(seg wire.Segment) {
	h.t.Helper()
	h.c.Receive(h.now, &seg)
	h.transmit()
}

// want names the next emitted segment: start of its payload in the stream + 1 (SYN is 0), length, flags.
func (h *harness) want(seq, n int, flags uint8) sent {
	h.t.Helper()
	if len(h.out) == 0 {
		h.t.Fatalf("want seq %d len %d flags %#x: nothing was emitted", seq, n, flags)
	}
	s := h.out[0]
	h.out = h.out[1:]
	got := int(Seq(s.seg.Seq).Sub(testISS))
	if got != seq || len(s.payload) != n || s.seg.Flags&^wire.FlagPSH != flags {
		h.t.Fatalf("want seq %d len %d flags %#x, emitted seq %d len %d flags %#x", seq, n, flags, got, len(s.payload), s.seg.Flags)
	}
	for i := range s.payload {
		if seq >= 1 && s.payload[i] != byte(seq-1+i) {
			h.t.Fatalf("payload byte %d of the stream is wrong", seq-1+i)
		}
	}
	return s
}

// wantData names data segments from stream byte from (0 is the first) to to, in segments of the MSS.
func (h *harness) wantData(from, to int) {
	h.t.Helper()
	for from < to {
		n := min(h.c.MSS(), to-from)
		h.want(from+1, n, wire.FlagACK)
		from += n
	}
}

// wantTailProbe waits for the tail loss probe, which must come next: n bytes from stream
// byte from on.
func (h *harness) wantTailProbe(from, n int) {
	h.t.Helper()
	if h.c.timers.pto != h.c.Deadline() {
		h.t.Fatalf("no probe comes next: %+v", h.c.timers)
	}
	h.advance(h.c.Deadline() - h.now)
	h.want(from+1, n, wire.FlagACK)
}

func (h *harness) wantNothing() {
	h.t.Helper()
	if len(h.out) > 0 {
		s := h.out[0]
		h.t.Fatalf("unexpected: seq %d len %d flags %#x (%d in all)", Seq(s.seg.Seq).Sub(testISS), len(s.payload), s.seg.Flags, len(h.out))
	}
}

func (h *harness) wantState(s State) {
	h.t.Helper()
	if h.c.State() != s {
		h.t.Fatalf("state %v, want %v", h.c.State(), s)
	}
}

// check proves the invariants that hold after every step.
func (h *harness) check() {
	h.t.Helper()
	if err := h.c.Audit(); err != nil {
		h.t.Fatal(err)
	}
	for _, f := range h.pool.Done() {
		if h.pool.InKernel(f) != 0 || h.pool.InTCP(f) != 0 {
			h.t.Fatalf("frame %d handed back while held", f)
		}
		h.done[f] = true
		h.pool.Abandon(f)
	}
	h.pool.Drain()
	if _, err := h.pool.Audit(); err != nil {
		h.t.Fatal(err)
	}
}

// finish fails the test for what it did not name.
func (h *harness) finish() {
	if !h.t.Failed() {
		h.wantNothing()
	}
}

// starve takes frames away until leave are free, and gives them to the caller to return.
func (h *harness) starve(leave int) (hoard []umem.Frame) {
	h.t.Helper()
	for h.pool.Free() > leave {
		f, _ := h.pool.Alloc()
		hoard = append(hoard, f)
	}
	return hoard
}
