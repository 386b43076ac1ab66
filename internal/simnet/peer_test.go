package simnet

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// scripted is a sender by hand in front of a Peer: each segment and each answer is
// named by the test.
type scripted struct {
	t    *testing.T
	w    *World
	p    *Peer
	tmpl wire.Template
	got  []wire.Segment
	ts   uint32
}

const (
	handISS  = uint32(0xffff_f000) // the stream wraps on the way
	handPort = uint16(4000)
)

func newScripted(t *testing.T, cfg PeerConfig) *scripted {
	t.Helper()
	s := &scripted{t: t, w: New(1), ts: 100}
	cfg.Promise = pattern
	s.p = s.w.NewPeer(cfg, s.w.NewLink(LinkConfig{}, s.answered))
	flow := wire.FlowOf(addrPort("10.0.0.1:4000"), addrPort("10.0.0.2:80"))
	s.tmpl.Init(flow, wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2}})
	opts := wire.PutWScale(wire.PutTimestamps(wire.PutSACKPermitted(wire.PutMSS(nil, 1460)), s.ts, 0), 0)
	s.send(handISS, 0, wire.FlagSYN, opts, nil)
	a := s.want(wire.FlagSYN | wire.FlagACK)
	if a.Ack != handISS+1 || !a.Options.HasMSS {
		t.Fatalf("SYN-ACK %+v", a)
	}
	s.data(0, 0)
	return s
}

func (s *scripted) answered(frame []byte) {
	var seg wire.Segment
	if err := wire.Parse(slices.Clone(frame), true, &seg); err != nil {
		s.t.Fatalf("the peer sent nonsense: %v", err)
	}
	s.got = append(s.got, seg)
}

func (s *scripted) send(seq, ack uint32, flags uint8, opts, payload []byte) {
	h := wire.Header{Seq: seq, Ack: ack, Options: opts, Window: 65535, Flags: flags}
	n := s.tmpl.HeaderLen(len(opts))
	frame := append(make([]byte, n), payload...)
	s.tmpl.Put(frame[:n], &h, len(payload), wire.Sum(payload, 0))
	s.p.Deliver(frame)
	s.settle(0)
}

// data sends bytes [from, to) of the stream.
func (s *scripted) data(from, to int) { s.dataWith(from, to, nil) }

func (s *scripted) dataWith(from, to int, edit func(b []byte)) {
	b := make([]byte, to-from)
	pattern(handPort).Fill(b, uint64(from))
	if edit != nil {
		edit(b)
	}
	ack := uint32(0)
	if len(s.p.Conns()) > 0 {
		ack = s.p.Conns()[0].sndNxt
	}
	s.ts++
	s.send(handISS+1+uint32(from), ack, wire.FlagACK, wire.PutTimestamps(nil, s.ts, 0), b)
}

// settle lets time pass, with everything that happens in it.
func (s *scripted) settle(d tcp.Duration) {
	end := s.w.now + d
	for s.w.agenda.next() <= end {
		s.w.now = max(s.w.now, s.w.agenda.next())
		s.w.happen()
	}
	s.w.now = end
}

// want is the next answer, which must have these flags.
func (s *scripted) want(flags uint8) wire.Segment {
	s.t.Helper()
	if len(s.got) == 0 {
		s.t.Fatalf("want an answer with flags %#x, there is none", flags)
	}
	a := s.got[0]
	s.got = s.got[1:]
	if a.Flags != flags {
		s.t.Fatalf("want flags %#x, got %+v", flags, a)
	}
	return a
}

// wantAck names the bytes that the next answer ACKs, and its SACK blocks.
func (s *scripted) wantAck(n int, blocks ...[2]int) wire.Segment {
	s.t.Helper()
	a := s.want(wire.FlagACK)
	var got [][2]int
	for _, b := range a.Options.SACK[:a.Options.NumSACK] {
		got = append(got, [2]int{int(int32(b.Start - handISS - 1)), int(int32(b.End - handISS - 1))})
	}
	if int(int32(a.Ack-handISS-1)) != n || !slices.Equal(got, blocks) {
		s.t.Fatalf("ACK of %d with %v, want %d with %v", int32(a.Ack-handISS-1), got, n, blocks)
	}
	return a
}

func (s *scripted) wantNothing() {
	s.t.Helper()
	if len(s.got) > 0 {
		s.t.Fatalf("unexpected answer: %+v", s.got[0])
	}
}

// https://www.rfc-editor.org/rfc/rfc5681#section-4.2
func TestPeerDelaysEverySecondAck(t *testing.T) {
	s := newScripted(t, PeerConfig{})
	s.data(0, 1000)
	s.wantNothing()
	s.data(1000, 2000)
	s.wantAck(2000)
	s.data(2000, 3000)
	s.settle(39 * ms)
	s.wantNothing()
	s.settle(2 * ms)
	s.wantAck(3000)
}

// The examples of https://www.rfc-editor.org/rfc/rfc2018#section-5: the block with what arrived last is first.
func TestPeerReportsWhatArrivedLastFirst(t *testing.T) {
	s := newScripted(t, PeerConfig{})
	s.data(500, 1000)
	s.wantAck(0, [2]int{500, 1000})
	s.data(1500, 2000)
	s.wantAck(0, [2]int{1500, 2000}, [2]int{500, 1000})
	s.data(2500, 3000)
	s.wantAck(0, [2]int{2500, 3000}, [2]int{1500, 2000}, [2]int{500, 1000})
	s.data(1000, 1500) // joins two
	s.wantAck(0, [2]int{500, 2000}, [2]int{2500, 3000})
	s.data(0, 500)
	s.wantAck(2000, [2]int{2500, 3000})
	s.data(2000, 2500)
	s.wantAck(3000)
	if c := s.p.Conns()[0]; c.Wrong() != 0 || c.Received() != 3000 {
		t.Fatalf("%d received, %d wrong", c.Received(), c.Wrong())
	}
}

// https://www.rfc-editor.org/rfc/rfc2883#section-4: a duplicate is reported once, in the first block.
func TestPeerReportsDuplicates(t *testing.T) {
	s := newScripted(t, PeerConfig{})
	s.data(0, 500)
	s.data(500, 1000)
	s.wantAck(1000)
	s.data(0, 500) // wholly old
	s.wantAck(1000, [2]int{0, 500})
	s.data(1500, 2000)
	s.wantAck(1000, [2]int{1500, 2000})
	s.data(1500, 2000) // twice, out of order
	s.wantAck(1000, [2]int{1500, 2000}, [2]int{1500, 2000})
	s.data(500, 1500) // old in part
	s.wantAck(2000, [2]int{500, 1000})
}

// What does not fit is not taken; the window opens again when it is worth it.
func TestPeerClosesItsWindow(t *testing.T) {
	s := newScripted(t, PeerConfig{Buffer: 2000, StallAt: 1, StallFor: 100 * ms})
	s.data(0, 1000)
	s.data(1000, 2500) // 500 too many
	if a := s.wantAck(2000); a.Window != 0 {
		t.Fatalf("window %d", a.Window)
	}
	s.data(2000, 2001)
	if a := s.wantAck(2000); a.Window != 0 {
		t.Fatalf("window %d after a probe", a.Window)
	}
	s.settle(101 * ms)
	if a := s.wantAck(2000); a.Window != 2000 {
		t.Fatalf("window %d after reading", a.Window)
	}
}

// A wrong byte is found, and where.
func TestPeerFindsWrongBytes(t *testing.T) {
	s := newScripted(t, PeerConfig{})
	s.dataWith(0, 1000, func(b []byte) { b[17] ^= 1; b[999] ^= 0x80 })
	c := s.p.Conns()[0]
	if c.Wrong() != 2 || c.FirstWrong() != 17 {
		t.Fatalf("%d wrong, the first at %d", c.Wrong(), c.FirstWrong())
	}
	s.dataWith(2000, 3000, func(b []byte) { b[0] ^= 1 })
	s.data(1000, 2000)
	if c.Wrong() != 3 || c.Received() != 3000 {
		t.Fatalf("%d wrong of %d", c.Wrong(), c.Received())
	}
}

// PAWS: an old timestamp is refused and answered (https://www.rfc-editor.org/rfc/rfc7323#section-5.3).
func TestPeerRefusesOldTimestamps(t *testing.T) {
	s := newScripted(t, PeerConfig{})
	s.data(0, 100)
	s.data(100, 200)
	s.wantAck(200)
	s.ts -= 50
	s.data(200, 300)
	s.wantAck(200)
	if got := s.p.Conns()[0].Received(); got != 200 {
		t.Fatalf("%d bytes taken", got)
	}
}

func TestPeerResetsAndIsReset(t *testing.T) {
	s := newScripted(t, PeerConfig{ResetAt: 500})
	s.data(0, 1000)
	s.want(wire.FlagRST | wire.FlagACK)
	s.data(1000, 2000)
	s.wantNothing()

	s = newScripted(t, PeerConfig{})
	s.send(handISS+1+50, 0, wire.FlagRST, nil, nil) // in the window, not exact: challenged
	s.wantAck(0)
	s.send(handISS+1, 0, wire.FlagRST, nil, nil)
	if !s.p.Conns()[0].WasReset() {
		t.Fatal("not reset")
	}
}

// The right edge of the window never moves back, except when the peer was told to.
func TestPeerWindowNeverShrinks(t *testing.T) {
	shrinks := func(name string) (n int) {
		for seed := range uint64(20) {
			trial := byName(name).trial(seed + 1)
			trial.Back.Reorder, trial.IPv6 = 0, false
			edges := map[uint16]uint32{}
			trial.At = append(trial.At, Action{0, func(r *Run) {
				r.Back.Watch(func(frame []byte) {
					var seg wire.Segment
					if wire.Parse(frame, true, &seg) != nil || seg.Flags&(wire.FlagSYN|wire.FlagRST) != 0 {
						return
					}
					edge := seg.Ack + uint32(seg.Window)<<trial.Peer.Scale
					if last, ok := edges[seg.Flow.LocalPort]; ok && before(edge, last) {
						n++
					}
					edges[seg.Flow.LocalPort] = edge
				})
			}})
			if _, err := trial.Do(); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for _, name := range []string{"slow-reader", "zero-window", "buffer-2k", "window-500"} {
		if n := shrinks(name); n > 0 {
			t.Errorf("%s: the window shrank %d times", name, n)
		}
	}
	if shrinks("shrink") == 0 {
		t.Error("shrink: the window never shrank: this test sees nothing")
	}
}

// An ACK of new bytes comes in parts that add up; one of nothing new comes once.
func TestPeerDividesAcks(t *testing.T) {
	s := newScripted(t, PeerConfig{AckParts: 4})
	s.data(0, 500)
	s.data(500, 1000)
	for _, n := range []int{250, 500, 750, 1000} {
		s.wantAck(n)
	}
	s.data(0, 500)
	s.wantAck(1000, [2]int{0, 500})
	s.wantNothing()
	if s.p.Parts != 3 {
		t.Fatalf("%d parts", s.p.Parts)
	}
}

// A coarse clock: ACKs that are put off come at its ticks, and a gap does not hurry them.
func TestPeerAcksAtTicks(t *testing.T) {
	s := newScripted(t, PeerConfig{AckTick: 200 * ms, AckLazy: true, AckEvery: 3})
	s.settle(150 * ms)
	s.data(0, 500)
	s.data(1000, 1500)
	s.settle(49 * ms)
	s.wantNothing()
	s.settle(ms)
	s.wantAck(500, [2]int{1000, 1500})
	s.wantNothing()
}
