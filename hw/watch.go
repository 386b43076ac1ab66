package hw

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WatchConfig says what to follow.
type WatchConfig struct {
	// Link is the interface as [Lookup] returned it. What differs from it by now is reported at once.
	Link Interface
	// Paths are those in use, as [ResolvePath] returned them; [Watch.Add] adds more.
	Paths []Path
	// Refresh is how often the kernel is told that the next hops are in use, so that it keeps their entries
	// confirmed; 0 means 10 s. Entries that go stale or fail don't wait for it.
	Refresh time.Duration
}

const (
	defaultRefresh = 10 * time.Second
	failedRetry    = time.Second           // between two requests for a next hop that doesn't answer
	routeQuiet     = 20 * time.Millisecond // notifications come in bursts; routes are asked for once after each
	receiveRetry   = time.Second           // after an error of the socket that isn't a loss
)

// Watch follows one interface and the paths that leave by it until it is closed.
type Watch struct {
	kernel  *kernel
	socket  *subscription
	tracker *tracker
	mailbox mailbox
	refresh time.Duration

	events  chan Event
	changes chan func(*tracker)
	notices chan notice
	cancel  context.CancelFunc
	ended   chan struct{}
}

// notice is what one receive brought.
type notice struct {
	messages []syscall.NetlinkMessage
	lost     bool
}

// watchGroups are the notifications that can change a link, a neighbour or a route. Addresses and rules
// change routes without a route notification.
var watchGroups = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_NEXTHOP,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
	unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
}

// NewWatch starts to follow the link and the paths of c in the caller's network namespace. It ends when ctx
// is done or [Watch.Close] is called; the caller calls Close in either case.
func NewWatch(ctx context.Context, c WatchConfig) (*Watch, error) {
	if c.Link.Index <= 0 {
		return nil, fmt.Errorf("watch: %w: no interface given; use what Lookup returned", ErrNoInterface)
	}
	if c.Refresh < 0 {
		return nil, fmt.Errorf("watch %s: refresh of %v is negative", c.Link.Name, c.Refresh)
	}
	socket, err := subscribe(watchGroups...)
	if err != nil {
		return nil, err
	}
	k, err := dialKernel()
	if err != nil {
		socket.Close()
		return nil, err
	}
	return startWatch(ctx, c, k, socket), nil
}

func startWatch(ctx context.Context, c WatchConfig, k *kernel, socket *subscription) *Watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{
		kernel: k, socket: socket, cancel: cancel,
		refresh: choose(c.Refresh == 0, defaultRefresh, c.Refresh),
		events:  make(chan Event),
		changes: make(chan func(*tracker)),
		notices: make(chan notice, 16),
		ended:   make(chan struct{}),
	}
	w.tracker = newTracker(k, c.Link, w.mailbox.put)
	for _, p := range c.Paths {
		w.tracker.follow(p)
	}
	go w.receive(ctx)
	go w.run(ctx)
	return w
}

// Events returns the changes. Those not received yet are merged: of two about the same link property,
// neighbour or route only the newer one is kept, so that a slow receiver holds up nothing and still ends with
// the newest state. Those about different ones may come in another order than they happened: a route may be
// lost before the link is seen to go down. The channel is closed when the watch ends.
func (w *Watch) Events() <-chan Event { return w.events }

// Add follows p too; for a destination and source that are followed already, p is what their connections use
// now. It does nothing once the watch has ended.
func (w *Watch) Add(p Path) { w.change(func(t *tracker) { t.add(p) }) }

// Remove stops following the path from source to destination of p.
func (w *Watch) Remove(p Path) { w.change(func(t *tracker) { t.remove(p.key()) }) }

func (w *Watch) change(f func(*tracker)) {
	select {
	case w.changes <- f:
	case <-w.ended:
	}
}

// Close ends the watch and returns when its goroutines have ended and its sockets are closed.
func (w *Watch) Close() error {
	w.cancel()
	<-w.ended
	return nil
}

// run is the only goroutine that touches the tracker, the mailbox and the kernel's answers.
func (w *Watch) run(ctx context.Context) {
	defer w.end()
	tick := time.NewTicker(min(w.refresh, failedRetry))
	defer tick.Stop()
	quiet := time.NewTimer(routeQuiet)
	defer quiet.Stop()
	lastRefresh := time.Now()
	w.tracker.resync()
	for {
		out, event := w.mailbox.next(w.events)
		select {
		case <-ctx.Done():
			return
		case out <- event:
			w.mailbox.sent()
		case n := <-w.notices:
			w.notice(n, quiet)
		case f := <-w.changes:
			f(w.tracker)
		case <-quiet.C:
			w.tracker.checkRoutes()
		case now := <-tick.C:
			lastRefresh = w.tick(now, lastRefresh)
		}
	}
}

func (w *Watch) notice(n notice, quiet *time.Timer) {
	if n.lost {
		w.tracker.resync()
		return
	}
	wasDirty := w.tracker.routesDirty
	for _, m := range n.messages {
		w.tracker.notice(m)
	}
	if w.tracker.routesDirty && !wasDirty {
		quiet.Reset(routeQuiet)
	}
}

func (w *Watch) tick(now, lastRefresh time.Time) time.Time {
	if now.Sub(lastRefresh) < w.refresh {
		w.tracker.checkUnresolved()
		return lastRefresh
	}
	w.tracker.checkNeighbours()
	return now
}

// receive moves notifications from the socket to run until the socket is closed.
func (w *Watch) receive(ctx context.Context) {
	defer close(w.notices)
	stop := context.AfterFunc(ctx, w.socket.Close)
	defer stop()
	for {
		messages, lost, err := w.socket.receive()
		if errors.Is(err, os.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			pause(ctx, receiveRetry)
		}
		if lost || err != nil {
			w.startOver(ctx)
			continue
		}
		w.forward(ctx, notice{messages: messages})
	}
}

// startOver has everything asked for again, after each round of dropping notifications that are out of date.
func (w *Watch) startOver(ctx context.Context) {
	for empty := false; !empty && ctx.Err() == nil; {
		empty = w.socket.drain()
		w.forward(ctx, notice{lost: true})
	}
}

func (w *Watch) forward(ctx context.Context, n notice) {
	select {
	case w.notices <- n:
	case <-ctx.Done():
	}
}

// end waits for receive, so that nothing of the watch is left when Close returns.
func (w *Watch) end() {
	w.cancel()
	for range w.notices {
	}
	w.socket.Close()
	w.kernel.close()
	close(w.events)
	close(w.ended)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
