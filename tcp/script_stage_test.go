package tcp

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	stdtime "time"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// stage is where a script is played: one connection, the kernel's end of its rings, and a
// clock. What the connection emits waits in out until the script names it.
type stage struct {
	cfg    Config
	frames int
	peer   notation // its SYN-ACK
	trip   Duration // round trip of the handshake that is not in the script; 0 = the script has it

	c     *Conn
	pool  *umem.Pool
	now   Time
	until Time // > waits until then
	out   []emission
	win   uint16 // that the peer announced last
	acked int    // the highest sequence number that the peer ACKed, relative; of those that were sent
	sent  int    // the highest that was sent

	holding []span64 // whose transmissions the kernel keeps
	held    []heldPacket
	book    frameBook
	hoard   []umem.Frame // taken away by starve
}

// span64 is a range of sequence numbers, relative.
type span64 struct{ from, to int }

// everything is the range of all segments.
var everything = span64{-1 << 40, 1 << 40}

// emission is a segment that the connection emitted.
type emission struct {
	at   Time
	what notation
}

var (
	stageFlow  = wire.FlowOf(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:80"))
	stageFlow6 = wire.FlowOf(netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:80"))
)

// stageByte is byte i of the stream.
func stageByte(i int) byte { return byte(i*7 + i>>8) }

// theRegion is mapped once: that takes longer than to play a script.
var theRegion *umem.Region

func stageRegion(t *testing.T) *umem.Region {
	t.Helper()
	if theRegion == nil {
		var err error
		if theRegion, err = umem.Map(umem.Config{Frames: 512, ChunkSize: 2048}); err != nil {
			t.Fatal(err)
		}
	}
	return theRegion
}

// heldPacket is a packet that the kernel has, and its bytes as they were handed over.
type heldPacket struct {
	tx    Tx
	bytes []byte
}

const (
	curtain   = Second // the engine's clock when a script's stands at 0
	stageISS  = Seq(1000)
	stageIRS  = Seq(9000)
	stageTime = 1000 // our timestamp clock when a script's stands at 0
)

func newStage() *stage {
	s := &stage{frames: 512, cfg: Config{Flow: stageFlow, MTU: 1500, ISS: stageISS, SendSlots: 256, Congestion: Reno, NoPacing: true, MaxSegs: testSegs}}
	s.cfg.TSOffset = stageTime
	s.cfg.TSOffset -= uint32(curtain / Millisecond)
	s.peer = notation{flags: wire.FlagSYN | wire.FlagACK, ack: 1, win: 65535}
	s.peer.opts = wire.Options{HasMSS: true, MSS: 1000, SACKPermitted: true, HasWScale: true}
	return s
}

// open makes the connection, and plays the handshake where the script leaves it out: it
// ends at 0.
func (s *stage) open(r *umem.Region) (err error) {
	if s.pool, err = umem.NewPool(r, 0, s.frames, 64); err != nil {
		return err
	}
	if s.c, err = New(s.cfg, s.pool); err != nil {
		return err
	}
	s.now, s.win = curtain-s.trip, uint16(s.peer.win)
	if s.trip == 0 {
		return nil
	}
	if err = s.c.Connect(s.now); err != nil {
		return err
	}
	if err = s.transmit(); err != nil {
		return err
	}
	s.now = curtain
	if s.peer.opts.HasTS {
		s.peer.opts.TSEcr = s.out[0].what.opts.TSVal
	}
	s.out = nil
	if err = s.inject(s.peer); err != nil {
		return err
	}
	s.out = nil
	if s.c.State() != Established {
		return fmt.Errorf("the handshake ends in %v", s.c.State())
	}
	return nil
}

// clock is the script's.
func (s *stage) clock() stdtime.Duration { return stdtime.Duration(s.now - curtain) }

// advance moves the clock to end, and fires what is due on the way at its own time. What is
// emitted before end is not named: the script would say when it comes.
func (s *stage) advance(end Time) error {
	if end < s.now {
		return fmt.Errorf("that is before %v, where the script stands", s.clock())
	}
	for n := 0; ; n++ {
		if len(s.out) > 0 && s.now < end {
			return s.surprise()
		}
		due := s.c.Deadline()
		if due > end {
			break
		}
		if n > 10000 {
			return fmt.Errorf("the deadline at %v does not move", s.clock())
		}
		s.now = max(s.now, due)
		s.c.Advance(s.now)
		if err := s.transmit(); err != nil {
			return err
		}
	}
	s.now = end
	return nil
}

// await moves the clock until something is emitted, no further than the line allows.
func (s *stage) await() error {
	for len(s.out) == 0 && s.now < s.until {
		if err := s.advance(min(s.until, max(s.now, s.c.Deadline()))); err != nil {
			return err
		}
	}
	return nil
}

// surprise tells of what was emitted and is not named.
func (s *stage) surprise() error {
	const most = 12
	list := ""
	for k, e := range s.out {
		if k == most {
			list += fmt.Sprintf("\n\t... %d in all", len(s.out))
			break
		}
		e.what.win = unnamed
		list += fmt.Sprintf("\n\t%v > %v", stdtime.Duration(e.at-curtain), e.what)
	}
	return fmt.Errorf("emitted and not named:%s", list)
}

// transmit takes what the connection emits, and looks at the books.
func (s *stage) transmit() error {
	if err := s.demote(); err != nil {
		return err
	}
	var txs [16]Tx
	for {
		n := s.c.Transmit(s.now, txs[:])
		for _, tx := range txs[:n] {
			if err := s.take(tx); err != nil {
				return err
			}
		}
		if n < len(txs) {
			return s.audit()
		}
	}
}

// take reads a packet as a receiver would.
func (s *stage) take(tx Tx) error {
	pkt := packet(s.pool.Region(), &tx)
	var seg wire.Segment
	if err := wire.Parse(pkt, true, &seg); err != nil {
		return fmt.Errorf("an emitted packet does not parse: %w", err)
	}
	e := emission{s.now, noted(&seg, s.cfg.ISS, stageIRS)}
	s.out = append(s.out, e)
	s.sent = max(s.sent, e.what.from+int(seg.Len()))
	if err := s.checkPayload(e.what.from, seg.Payload); err != nil {
		return err
	}
	s.book.each(&tx, s.book.submitted)
	for _, h := range s.holding {
		if e.what.from < h.to && h.from < e.what.to || h == everything {
			s.held = append(s.held, heldPacket{tx, bytes.Clone(pkt)})
			return nil
		}
	}
	return s.complete(tx)
}

// checkPayload compares with what the writer wrote. Only the byte of a probe may be
// anything: the peer has that one.
func (s *stage) checkPayload(from int, payload []byte) error {
	if len(payload) == 1 && from < s.acked {
		return nil
	}
	for k, b := range payload {
		if at := from - 1 + k; at < 0 || at >= s.book.written || b != stageByte(at) {
			return fmt.Errorf("payload of %d:%d: byte %d of the stream is wrong", from, from+len(payload), at)
		}
	}
	return nil
}

// completeHeld completes what the kernel held. Until now the NIC may have read it.
func (s *stage) completeHeld(k int) error {
	h := s.held[k]
	s.held = append(s.held[:k:k], s.held[k+1:]...)
	if !bytes.Equal(h.bytes, packet(s.pool.Region(), &h.tx)) {
		return fmt.Errorf("frame %d of the region was written to while the kernel held it", h.tx.Frame)
	}
	return s.complete(h.tx)
}

func (s *stage) complete(tx Tx) error {
	if fault := completeAll(s.pool, s.c, s.now, &tx); fault != umem.FaultNone {
		return fmt.Errorf("completion of %d: fault %d", tx.Addr, fault)
	}
	s.book.each(&tx, s.book.completed)
	return nil
}

// audit proves everything that holds after each step whatever the script says.
func (s *stage) audit() error {
	if err := s.c.Audit(); err != nil {
		return err
	}
	for _, f := range s.pool.Done() {
		if err := s.book.release(s, f); err != nil {
			return err
		}
		s.pool.Abandon(f)
	}
	s.pool.Drain()
	if _, err := s.pool.Audit(); err != nil {
		return err
	}
	return s.book.check(s)
}

// inject gives the connection a segment from the peer.
func (s *stage) inject(n notation) error {
	seg := n.segment(s.cfg.Flow, s.cfg.ISS, stageIRS, s.win)
	s.win = seg.Window
	if n.ack != unnamed && n.ack <= s.sent {
		s.acked = max(s.acked, n.ack)
	}
	s.c.Receive(s.now, &seg)
	return s.transmit()
}

// write commits n bytes in frames of size, each from offset off of its payload on.
func (s *stage) write(n, size, off int) error {
	if size == 0 {
		size = s.c.MSS()
	}
	for n > 0 {
		k := min(n, size)
		f, ok := s.pool.Lend()
		if !ok {
			return fmt.Errorf("no frame to lend")
		}
		s.book.fill(s.pool.Region().WriterBytes(f)[payloadAt+off : payloadAt+off+k])
		s.pool.Commit(f)
		if !s.c.Queue(f, payloadAt+off, k) {
			s.pool.Drop(f)
			return fmt.Errorf("refused in %v", s.c.State())
		}
		s.book.commit(f, k)
		n -= k
	}
	return s.transmit()
}

// strike takes the stage down: whatever the script left, every frame comes home.
func (s *stage) strike() error {
	s.holding = nil
	s.c.Abort(s.now)
	for _, f := range s.hoard {
		s.pool.Return(f)
	}
	s.hoard = nil
	if err := s.transmit(); err != nil {
		return err
	}
	for len(s.held) > 0 {
		if err := s.completeHeld(0); err != nil {
			return err
		}
	}
	if err := s.audit(); err != nil {
		return err
	}
	if free := s.pool.Free(); free != s.pool.Len() {
		return fmt.Errorf("%d of %d frames did not come back", s.pool.Len()-free, s.pool.Len())
	}
	return s.closeArena()
}
