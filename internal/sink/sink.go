package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// acceptRetry is the pause after accept(2) failed for want of descriptors or memory.
const acceptRetry = 50 * time.Millisecond

// run is one call of Run.
type run struct {
	cfg Config
	wg  sync.WaitGroup

	mu      sync.Mutex
	results []Result // by order of accept; complete once the connection has ended
}

// Run listens, receives cfg.Count connections (any number with 0) and returns their results in order of
// accept. Trouble with one connection is in its Result. When ctx ends, open connections are closed, and Run
// returns what it has with ctx's cause; nothing it started goes on after it returned.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ln, err := cfg.listen(ctx)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	if cfg.OnListening != nil {
		cfg.OnListening(ln.Addr())
	}
	r := &run{cfg: cfg}
	err = r.accept(ctx, ln)
	ln.Close() // from here on the kernel refuses who comes
	r.wg.Wait()
	if ctx.Err() != nil && !r.complete() {
		err = fmt.Errorf("sink: stopped: %w", context.Cause(ctx))
	}
	return r.results, err
}

// accept starts a goroutine per connection until the count is reached or the listener closes.
func (r *run) accept(ctx context.Context, ln net.Listener) error {
	for n := 1; r.cfg.Count == 0 || n <= r.cfg.Count; n++ {
		conn, err := acceptPatiently(ctx, ln)
		if err != nil {
			return wrap("sink: accept", err)
		}
		res := Result{
			Conn:     n,
			Remote:   conn.RemoteAddr().String(),
			Local:    conn.LocalAddr().String(),
			Accepted: time.Now(),
		}
		r.mu.Lock()
		r.results = append(r.results, res)
		r.mu.Unlock()
		r.wg.Go(func() { r.finish(r.cfg.receive(ctx, conn, res)) })
	}
	return nil
}

// acceptPatiently waits out a lack of descriptors or memory, which connections that end will cure.
func acceptPatiently(ctx context.Context, ln net.Listener) (net.Conn, error) {
	scarce := []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM}
	for {
		conn, err := ln.Accept()
		if err == nil || !slices.ContainsFunc(scarce, func(e error) bool { return errors.Is(err, e) }) {
			return conn, err
		}
		if err := pause(ctx, acceptRetry); err != nil {
			return nil, err
		}
	}
}

// finish keeps a result and reports it; one at a time.
func (r *run) finish(res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[res.Conn-1] = res
	if r.cfg.OnConn != nil {
		r.cfg.OnConn(res)
	}
}

// complete tells whether all connections asked for came and ended, so that a late cancellation changed nothing.
func (r *run) complete() bool {
	return r.cfg.Count > 0 && len(r.results) == r.cfg.Count &&
		!slices.ContainsFunc(r.results, func(res Result) bool { return errors.Is(res.Cause, errStopped) })
}

// pause sleeps for d, or until ctx ends, whose cause it returns then.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
