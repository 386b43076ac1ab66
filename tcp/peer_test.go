package tcp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// link carries what one connection sends to a receiver that keeps to the RFCs, and its
// ACKs back, five milliseconds each way. drop names segments that are lost, by the order
// in which they were sent. Everything is a function of its fields.
type link struct {
	t       *testing.T
	c       *Conn
	pool    *umem.Pool
	now     Time
	late    Duration // the kernel completes after so long
	drop    func(n int) bool
	wnd     uint16
	sack    bool
	writer  int // bytes left to write
	written int
	sent    int
	nxt     Seq // receiver's rcvNxt
	got     []byte
	kept    []wire.Segment // received beyond nxt, in order of sequence
	events  []event
	trace   strings.Builder
	back    int // frames that came back
	fin     bool
}

type event struct {
	at Time
	do func()
}

const linkDelay = 5 * Millisecond

func newLink(t *testing.T, cfg Config, total int) *link {
	t.Helper()
	l := &link{t: t, now: Second, wnd: 65535, sack: true, writer: total, drop: func(int) bool { return false }}
	var err error
	if l.pool, err = umem.NewPool(testRegion(t, 256), 0, 256, 64); err != nil {
		t.Fatal(err)
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	cfg.SendSlots, cfg.MaxSegs = 256, testSegs
	if l.c, err = New(cfg, l.pool); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *link) after(d Duration, do func()) {
	e := event{l.now + d, do}
	i, _ := slices.BinarySearchFunc(l.events, e, func(a, b event) int {
		if a.at <= b.at {
			return -1
		}
		return 1
	})
	l.events = slices.Insert(l.events, i, e)
}

// run goes on until the connection is closed and everything is home.
func (l *link) run() {
	l.t.Helper()
	if err := l.c.Connect(l.now); err != nil {
		l.t.Fatal(err)
	}
	for n := 0; !l.c.Done() || len(l.events) > 0; n++ {
		if n > 200_000 {
			l.t.Fatalf("does not end: %v %+v", l.c.State(), l.c.Stats())
		}
		l.write()
		l.transmit()
		l.check()
		next := l.c.Deadline()
		if len(l.events) > 0 && l.events[0].at <= next {
			e := l.events[0]
			l.events = l.events[1:]
			l.now = e.at
			e.do()
			continue
		}
		if next == Never {
			l.t.Fatalf("stands still: %v %+v", l.c.State(), l.c.Stats())
		}
		l.now = max(l.now, next)
		l.c.Advance(l.now)
	}
	l.check()
	if census, err := l.pool.Audit(); err != nil || census.Free != census.Total {
		l.t.Fatalf("at the end: %+v, %v", census, err)
	}
}

func (l *link) write() {
	for l.writer > 0 && l.c.Room() > 0 && l.c.State() == Established {
		f, ok := l.pool.Lend()
		if !ok {
			return
		}
		n := min(l.writer, l.c.MSS())
		b := l.pool.Region().WriterBytes(f)[payloadAt : payloadAt+n]
		for i := range b {
			b[i] = streamByte(l.written + i)
		}
		l.pool.Commit(f)
		if !l.c.Queue(f, payloadAt, n) {
			l.t.Fatal("Queue refused what Room promised")
		}
		l.written += n
		l.writer -= n
	}
	if l.writer == 0 && l.c.State() == Established {
		l.c.CloseWrite(l.now)
	}
}

func (l *link) check() {
	l.t.Helper()
	if err := l.c.Audit(); err != nil {
		l.t.Fatal(err)
	}
	for _, f := range l.pool.Done() {
		l.back++
		b := l.pool.Region().WriterBytes(f) // the writer may write at once
		for i := range b {
			b[i] = 0xee
		}
		l.pool.Abandon(f)
	}
	l.pool.Drain()
}

func (l *link) transmit() {
	l.t.Helper()
	var txs [16]Tx
	for {
		k := l.c.Transmit(l.now, txs[:])
		for _, tx := range txs[:k] {
			l.carry(tx)
		}
		if k < len(txs) {
			return
		}
	}
}

// carry takes a packet over the wire. The NIC reads it when it completes it.
func (l *link) carry(tx Tx) {
	l.sent++
	lost := l.drop(l.sent)
	l.after(l.late, func() {
		var seg wire.Segment
		if err := wire.Parse(packet(l.pool.Region(), &tx), true, &seg); err != nil {
			l.t.Fatalf("on the wire: %v", err)
		}
		seg.Payload = slices.Clone(seg.Payload)
		if fault := completeAll(l.pool, l.c, l.now, &tx); fault != umem.FaultNone {
			l.t.Fatalf("completion: fault %d", fault)
		}
		fmt.Fprintf(&l.trace, "%d us: %d+%d flags %02x lost %v\n", l.now/Microsecond,
			Seq(seg.Seq).Sub(l.c.iss), seg.PayloadLen, seg.Flags, lost)
		if !lost {
			l.after(linkDelay, func() { l.receive(&seg) })
		}
	})
}

// receive is the receiver: it takes what is in order, keeps what is not, and ACKs.
func (l *link) receive(seg *wire.Segment) {
	if seg.Flags&wire.FlagRST != 0 {
		l.t.Fatal("a reset")
	}
	switch {
	case seg.Flags&wire.FlagSYN != 0:
		l.nxt = Seq(seg.Seq) + 1
		l.answer(seg, wire.FlagSYN|wire.FlagACK)
		return
	case seg.Len() == 0:
		return
	case Seq(seg.Seq).AtMost(l.nxt):
		l.take(seg)
	default:
		l.kept = append(l.kept, *seg)
		slices.SortFunc(l.kept, func(a, b wire.Segment) int { return Seq(a.Seq).Sub(Seq(b.Seq)) })
	}
	for len(l.kept) > 0 && Seq(l.kept[0].Seq).AtMost(l.nxt) {
		l.take(&l.kept[0])
		l.kept = l.kept[1:]
	}
	l.answer(seg, wire.FlagACK)
	if l.fin {
		l.answer(seg, wire.FlagFIN|wire.FlagACK)
	}
}

func (l *link) take(seg *wire.Segment) {
	skip := l.nxt.Sub(Seq(seg.Seq))
	if skip >= int(seg.Len()) {
		return
	}
	if skip < seg.PayloadLen {
		l.got = append(l.got, seg.Payload[skip:]...)
	}
	l.nxt = Seq(seg.Seq + seg.Len())
	l.fin = l.fin || seg.Flags&wire.FlagFIN != 0
}

func (l *link) answer(seg *wire.Segment, flags uint8) {
	a := wire.Segment{Flow: l.c.cfg.Flow, Seq: 7001, Ack: uint32(l.nxt), Flags: flags, Window: l.wnd}
	o := &a.Options
	o.HasTS, o.TSVal, o.TSEcr = seg.Options.HasTS, uint32(l.now/Millisecond), seg.Options.TSVal
	if flags&wire.FlagSYN != 0 {
		a.Seq--
		o.HasMSS, o.MSS, o.SACKPermitted, o.HasWScale = true, 1460, l.sack, true
	}
	for _, k := range l.kept {
		first, end := k.Seq, k.Seq+k.Len()
		switch n := o.NumSACK; {
		case !l.sack:
		case n > 0 && o.SACK[n-1].End == first:
			o.SACK[n-1].End = end
		case n < 3:
			o.SACK[n] = wire.SACKBlock{Start: first, End: end}
			o.NumSACK++
		}
	}
	l.after(linkDelay, func() { l.c.Receive(l.now, &a) })
}

// verify compares what arrived with what was written.
func (l *link) verify() {
	l.t.Helper()
	if len(l.got) != l.written {
		l.t.Fatalf("%d of %d bytes arrived", len(l.got), l.written)
	}
	for i, b := range l.got {
		if b != streamByte(i) {
			l.t.Fatalf("byte %d is wrong", i)
		}
	}
}

// transfer sends 300 kB over a link that loses every segment in drop once.
func transfer(t *testing.T, cfg Config, edit func(*link)) *link {
	t.Helper()
	l := newLink(t, cfg, 300_000)
	lossy := map[int]bool{5: true, 20: true, 21: true, 22: true, 60: true, 90: true, 130: true, 180: true}
	l.drop = func(n int) bool { return lossy[n] }
	if edit != nil {
		edit(l)
	}
	l.run()
	l.verify()
	if st := l.c.Stats(); l.c.Err() != nil || st.BytesAcked != 300_000 || l.back < 300_000/1460 {
		t.Fatalf("err %v, %d frames back, %+v", l.c.Err(), l.back, st)
	}
	return l
}
