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

	sorting context.Context // with Verify: its end means that who has said nothing yet is one too many
	full    func()          // ends it, and closes the listener

	mu      sync.Mutex
	results []Result // by number; complete once the connection has ended
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
	var sorted context.CancelFunc
	r.sorting, sorted = context.WithCancel(ctx)
	defer sorted()
	r.full = func() { ln.Close(); sorted() }
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
	for !r.allCame() {
		conn, err := acceptPatiently(ctx, ln)
		accepted := time.Now()
		switch {
		case err != nil && r.allCame():
			return nil // it was closed for that
		case err != nil:
			return wrap("sink: accept", err)
		case r.cfg.Verify:
			r.wg.Go(func() { r.sort(ctx, conn, accepted) })
		default:
			res, _ := r.enter(conn, accepted)
			r.wg.Go(func() { r.finish(r.cfg.receive(ctx, conn, res)) })
		}
	}
	return nil
}

// allCame tells whether all connections asked for have come.
func (r *run) allCame() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.Count > 0 && len(r.results) == r.cfg.Count
}

// enter gives a connection its number, unless all that were asked for have come.
func (r *run) enter(conn net.Conn, accepted time.Time) (Result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Count > 0 && len(r.results) == r.cfg.Count {
		return Result{}, false
	}
	res := Result{Conn: len(r.results) + 1, Remote: conn.RemoteAddr().String(), Local: conn.LocalAddr().String(), Accepted: accepted}
	r.results = append(r.results, res)
	if len(r.results) == r.cfg.Count {
		r.full()
	}
	return res, true
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
	res.ended = true
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
