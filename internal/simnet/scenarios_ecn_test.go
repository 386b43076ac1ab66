package simnet

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// marks has both ends agree to ECN, and more to send than fits into the first window.
func marks(t *Trial, r *rand.Rand) {
	t.TCP, t.Peer.ECN = func(c *tcp.Config) { c.ECN = true }, true
	t.Bytes = 60_000 + r.IntN(200_000)
	t.Peer.Buffer, t.Peer.Scale = 1<<20, 7
}

// What a path and a peer do with marks of congestion.
var ecnScenarios = []scenario{
	{"marks", func(t *Trial, r *rand.Rand) { // a slow link that marks, and drops only much later
		marks(t, r)
		t.Forward.Rate, t.Forward.Queue, t.Forward.Mark = 1_000_000+r.IntN(5_000_000), 200, 3+r.IntN(20)
	}, func(s *tally) string {
		return missing(min(s.forward.Marked, s.tcp.ECEs, s.tcp.CWRReductions, s.told), "mark, echo, reduction, word of it")
	}},
	{"marks-and-loss", func(t *Trial, r *rand.Rand) {
		marks(t, r)
		lossy(t, r)
		t.Forward.MarkSome = part(r, 0.3)
		sometimes(t, r, func(t *Trial, r *rand.Rand) {
			t.Forward.Reorder, t.Forward.ReorderBy = 0.1, tcp.Duration(r.IntN(3000))*us
		})
		sometimes(t, r, func(t *Trial, _ *rand.Rand) { t.Peer.NoSACK = true })
	}, func(s *tally) string {
		return missing(min(s.forward.Marked, s.tcp.CWRReductions, s.tcp.Recoveries, s.tcp.Timeouts), "mark, reduction, recovery, timeout")
	}},
	{"marks-to-us", func(t *Trial, r *rand.Rand) { // what the peer sends is marked, and hears of it
		marks(t, r)
		t.Peer.Send, t.Back.MarkSome = 10_000+r.IntN(30_000), 0.1+part(r, 0.5)
		sometimes(t, r, lossy)
	}, func(s *tally) string {
		return missing(min(s.back.Marked, s.tcp.CEs, s.echoes), "mark, mark that came, echo of ours")
	}},
	{"echo-for-ever", func(t *Trial, r *rand.Rand) {
		marks(t, r)
		t.Peer.EchoAlways = true
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.gaveUp, "stream that gave ECN up") }},
	{"capable-is-dropped", func(t *Trial, r *rand.Rand) { // by something that reads the old TOS byte
		marks(t, r)
		t.At = append(t.At, Action{0, func(r *Run) {
			r.Forward.Filter(dropsIf(func(seg *wire.Segment) bool { return seg.ECN != wire.NotECT }))
		}})
	}, func(s *tally) string { return missing(s.gaveUp, "stream that gave ECN up") }},
	{"offer-is-dropped", func(t *Trial, r *rand.Rand) { // by something that doesn't know the flags
		marks(t, r)
		t.At = append(t.At, Action{0, func(r *Run) { r.Forward.Filter(dropsIf(offered)) }})
	}, func(s *tally) string {
		if s.agreed > 0 {
			return "stream without ECN"
		}
		return missing(s.forward.Lost, "offer that was dropped")
	}},
}

// dropsIf loses segments.
func dropsIf(is func(*wire.Segment) bool) func(frame []byte) bool {
	var seg wire.Segment
	return func(frame []byte) bool { return wire.Parse(frame, false, &seg) == nil && is(&seg) }
}

// TestMarksSaveLosses: through a bottleneck that marks early, nothing is lost and the queue stays short, at hardly
// less goodput. The control: the same path and the same sender without ECN.
func TestMarksSaveLosses(t *testing.T) {
	for _, cc := range []tcp.Congestion{tcp.Cubic, tcp.Reno, tcp.BBR} {
		t.Run(string(cc), func(t *testing.T) {
			t.Parallel()
			marked, control := throughMarks(t, cc, true), throughMarks(t, cc, false)
			t.Logf("with ECN %+v, without %+v", marked, control)
			if marked.lost > 0 || marked.resent > 0 || marked.reductions == 0 {
				t.Errorf("with ECN: %+v", marked)
			}
			if marked.took > control.took*5/4 {
				t.Errorf("with ECN %+v, without %+v", marked, control)
			}
			// bbr fills no queue, marked or not.
			if cc != tcp.BBR && (control.lost == 0 || control.resent == 0 || marked.srtt >= control.srtt) {
				t.Errorf("with ECN %+v, without %+v: the control shows nothing", marked, control)
			}
		})
	}
}

// passage is how a stream got through.
type passage struct {
	lost, resent, reductions uint64
	took, srtt               tcp.Duration
}

// throughMarks sends 8 MB through 2 MB/s and 20 ms: a window of 28 packets fills it. The queue has room for three
// more of them, and marks from 14 packets on.
func throughMarks(t *testing.T, cc tcp.Congestion, ecn bool) passage {
	t.Helper()
	link := LinkConfig{Rate: 2_000_000, Delay: 10 * ms, Queue: 84, Mark: 14}
	r, err := Trial{
		Seed: 1, Bytes: 8 << 20, Frames: 600, Congestion: cc, Forward: link, Back: LinkConfig{Delay: 10 * ms},
		Peer: PeerConfig{ECN: true, Buffer: 4 << 20, Scale: 7, AckDelay: 5 * ms},
		TCP:  func(c *tcp.Config) { c.ECN = ecn }, Audit: 1000,
	}.Do()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	st := r.Streams[0].StatsNow()
	return passage{
		lost: r.Forward.Stats().Overflow, resent: st.Retransmits - st.TailProbes, reductions: st.CWRReductions,
		took: r.Streams[0].Sent - tcp.Second, srtt: st.SRTT,
	}
}

// TestWrongMarksAreSeen is the control of the check that all trials make: marked as capable again, and
// told of a reduction, in what was sent before.
func TestWrongMarksAreSeen(t *testing.T) {
	agreed := &PeerConn{ecn: true}
	for name, row := range map[string]struct {
		seq    uint32
		length int
		ecn    uint8
		flags  uint8
		peer   *PeerConn
		right  bool
	}{
		"new data":                 {2000, 1000, wire.ECT0, wire.FlagACK, agreed, true},
		"new data that tells":      {2000, 1000, wire.ECT0, wire.FlagACK | wire.FlagCWR, agreed, true},
		"unmarked data that tells": {2000, 1000, wire.NotECT, wire.FlagACK | wire.FlagCWR, agreed, true},
		"old data, unmarked":       {1000, 1000, wire.NotECT, wire.FlagACK, agreed, true},
		"old data":                 {1000, 1000, wire.ECT0, wire.FlagACK, agreed, false},
		"half of it old":           {1500, 1000, wire.ECT0, wire.FlagACK, agreed, false},
		"old data that tells":      {1000, 1000, wire.NotECT, wire.FlagACK | wire.FlagCWR, agreed, false},
		"an ACK":                   {2000, 0, wire.ECT0, wire.FlagACK, agreed, false},
		"an offer":                 {999, 0, wire.NotECT, wire.FlagSYN | ecnSetup, nil, true},
		"a marked SYN":             {999, 0, wire.ECT0, wire.FlagSYN, nil, false},
		"a peer that can't":        {2000, 1000, wire.ECT0, wire.FlagACK, &PeerConn{}, false},
		"congestion of our own":    {2000, 1000, wire.CE, wire.FlagACK, agreed, false},
	} {
		s := &Stream{sentAny: true, sentTo: 2000}
		seg := &wire.Segment{Seq: row.seq, PayloadLen: row.length, ECN: row.ecn, Flags: row.flags}
		if s.checkMark(seg, row.peer) != row.right {
			t.Errorf("%s", name)
		}
	}
}
