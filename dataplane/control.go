package dataplane

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xsend/xsend/tcp"
)

// running is what ties a poller to other goroutines. Everything in it is off the
// path of a packet.
type running struct {
	clock func() tcp.Time
	cpu   func() (int, error)

	sleeping atomic.Bool // in Wait, or about to be: whoever has something wakes the port
	waker    atomic.Pointer[waker]

	mu      sync.Mutex
	queue   []func(now tcp.Time)
	closed  bool        // nothing is queued any more
	pending atomic.Bool // there is something in queue

	stopped chan struct{} // closed when Run has ended
	closing bool          // Shutdown was called; the poller's
}

// waker holds the port for Wake: the only thing that other goroutines do with it.
type waker struct{ port Port }

func (r *running) init(cfg *Config) {
	r.clock, r.cpu = cfg.Clock, cfg.CPU
	if r.clock == nil {
		r.clock = monotonic()
	}
	r.stopped = make(chan struct{})
	r.waker.Store(&waker{cfg.Port})
}

// monotonic is the system's clock, from one second on: 0 stands for "never" in
// records.
func monotonic() func() tcp.Time {
	start := time.Now()
	return func() tcp.Time { return tcp.Time(time.Since(start)) + tcp.Second }
}

// wakeUp ends the poller's sleep, if it sleeps. Any goroutine may call it.
func (r *running) wakeUp() {
	if r.sleeping.Load() && r.sleeping.CompareAndSwap(true, false) {
		r.waker.Load().port.Wake()
	}
}

// Do runs f on the poller's goroutine between two Steps and waits until it returned;
// with the poller's time. Any other goroutine may call it while Run runs, or before.
// The error is ErrStopped, or that of ctx, after which f may still be run.
func (p *Poller) Do(ctx context.Context, f func(now tcp.Time)) error {
	done := make(chan struct{})
	if !p.enqueue(func(now tcp.Time) { f(now); close(done) }) {
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *running) enqueue(f func(tcp.Time)) bool {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return false
	}
	r.queue = append(r.queue, f)
	r.pending.Store(true)
	r.mu.Unlock()
	r.wakeUp()
	return true
}

// obey runs what others asked for.
func (r *running) obey(now tcp.Time) {
	r.mu.Lock()
	queue := r.queue
	r.queue = nil
	r.pending.Store(false)
	r.mu.Unlock()
	for _, f := range queue {
		f(now)
	}
}

// end ends control: what is queued is run, and nothing is queued any more.
func (p *Poller) end(now tcp.Time) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.obey(now)
	p.Notify(true)
	p.publish()
	close(p.stopped)
}

// Dial opens a stream and waits until it is established. Any goroutine may call it
// while Run runs. The error is that of Open or WaitEstablished; then nothing is left
// open.
func (p *Poller) Dial(ctx context.Context, w *Writer, cfg tcp.Config) (*Stream, error) {
	var s *Stream
	var failed error
	err := p.Do(ctx, func(now tcp.Time) {
		if failed = context.Cause(ctx); failed == nil { // the caller may be gone
			s, failed = p.Open(now, w, cfg)
		}
	})
	if err != nil {
		p.enqueue(func(now tcp.Time) {
			if s != nil { // it went between the two
				p.Abort(now, s)
			}
		})
		return nil, fmt.Errorf("open %v: %w", cfg.Flow.RemoteAddr(), err)
	}
	if failed != nil {
		return nil, failed
	}
	if err := s.WaitEstablished(ctx); err != nil {
		_ = p.Do(context.WithoutCancel(ctx), func(now tcp.Time) { p.Abort(now, s) })
		return nil, err
	}
	return s, nil
}

// AddWriter is NewWriter for other goroutines, while Run runs.
func (p *Poller) AddWriter(ctx context.Context, frames int) (*Writer, error) {
	var w *Writer
	var failed error
	if err := p.Do(ctx, func(tcp.Time) { w, failed = p.NewWriter(frames) }); err != nil {
		return nil, err
	}
	return w, failed
}
