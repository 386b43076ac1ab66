package tcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

const fuzzFrames = 96

// fuzzRegion is mapped once: a region per run would be most of the work.
var fuzzRegion *umem.Region

func FuzzConn(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomEvents(seed, 400))
	}
	f.Fuzz(func(t *testing.T, events []byte) {
		if err := runEvents(events); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRandomEvents runs the fuzz target over seeded random strings: long ones, which
// a coverage-guided fuzzer is slow to reach.
func TestRandomEvents(t *testing.T) {
	runs := uint64(600)
	if testing.Short() {
		runs = 150
	}
	for seed := range runs {
		if err := runEvents(randomEvents(seed, 200+int(seed%7)*300)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// With checksum offload, after a canary in half of all runs, nothing of that is otherwise.
func TestRandomEventsWithOffload(t *testing.T) {
	runs := uint64(600)
	if testing.Short() {
		runs = 150
	}
	verdicts := map[Verdict]int{}
	for seed := range runs {
		offload := func(cfg *Config) { cfg.Checksum, cfg.Canary = ChecksumOffload, seed%2 == 0 }
		v, err := runEventsWith(randomEvents(seed+5000, 200+int(seed%7)*300), offload)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		verdicts[v]++
	}
	t.Logf("%v", verdicts)
}

func randomEvents(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 5))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// chaos drives one connection by a string of bytes: each picks an event and its
// fields. It stands for the peer, the kernel, the network, the clock and the writer
// at once, none of which keeps to the rules.
type chaos struct {
	in      []byte
	c       *Conn
	pool    *umem.Pool
	now     Time
	held    []heldTx
	hoard   []umem.Frame // frames of the reserve that something else uses
	written int          // stream bytes queued
	peerTS  uint32
	peerNxt Seq // what the peer has without a hole, once it keeps to the rules
	acks    int // segments of ours that a peer must answer
	err     error
}

var errLoop = errors.New("transmit goes on for ever")

func runEvents(events []byte) error {
	_, err := runEventsWith(events, func(*Config) {})
	return err
}

// runEventsWith gives the verdict of the canary too, where there is one.
func runEventsWith(events []byte, edit func(*Config)) (Verdict, error) {
	w, err := newChaos(events, edit)
	if err != nil {
		return CanaryOff, err
	}
	for step := 0; len(w.in) > 0 && w.err == nil; step++ {
		event := w.byte() % 32
		w.event(event)
		w.check()
		if w.err != nil {
			return CanaryOff, fmt.Errorf("step %d, event %d: %w", step, event, w.err)
		}
	}
	for _, f := range w.hoard {
		w.pool.Return(f)
	}
	w.hoard = nil
	if len(events)%2 == 0 {
		w.finish()
	}
	v := w.c.Canary()
	w.abort()
	return v, w.err
}

func (w *chaos) byte() byte {
	if len(w.in) == 0 {
		return 0
	}
	b := w.in[0]
	w.in = w.in[1:]
	return b
}

func (w *chaos) word() int { return int(w.byte())<<8 | int(w.byte()) }

// near is a signed distance, mostly small.
func (w *chaos) near() int {
	n := int(int8(w.byte()))
	switch w.byte() % 4 {
	case 0:
		return n
	case 1:
		return n * 100
	case 2:
		return n * 1448
	}
	return n << 20
}

func newChaos(events []byte, edit func(*Config)) (*chaos, error) {
	w := &chaos{in: events, now: Second, peerTS: 100}
	if fuzzRegion == nil {
		r, err := umem.Map(umem.Config{Frames: fuzzFrames, ChunkSize: 2048})
		if err != nil {
			return nil, err
		}
		fuzzRegion = r
	}
	pool, err := umem.NewPool(fuzzRegion, 0, fuzzFrames, 16)
	if err != nil {
		return nil, err
	}
	w.pool = pool
	bits := w.word()
	cfg := Config{Flow: testFlow, MTU: 1500, ISS: testISS, SendSlots: 12 + bits&0x3f, SynRetries: 2, Retries: 6, MaxSegs: testSegs}
	set := func(bit int) bool { return bits>>bit&1 != 0 }
	cfg.NoSACK, cfg.NoTimestamps, cfg.NoScale = set(6), set(7), set(8)
	if set(9) {
		cfg.ISS = Seq(0xffffffff - uint32(w.word()))
	}
	if set(10) {
		cfg.Flow = wire.FlowOf(netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:80"))
	}
	if set(11) {
		cfg.Rate = 1 << (10 + w.byte()%20)
	}
	if set(12) {
		cfg.UserTimeout = 30 * Second
	}
	cfg.Congestion = Congestions()[bits>>14%len(Congestions())]
	if cfg.Congestion == Fixed {
		cfg.FixedWindow = w.word()
	}
	edit(&cfg)
	if w.c, err = New(cfg, pool); err != nil {
		return nil, err
	}
	if err := w.c.Connect(w.now); err != nil {
		return nil, err
	}
	w.transmit(4)
	if !set(13) { // else the handshake is left to chance
		w.now += Millisecond
		w.peer(wire.FlagSYN|wire.FlagACK, 0xfffffff0, uint32(cfg.ISS+1))
	}
	return w, nil
}

func (w *chaos) event(n byte) {
	switch n {
	default:
		w.write()
	case 4, 5, 6, 7, 8, 9:
		w.ackSome()
	case 10, 11:
		w.strayACK()
	case 12, 13:
		w.anySegment()
	case 14, 15, 16, 17:
		w.transmit(1 + int(w.byte())%32)
	case 18, 19:
		w.completeOne()
	case 20:
		w.completeAll()
	case 21, 22, 23, 24:
		w.now += Time(1) << (w.byte() % 36)
		w.c.Advance(w.now)
	case 25:
		w.now = max(w.now, min(w.c.Deadline(), w.now+Second))
		w.c.Advance(w.now)
	case 26:
		w.c.SetMTU(w.word() % 2000)
	case 27:
		w.icmp()
	case 28:
		w.starve()
	case 29:
		if w.byte() < 16 {
			w.c.CloseWrite(w.now)
		}
	case 30:
		if w.byte() < 2 {
			w.c.Abort(w.now)
		}
	case 31:
		if w.byte() < 64 {
			w.lateSynAck()
		}
	}
}

func (w *chaos) write() {
	n := 1 + w.word()%1600
	off := payloadAt
	if b := w.byte(); b < 32 {
		off += int(b)
	}
	f, ok := w.pool.Lend()
	if !ok {
		return
	}
	b := w.pool.Region().WriterBytes(f)[off : off+n]
	for i := range b {
		b[i] = streamByte(w.written + i)
	}
	w.pool.Commit(f)
	if !w.c.Queue(f, off, n) {
		w.pool.Drop(f)
		return
	}
	w.written += n
}

func streamByte(i int) byte { return byte(i*7 + i>>8) }

// peer injects a segment with these flags and numbers, with everything else from the events.
func (w *chaos) peer(flags uint8, seq, ack uint32, blocks ...wire.SACKBlock) {
	w.peerTS++
	seg := wire.Segment{Flow: w.c.cfg.Flow, Seq: seq, Ack: ack, Flags: flags, Window: 65535}
	o := &seg.Options
	if bits := w.byte(); bits < 250 {
		o.HasTS, o.TSVal, o.TSEcr = true, w.peerTS, w.c.tsVal(w.now)-uint32(bits)
	}
	switch b := w.byte(); {
	case b < 16:
		seg.Window = 0
	case b < 48:
		seg.Window = uint16(b)
	case b < 64:
		seg.Window = uint16(b) << 4
	}
	if flags&wire.FlagSYN != 0 {
		bits := w.byte()
		o.HasMSS, o.SACKPermitted, o.HasWScale = bits&3 != 0, bits&12 != 0, bits&48 != 0
		o.MSS, o.WScale = uint16(1460), bits>>6
		if bits&15 == 5 {
			o.MSS = uint16(w.word())
		}
	}
	o.NumSACK = copy(o.SACK[:], blocks)
	w.c.Receive(w.now, &seg)
}

// ackSome is an ACK as an honest peer could send it, of anything that was sent.
func (w *chaos) ackSome() {
	c := w.c
	ack := c.sndUna
	switch b := int(w.byte()); {
	case b < 64:
	case b < 160: // a few segments
		for i := c.q.head; i != none && i != c.q.fresh && b > 80; i, b = c.q.slots[i].next, b-16 {
			ack = c.q.slots[i].end()
		}
	default:
		ack += Seq(int(b-160) * c.flightSize() / 95)
	}
	var blocks []wire.SACKBlock
	for range w.byte() % 4 {
		from := ack
		i := c.q.head
		for skip := w.byte() % 16; i != none && i != c.q.fresh && skip > 0; skip-- {
			from = c.q.slots[i].end()
			i = c.q.slots[i].next
		}
		to := from
		for k := w.byte() % 8; i != none && i != c.q.fresh && k > 0; k-- {
			to = c.q.slots[i].end()
			i = c.q.slots[i].next
		}
		blocks = append(blocks, wire.SACKBlock{Start: uint32(from), End: uint32(to)})
	}
	w.peer(wire.FlagACK, uint32(c.rcvNxt), uint32(ack), blocks...)
}

// strayACK acknowledges and SACKs anything, near what was sent.
func (w *chaos) strayACK() {
	c := w.c
	var blocks []wire.SACKBlock
	for range w.byte() % 5 {
		from := c.sndUna.Add(w.near())
		blocks = append(blocks, wire.SACKBlock{Start: uint32(from), End: uint32(from.Add(w.near()))})
	}
	w.peer(wire.FlagACK, uint32(c.rcvNxt.Add(w.near())), uint32(c.sndUna.Add(w.near())), blocks...)
}

func (w *chaos) anySegment() {
	c := w.c
	seg := wire.Segment{Flow: c.cfg.Flow, Seq: uint32(c.rcvNxt), Ack: uint32(c.sndUna), Flags: wire.FlagACK | w.fewBits(),
		Window: uint16(w.word()), PayloadLen: w.word() % 3000}
	if b := w.byte(); b < 128 {
		seg.Seq += uint32(w.near())
		seg.Ack += uint32(w.near())
	} else if b < 144 {
		seg.Flags &^= wire.FlagACK
	} else if b < 192 {
		seg.PayloadLen = 0
	}
	o := &seg.Options
	o.HasTS, o.TSVal, o.TSEcr = w.byte() > 8, w.peerTS+uint32(w.near()), c.tsVal(w.now)+uint32(w.near())
	if seg.Flags&wire.FlagRST != 0 && w.byte() > 8 {
		seg.Flags &^= wire.FlagRST // else few runs would live long
	}
	c.Receive(w.now, &seg)
}

func (w *chaos) fewBits() byte {
	b := w.byte()
	return b & w.byte()
}

func (w *chaos) lateSynAck() {
	if w.c.state == SynSent && w.byte() < 64 { // both ends open at once
		w.peer(wire.FlagSYN, 0xfffffff0, 0)
		return
	}
	w.peer(wire.FlagSYN|wire.FlagACK, uint32(w.c.irs), uint32(w.c.iss+1))
}

func (w *chaos) icmp() {
	e := wire.ICMPError{Flow: w.c.cfg.Flow, Seq: uint32(w.c.sndUna.Add(w.near())), V6: !w.c.cfg.Flow.Is4(), MTU: uint32(w.word() % 2000)}
	e.Type, e.Code = w.byte()%4, w.byte()%14
	if w.byte() > 64 {
		e.Type, e.Code = icmp4Unreachable, icmp4CodeFragNeed
		if e.V6 {
			e.Type = icmp6TooBig
		}
	}
	w.c.ReceiveICMP(w.now, &e)
}

// starve takes frames of the reserve away, or gives them back.
func (w *chaos) starve() {
	for _, f := range w.hoard {
		w.pool.Return(f)
	}
	w.hoard = w.hoard[:0]
	for leave := int(w.byte()); leave < 64 && w.pool.Free() > leave; {
		f, _ := w.pool.Alloc()
		w.hoard = append(w.hoard, f)
	}
}

func (w *chaos) completeOne() {
	if len(w.held) == 0 {
		return
	}
	i := int(w.byte()) % len(w.held)
	k := w.held[i]
	w.held = append(w.held[:i], w.held[i+1:]...)
	w.complete(k)
}

func (w *chaos) completeAll() {
	for _, k := range w.held {
		w.complete(k)
	}
	w.held = w.held[:0]
}

func (w *chaos) complete(k heldTx) {
	tx := k.tx
	if !bytes.Equal(k.bytes, covered(w.pool.Region(), &tx)) {
		w.err = fmt.Errorf("frame %d was written to while the kernel held it", tx.Frame)
	}
	if fault := completeAll(w.pool, w.c, w.now, &tx); fault != umem.FaultNone {
		w.err = fmt.Errorf("completion of %d: fault %d", tx.Addr, fault)
	}
}

// transmit takes packets, n at a time, until there are none, and reads each as a
// receiver would.
func (w *chaos) transmit(n int) {
	var txs [32]Tx
	for range 2000 {
		k := w.c.Transmit(w.now, txs[:n])
		for _, tx := range txs[:k] {
			w.sent(tx)
		}
		if k < n || w.err != nil {
			return
		}
	}
	w.err = errLoop
}

func (w *chaos) sent(tx Tx) {
	pkt := bytes.Clone(covered(w.pool.Region(), &tx))
	w.held = append(w.held, heldTx{tx, pkt})
	if tx.Metadata {
		m := pkt[:MetadataLen]
		pkt = bytes.Clone(pkt[MetadataLen:])
		wire.Complete(pkt, int(binary.NativeEndian.Uint16(m[8:])), int(binary.NativeEndian.Uint16(m[10:])))
	}
	c := w.c
	var seg wire.Segment
	err := wire.Parse(pkt, true, &seg)
	if err == wire.ErrChecksum && c.canary.out && c.canary.kind() == probePoisoned && tx.Metadata {
		return // as it has to be; nobody answers
	}
	if err != nil {
		w.err = fmt.Errorf("what was sent does not parse: %w", err)
		return
	}
	seq := Seq(seg.Seq)
	if c.sndNxt.Before(seq) && seg.Flags != wire.FlagRST { // that one is of a former connection
		w.err = fmt.Errorf("sent seq %d, sndNxt is %d", seq, c.sndNxt)
	}
	if seg.PayloadLen == 1 && seg.Payload[0] == probeByte[0] && seq == c.sndUna-1 {
		w.acks++
		return
	}
	if seg.Len() > 0 && seq.AtMost(w.peerNxt) && w.peerNxt.Before(seq.Add(int(seg.Len()))) {
		w.peerNxt = seq.Add(int(seg.Len()))
	}
	if seg.Len() > 0 {
		w.acks++
	}
	at := seq.Sub(c.iss) - 1
	if seg.PayloadLen > 0 && (at < 0 || at+seg.PayloadLen > w.written) {
		w.err = fmt.Errorf("sent stream bytes %d to %d of %d", at, at+seg.PayloadLen, w.written)
		return
	}
	for i, b := range seg.Payload {
		if b != streamByte(at+i) {
			w.err = fmt.Errorf("byte %d of the stream was sent wrong", at+i)
			return
		}
	}
}

// check proves what holds after every event.
func (w *chaos) check() {
	if w.err != nil {
		return
	}
	w.c.Demote(w.now, 1500) // where its peer stands still, and then a slice at a time
	if w.err = w.c.Audit(); w.err != nil {
		return
	}
	for _, f := range w.pool.Done() {
		if w.pool.InKernel(f) != 0 || w.pool.InTCP(f) != 0 {
			w.err = fmt.Errorf("frame %d handed back while held", f)
			return
		}
		clear(w.pool.Region().WriterBytes(f)) // it is the writer's
		w.pool.Abandon(f)
	}
	w.pool.Drain()
	_, w.err = w.pool.Audit()
}

// finish lets everybody keep to the rules from now on: the connection must get
// everything over, and close, or have ended already.
func (w *chaos) finish() {
	c := w.c
	w.peerNxt = c.sndUna
	c.CloseWrite(w.now)
	for step := 0; !w.ended(); step++ {
		w.acks = 0
		w.completeAll()
		w.transmit(32)
		w.check()
		if step > 4000 && w.err == nil {
			w.err = fmt.Errorf("does not end: %v, %d of %d bytes ACKed, deadline in %d ms: %+v",
				c.state, c.sndUna.Sub(c.iss)-1, w.written, (c.Deadline()-w.now)/Millisecond, c.Stats())
		}
		if w.err != nil {
			return
		}
		quiet := w.acks == 0
		w.answer()
		w.transmit(32)
		if quiet && w.acks == 0 && !w.ended() { // nothing moves: let time pass
			if w.now = max(w.now, c.Deadline()); w.now == Never {
				w.err = fmt.Errorf("stands still in %v, %d of %d bytes ACKed: %+v", c.state, c.sndUna.Sub(c.iss)-1, w.written, c.Stats())
				return
			}
			c.Advance(w.now)
		}
	}
	if c.err == nil && c.state == FinWait2 && c.sndUna.Sub(c.iss) != w.written+2 {
		w.err = fmt.Errorf("closed after %d of %d bytes", c.sndUna.Sub(c.iss)-2, w.written)
	}
}

func (w *chaos) ended() bool { return w.c.state == Closed || w.c.state == FinWait2 }

// answer is the peer that keeps to the rules: it ACKs what it has, with an open window.
func (w *chaos) answer() {
	w.now += Millisecond
	w.peerTS += 1 << 8
	c := w.c
	seq := maxSeq(c.rcvNxt, c.sndWL1) // it may have sent something that did not arrive
	seg := wire.Segment{Flow: c.cfg.Flow, Seq: uint32(seq), Ack: uint32(w.peerNxt), Flags: wire.FlagACK, Window: 65535}
	if c.state == SynSent {
		seg.Flags |= wire.FlagSYN
		seg.Seq = 77
		seg.Ack = uint32(c.iss + 1)
		w.peerNxt = c.iss + 1
	}
	if c.state == SynReceived {
		w.peerNxt = maxSeq(w.peerNxt, c.iss+1)
		seg.Ack = uint32(w.peerNxt)
	}
	seg.Options.HasTS, seg.Options.TSVal, seg.Options.TSEcr = true, c.tsRecent+1, c.tsVal(w.now)-1
	c.Receive(w.now, &seg)
}

// abort ends whatever there is, and sees everything home.
func (w *chaos) abort() {
	if w.err != nil {
		return
	}
	w.c.Abort(w.now)
	w.transmit(32)
	w.completeAll()
	w.check()
	if w.err != nil {
		return
	}
	census, err := w.pool.Audit()
	if err != nil || census.Free != census.Total || !w.c.Done() {
		w.err = errors.Join(err, fmt.Errorf("after the end: %+v, done %v", census, w.c.Done()))
	}
}

// The events themselves are put together so that they reach what they are to reach.
func TestRandomEventsReach(t *testing.T) {
	var sum Stats
	controls := map[Congestion]int{}
	for seed := range uint64(300) {
		w, err := newChaos(randomEvents(seed, 1000), func(*Config) {})
		if err != nil {
			t.Fatal(err)
		}
		controls[w.c.cfg.Congestion]++
		for len(w.in) > 0 && w.err == nil {
			w.event(w.byte() % 32)
			w.check()
		}
		s := w.c.Stats()
		sum.Recoveries += s.Recoveries
		sum.Timeouts += s.Timeouts
		sum.TimeoutsHeld += s.TimeoutsHeld
		sum.RetransmitsHeld += s.RetransmitsHeld
		sum.Splits += s.Splits
		sum.Cuts += s.Cuts
		sum.Probes += s.Probes
		sum.NoFrame += s.NoFrame
		sum.PAWS += s.PAWS
		sum.Reneged += s.Reneged
		sum.DSACKs += s.DSACKs
		sum.Challenges += s.Challenges
		sum.TailProbes += s.TailProbes
		sum.TailProbesHeld += s.TailProbesHeld
		sum.TailLosses += s.TailLosses
	}
	t.Logf("%v: %+v", controls, sum)
	if min(sum.Recoveries, sum.Timeouts, sum.TimeoutsHeld, sum.RetransmitsHeld, sum.Cuts,
		sum.Probes, sum.NoFrame, sum.PAWS, sum.Reneged, sum.DSACKs, sum.Challenges,
		sum.TailProbes, sum.TailProbesHeld, sum.TailLosses) == 0 || len(controls) < len(Congestions()) ||
		(sum.Splits > 0) != (testSegs <= 1) {
		t.Fatal("the events miss something")
	}
}
