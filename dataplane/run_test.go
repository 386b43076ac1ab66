package dataplane

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/xsend/xsend/tcp"
)

// live is a rig whose poller runs in a goroutine of its own, on the system's clock.
type live struct {
	*rig
	cancel context.CancelFunc
	ended  chan error
}

// runRig runs a rig. The peer lives inside the port's Kick, and so on the poller's
// goroutine; it is looked at after the end only.
func runRig(t *testing.T, frames int, edit func(*Config)) *live {
	t.Helper()
	g := newRig(t, frames, edit)
	g.rto = 200 * tcp.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	l := &live{rig: g, cancel: cancel, ended: make(chan error, 1)}
	go func() { l.ended <- g.p.Run(ctx) }()
	t.Cleanup(cancel)
	return l
}

// stop ends Run and closes the poller.
func (l *live) stop() {
	l.Helper()
	l.cancel()
	must(l, <-l.ended)
	rem, err := l.p.Close()
	must(l, err)
	if rem.Leaked != 0 {
		l.Fatalf("leaked %d: %+v", rem.Leaked, rem.Census)
	}
}

// write is an ordinary goroutine that sends everything and waits for every release.
func (c *source) write(ctx context.Context, t testing.TB) error {
	var failed error
	c.w.OnRelease = func(r Release, payload []byte) {
		want := c.pending[r.Cookie]
		if int(r.Start) != want[0] || int(r.End) != want[1] || !bytes.Equal(payload, c.bytes[r.Start:r.End]) {
			failed = errors.New("a release is not of what was committed")
		}
		delete(c.pending, r.Cookie)
		for i := range payload {
			payload[i] = 0xee
		}
	}
	for c.at < len(c.bytes) {
		b, err := c.w.ReserveWait(ctx, c.s)
		if err != nil {
			return err
		}
		n := copy(b.Bytes, c.bytes[c.at:])
		c.cookie++
		c.pending[c.cookie] = [2]int{c.at, c.at + n}
		c.w.Commit(c.s, b, n, c.cookie)
		c.at += n
	}
	c.w.CloseWrite(c.s)
	for len(c.pending) > 0 && failed == nil {
		if c.w.Poll() == 0 {
			if err := c.w.Wait(ctx); err != nil {
				return err
			}
		}
	}
	if failed != nil {
		return failed
	}
	return c.s.WaitSendClosed(ctx)
}

// TestRun: writers in goroutines of their own, blocking, against a poller that
// sleeps when it can. Run under the race detector this is the proof of the rings.
func TestRun(t *testing.T) {
	for _, procs := range []int{1, 2} {
		old := runtime.GOMAXPROCS(procs)
		l := runRig(t, 256, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wg sync.WaitGroup
		var sources []*source
		for i := range 4 {
			cfg := l.config()
			w, err := l.p.AddWriter(ctx, 0)
			must(t, err)
			s, err := l.p.Dial(ctx, w, cfg)
			must(t, err)
			c := newSource(uint64(i), w, s, 1<<20)
			sources = append(sources, c)
			wg.Go(func() {
				if err := c.write(ctx, t); err != nil {
					t.Errorf("stream %d: %v", i, err)
				}
				c.w.Close()
			})
		}
		wg.Wait()
		if st, err := sources[0].s.Stats(ctx); err != nil || st.BytesAcked != 1<<20 {
			t.Errorf("%v: %+v", err, st)
		}
		l.stop()
		cancel()
		runtime.GOMAXPROCS(old)
		for _, c := range sources {
			if got := l.peer.flows[c.s.flow].stream; !bytes.Equal(got, c.bytes) {
				t.Fatalf("the peer got %d bytes of %d, or others", len(got), len(c.bytes))
			}
			if st, err := c.s.Stats(t.Context()); err != nil || st.BytesAcked != 1<<20 {
				t.Errorf("after the end: %v: %+v", err, st)
			}
		}
		k := l.p.Counters()
		if k.Submitted != k.Completed || k.Commits != k.Releases || k.BytesReleased != 4<<20 {
			t.Fatalf("%+v", k)
		}
	}
}

// TestRunEnds: whoever waits when the poller stops is told.
func TestRunEnds(t *testing.T) {
	l := runRig(t, 64, nil)
	w, err := l.p.AddWriter(t.Context(), 0)
	must(t, err)
	s, err := l.p.Dial(t.Context(), w, l.config())
	must(t, err)
	waiting := make(chan error, 1)
	go func() { waiting <- s.WaitPeerClosed(context.Background()) }()
	l.cancel()
	if err := <-waiting; !errors.Is(err, tcp.ErrAborted) && !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	must(t, <-l.ended)
	if err := l.p.Do(t.Context(), func(tcp.Time) {}); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	if _, err := l.p.Dial(t.Context(), w, l.config()); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	rem, err := l.p.Close()
	must(t, err)
	if rem.Leaked != 0 {
		t.Fatalf("leaked %d", rem.Leaked)
	}
}

// TestDialGivesUp: nobody answers, the caller goes away, nothing stays open.
func TestDialGivesUp(t *testing.T) {
	l := runRig(t, 64, nil)
	must(t, l.p.Do(t.Context(), func(tcp.Time) { l.peer.mute = true }))
	w, err := l.p.AddWriter(t.Context(), 0)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.p.Dial(ctx, w, l.config()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	n := -1
	for n != 0 {
		must(t, l.p.Do(t.Context(), func(tcp.Time) { n = l.p.Streams() }))
	}
	l.stop()
}

// TestRunRebuilds: the queue dies under blocking writers.
func TestRunRebuilds(t *testing.T) {
	fails := 2
	var l *live
	opened := make(chan struct{})
	l = runRig(t, 128, func(c *Config) {
		c.Stall = 50 * tcp.Millisecond
		c.Reopen = func(q int) (Port, error) { <-opened; return l.reopen(&fails)(q) }
	})
	close(opened)
	w, err := l.p.AddWriter(t.Context(), 0)
	must(t, err)
	s, err := l.p.Dial(t.Context(), w, l.config())
	must(t, err)
	c := newSource(1, w, s, 4<<20)
	must(t, l.p.Do(t.Context(), func(tcp.Time) { l.port.hold = true }))
	must(t, c.write(t.Context(), t))
	w.Close()
	l.stop()
	if k := l.p.Counters(); k.Rebuilds != 1 || k.RebuildTry != 3 {
		t.Fatalf("%+v", k)
	}
	if !bytes.Equal(l.peer.flows[s.flow].stream, c.bytes) {
		t.Fatal("the peer got something else")
	}
}
