package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/median"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/tcp"
)

// A kernel's reader stops, what waits for it is demoted, its frames are written over, and it wakes later: the right bytes.
func TestStoppedReaderIsDemoted(t *testing.T) {
	demoted := func(t *testing.T, o outcome) {
		k, st := &o.session.Counters, o.stats[0]
		if k.Demotions == 0 || k.BytesDemoted == 0 || st.ArenaSegments == 0 || st.Demoted != 0 || k.HoldAborts != 0 {
			t.Errorf("nothing was demoted: %+v, %+v", k, st)
		}
	}
	stopping := func(conns int) trial {
		return trial{
			conns: conns, bytes: 2 << 20, check: demoted, dial: session.DialConfig{Hold: session.Hold{Time: 300 * time.Millisecond}},
			sink: func(c *sink.Config) {
				c.ReadBuffer = 64 << 10
				var mu sync.Mutex
				stopped := map[int]bool{}
				c.BeforeRead = func(ctx context.Context, conn int, read int64) {
					mu.Lock()
					stop := read >= 256<<10 && !stopped[conn]
					stopped[conn] = stopped[conn] || stop
					mu.Unlock()
					if stop {
						pause(ctx, 2*time.Second)
					}
				}
			},
		}
	}
	everyWay(t, "1", stopping(1))
	everyWay(t, "4", stopping(4))
	jumbo := stopping(1)
	jumbo.lab.MTU = 9000
	for name, tr := range map[string]trial{"jumbo": jumbo.scattered(), "jumbo, late": jumbo.scattered().lately(), "scattered": stopping(2).scattered()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr.succeeds(t)
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// The limits that end a connection end that one, and say why; its neighbour arrives whole.
func TestHoldLimitEndsOne(t *testing.T) {
	for name, c := range map[string]struct {
		arena int
		hold  session.Hold
		cause tcp.HoldCause
	}{
		"no arena":           {-1, session.Hold{Time: 300 * time.Millisecond}, tcp.HoldNoArena},
		"an arena too small": {16 << 10, session.Hold{Time: 300 * time.Millisecond}, tcp.HoldArenaFull},
		"second limit":       {0, session.Hold{Time: 300 * time.Millisecond, Abort: time.Second}, tcp.HoldAbortOver},
		"policy abort":       {0, session.Hold{Policy: tcp.HoldAbort, Time: 300 * time.Millisecond}, tcp.HoldTimeOver},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(stopAfter(2, 64<<10, 2))
			s := r.open(session.Config{Writers: 2, Frames: 2 * smallFrames, Arena: c.arena, Witness: true})
			p := payload(3, 8<<20)
			good := dial(t, s, rc.addr)
			bad, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, Hold: c.hold})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- fill(within(t), bad, p) }()
			if err := write(within(t), good, p); err != nil {
				t.Error(err)
			}
			var limit *tcp.HoldError
			if err := <-ended; !errors.As(err, &limit) || !errors.Is(err, tcp.ErrHoldLimit) || limit.Cause != c.cause {
				t.Errorf("the stopped one ended with %v, want cause %d", err, c.cause)
			}
			if err := settle(within(t), bad); err != nil {
				t.Error(err)
			}
			if res := <-rc.results; res.Err == "" && res.SHA256 != sumOf(p) {
				t.Errorf("%+v", res)
			}
			rep, err := s.Close()
			if err != nil || rep.Counters.HoldAborts != 1 || rep.RewrittenInFlight != 0 {
				t.Errorf("%v; %+v", err, rep)
			}
			books(t, rep)
		})
	}
}

// stopAfter is a sink of so many connections, of which those from number from on stop for good once they have read so much.
func stopAfter(from int, read int64, conns int) func(*sink.Config) {
	return func(c *sink.Config) {
		c.Count = conns
		c.BeforeRead = func(ctx context.Context, conn int, n int64) {
			if conn >= from && n >= read {
				<-ctx.Done()
			}
		}
	}
}

// pinned writes to a peer that stops, until all frames are back though it ACKs nothing, and returns how long after its last ACK that was.
func pinned(ctx context.Context, c *session.Conn) (time.Duration, error) {
	w, st := c.Writer(), c.Stream()
	demoted, last, acked := 0, time.Now(), uint64(0)
	w.OnRelease = func(r dataplane.Release, payload []byte) {
		rewrite(r, payload)
		if r.Reason == dataplane.Demoted {
			demoted++
		}
	}
	for ctx.Err() == nil {
		for b, ok := w.Reserve(st); ok; b, ok = w.Reserve(st) {
			w.Commit(st, b, len(b.Bytes), 0)
		}
		w.Poll()
		if n := st.Acked(); n > acked {
			acked, last = n, time.Now()
		}
		if demoted > 0 && w.Held(st) == 0 {
			return time.Since(last), nil
		}
		if st.Ended() {
			return 0, fmt.Errorf("ended: %w", st.Err())
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		_ = w.Wait(short) // how it ended is looked at above
		cancel()
	}
	return 0, context.Cause(ctx)
}

const (
	manyStopped = 21
	pinLimit    = 500 * time.Millisecond
	// nicDrain is what a NIC's last completion takes on veth, where they come at once, and a turn of everybody on a busy machine.
	nicDrain = 700 * time.Millisecond
)

// besideStopped is a session with so many connections whose peers have stopped and whose frames are back, and one to a good one.
func besideStopped(t testing.TB, stopped int, pace uint64, unhashed bool) (*session.Session, *session.Conn, *receiver) {
	t.Helper()
	r := newRig(t, lab.Config{})
	rc := r.receive(func(c *sink.Config) {
		stopAfter(2, 0, 1+stopped)(c)
		c.SkipHash = unhashed
	})
	s := r.open(session.Config{Writers: 1 + manyStopped}) // alone too, so that its writer has as many frames
	good, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, Rate: pace})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range stopped {
		c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, Hold: session.Hold{Time: pinLimit}})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if d, err := pinned(within(t), c); err != nil || d > pinLimit+nicDrain {
				t.Errorf("frames were back %v after the last ACK, limit %v: %v", d, pinLimit, err)
			}
		})
	}
	all.Wait()
	return s, good, rc
}

// Twenty-one readers that stop, beside one that reads: every frame of theirs is back within the limit and a drain of the NIC, and
// stays back; the good one gets its bytes.
func TestStoppedReadersPinNothing(t *testing.T) {
	s, good, rc := besideStopped(t, manyStopped, 0, false)
	p := payload(5, 32<<20)
	if err := write(within(t), good, p); err != nil {
		t.Error(err)
	}
	if res := <-rc.results; res.SHA256 != sumOf(p) || res.Remote != good.LocalAddr().String() {
		t.Errorf("%+v", res)
	}
	rep, err := s.Close()
	if err != nil || rep.Counters.BytesReleased < 32<<20 || rep.Counters.Demotions < manyStopped || rep.Counters.ArenaPeak == 0 || rep.Counters.ArenaAborted != rep.Counters.ArenaCopied {
		t.Errorf("%v; %+v", err, rep)
	}
	books(t, rep)
}

// BenchmarkBesideStopped is the goodput of a good reader beside 21 stopped ones over that without them, as fast as the machine can, and at a
// pace that it can keep. A pair is two sessions of its own, each on a veth pair, that take ten turns of 70 ms each. The metrics are
// the median and the interval that holds it with 95 %; with fewer than six pairs there is none:
//
//	go test ./dataplane/session -run '^$' -bench BesideStopped -benchtime 24x
func BenchmarkBesideStopped(b *testing.B) {
	for name, pace := range map[string]uint64{"unpaced": 0, "400Mbit": 50e6} {
		b.Run(name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				ratios = append(ratios, pairBeside(b, pace, len(ratios)))
			}
			in := median.Between(ratios)
			b.ReportMetric(median.Of(ratios), "ratio")
			b.ReportMetric(in.Low, "low")
			b.ReportMetric(in.High, "high")
			b.ReportMetric(in.Coverage, "coverage")
		})
	}
}

// pairBeside is one pair; which of the two is opened, and has its turn, first, changes from pair to pair.
func pairBeside(b *testing.B, pace uint64, n int) float64 {
	var streams [2]*session.Conn
	for k := range 2 {
		i := (k + n) % 2
		s, good, _ := besideStopped(b, []int{0, manyStopped}[i], pace, true)
		defer s.Close() //nolint:errcheck // aborts what is left
		streams[i] = good
	}
	var sum [2]float64
	for turn := range 20 {
		i := (turn + turn/2 + n) % 2 // A B B A A B B A
		sum[i] += goodput(b, streams[i], 70*time.Millisecond)
	}
	return sum[1] / sum[0]
}

// goodput is the bytes per second that the peer ACKs while the writer commits what it can for so long.
func goodput(tb testing.TB, c *session.Conn, d time.Duration) float64 {
	tb.Helper()
	w, st := c.Writer(), c.Stream()
	ctx := within(tb)
	begin, from := time.Now(), st.Acked()
	for time.Since(begin) < d {
		for b, ok := w.Reserve(st); ok; b, ok = w.Reserve(st) {
			w.Commit(st, b, len(b.Bytes), 0)
		}
		if w.Poll() == 0 {
			if err := w.Wait(ctx); err != nil {
				tb.Fatal(err)
			}
		}
	}
	rate := float64(st.Acked()-from) / time.Since(begin).Seconds()
	if err := settle(ctx, c); err != nil {
		tb.Fatal(err)
	}
	return rate
}
