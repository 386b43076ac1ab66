package transfer

import (
	"encoding/json"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
)

// sampling is a sampler of streams whose figures the test sets.
func sampling(t *testing.T, stats ...*tcp.Stats) *sampler {
	r := &run{}
	s := &sampler{run: r, meter: &Meter{begin: time.Now()}}
	for i, st := range stats {
		c := newFakeConn(t, 1, 0, 1448)
		c.stats = func() tcp.Stats { return *st }
		r.stood = append(r.stood, &sender{run: r, id: i + 1, conn: c})
	}
	return s
}

// TestSamplesAreDifferences: a sample counts what happened since the last one, and says where TCP stands now.
func TestSamplesAreDifferences(t *testing.T) {
	one := &tcp.Stats{Retransmits: 5, Lost: 7, Timeouts: 1, TailProbes: 2, BytesAcked: 900, Cwnd: 14480, Ssthresh: math.MaxInt, SRTT: 1500 * tcp.Microsecond}
	two := &tcp.Stats{Retransmits: 1}
	s := sampling(t, one, two)
	s.run.stood[0].meter.released.Store(1000)
	s.run.stood[1].meter.released.Store(10)
	s.sample()
	s.run.stood[0].meter.released.Store(1600)
	one.Retransmits, one.Lost, one.DSACKs, one.Cwnd, one.Ssthresh, one.SRTT = 8, 8, 3, 28960, 20000, 2*tcp.Millisecond
	one.RTTVar, one.MinRTT, one.RTO, one.InFlight, one.Reordering = 250*tcp.Microsecond, tcp.Millisecond, 202*tcp.Millisecond, 4344, 5
	one.PacingRate, one.Rate, one.Phase, one.State, one.CongestionState, one.Congestion = 1000, 900, "recovery", tcp.Established, "avoidance", tcp.Cubic
	one.ECN, one.ECEs, one.CEs, one.CWRReductions = true, 9, 4, 2
	s.sample()
	first, second := s.samples[0], s.samples[1]
	if first.Bytes != 1010 || first.Retransmits != 6 || first.Streams[0].Ssthresh != 0 || first.Streams[0].Lost != 7 || first.Streams[0].RTT != 1500 {
		t.Errorf("%+v", first)
	}
	if second.Bytes != 600 || second.Retransmits != 3 || second.Start != first.End || second.Streams[1].Bytes != 0 || second.Streams[1].Retransmits != 0 {
		t.Errorf("%+v", second)
	}
	got := second.Streams[0]
	want := StreamInterval{
		ID: 1, Socket: 1, Span: second.Span, Losses: Losses{Lost: 1, DSACKs: 3, CWRs: 2, ECEs: 9, CEs: 4},
		Moment: Moment{
			BytesAcked: 900, InFlight: 4344, Cwnd: 28960, Ssthresh: 20000, RTT: 2000, RTTVar: 250, MinRTT: 1000, RTO: 202_000,
			PacingRate: 8000, DeliveryRate: 7200, Reorder: 5, Congestion: "cubic", CongestionState: "avoidance", Recovery: "recovery", ECN: "on", State: "established",
		},
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestOmittedSpan: the sample that ends with the omitted part is late, and omitted all the same.
func TestOmittedSpan(t *testing.T) {
	for _, c := range []struct {
		start, end float64
		want       bool
	}{{0, 1.0003, true}, {1.0003, 2.0001, true}, {2.0001, 3, false}, {0, 5, false}} {
		if s := spanOf(c.start, c.end, 2); s.Omitted != c.want || s.Seconds != c.end-c.start {
			t.Errorf("%+v", s)
		}
	}
	if spanOf(0, 1, 0).Omitted {
		t.Error("omitted without -O")
	}
}

// TestTotalsOfSamples: the samples of a run add up to the run, stream by stream.
func TestTotalsOfSamples(t *testing.T) {
	s := newStage(t, 3, Config{Path: writeFile(t, 300_000), Interval: 200 * time.Microsecond})
	rep := s.run()
	var all int64
	each := map[int]int64{}
	for _, i := range rep.Intervals {
		var sum int64
		for _, st := range i.Streams {
			each[st.ID] += st.Bytes
			sum += st.Bytes
		}
		if sum != i.Bytes {
			t.Errorf("the streams of %+v have %d bytes", i.Span, sum)
		}
		all += i.Bytes
	}
	if all != 900_000 || each[1] != 300_000 || each[3] != 300_000 || rep.ExitCode != 0 {
		t.Errorf("%d bytes in %d samples, %v: %v", all, len(rep.Intervals), each, rep.Err)
	}
}

// TestDiscardedSamples are told and not kept.
func TestDiscardedSamples(t *testing.T) {
	n := 0
	s := newStage(t, 1, Config{Path: writeFile(t, 1000), Interval: time.Hour, Discard: true, OnSample: func(Interval) { n++ }})
	if rep := s.run(); n != 1 || len(rep.Intervals) != 0 {
		t.Errorf("%d told, %d kept", n, len(rep.Intervals))
	}
}

// TestStartIsTold once, with all connections that stand, and not where none does.
func TestStartIsTold(t *testing.T) {
	for _, c := range []struct{ fail, want int32 }{{0, 3}, {1, 2}, {3, 0}} {
		var starts []Start
		var dialed atomic.Int32
		s := newStage(t, 3, Config{Path: writeFile(t, 1000), Interval: time.Hour, OnStart: func(st Start) { starts = append(starts, st) },
			OnSample: func(Interval) {
				if starts == nil {
					t.Error("a sample before the start")
				}
			}})
		s.net.dial = func(session.DialConfig) error {
			if dialed.Add(1) <= c.fail {
				return errors.New("no")
			}
			return nil
		}
		rep := s.run()
		if len(starts) > 1 || len(starts) == 0 && c.want > 0 || len(rep.Start.Connected) != int(c.want) {
			t.Errorf("%d of 3 fail: %d starts, %d connected", c.fail, len(starts), len(rep.Start.Connected))
		}
		for _, st := range starts {
			if len(st.Connected) != int(c.want) || st.Interface != "eth9" || st.Connected[0].RemotePort != 9000 || st.Connected[0].LocalHost != "192.0.2.1" {
				t.Errorf("%+v", st)
			}
		}
	}
}

// TestStartDoesNotWaitForOne: a connection that is still trying is missing in the start, and in the report it is there.
func TestStartDoesNotWaitForOne(t *testing.T) {
	var started []Connected
	var dialed atomic.Int32
	sampled := make(chan struct{}, 1000)
	s := newStage(t, 3, Config{Path: writeFile(t, 1000), Interval: time.Millisecond,
		OnStart: func(st Start) { started = st.Connected },
		OnSample: func(Interval) {
			select {
			case sampled <- struct{}{}:
			default:
			}
		}})
	s.net.dial = func(session.DialConfig) error {
		if dialed.Add(1) == 3 {
			<-sampled
		}
		return nil
	}
	late := s.run().Start.Connected
	if len(started) == 0 || len(started) == 3 || len(late) != 3 || late[0].ID != 1 || late[2].ID != 3 {
		t.Errorf("%d at the start, %d in the end", len(started), len(late))
	}
}

// TestIntervalJSON: the sum stands at the top, and a stream has all its parts.
func TestIntervalJSON(t *testing.T) {
	text, err := json.Marshal(Interval{Span: Span{Bytes: 3}, Streams: []StreamInterval{{ID: 1, Moment: Moment{RTT: 5}, Losses: Losses{Lost: 2}}}})
	if err != nil {
		t.Fatal(err)
	}
	var i struct {
		Bytes   int
		Streams []struct {
			ID, RTT, Lost int
		}
	}
	if err := json.Unmarshal(text, &i); err != nil || i.Bytes != 3 || i.Streams[0].RTT != 5 || i.Streams[0].Lost != 2 {
		t.Errorf("%s: %v", text, err)
	}
}
