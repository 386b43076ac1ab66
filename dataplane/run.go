package dataplane

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/tcp"
)

const (
	// busyWait is how long an idle poller looks again before it sleeps, after it had
	// work: a sleep and the wakeup cost more than the next ACK takes to come. It yields
	// each time, so that writers who share the CPU get it before the thread blocks.
	busyWait = 40 * tcp.Microsecond
	// longestWait is the longest sleep while descriptors are out: nothing wakes a
	// sleeper for a completion.
	longestWait = tcp.Millisecond
	// longestIdle is the longest sleep while none are.
	longestIdle = 10 * tcp.Millisecond
	// publishEvery is the age that Counters may have.
	publishEvery = 10 * tcp.Millisecond
	// drainTime is how long a shutdown waits for descriptors to come back.
	drainTime = 2 * tcp.Second
)

// Run moves packets until ctx is done, then aborts what is open, waits up to 2 s
// until the kernel has given everything back, and returns: nil, or why the queue
// failed. It locks its goroutine to a thread. It is called once; the port stays
// open until Close.
func (p *Poller) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.pin(); err != nil {
		p.end(p.clock())
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		p.enqueue(func(now tcp.Time) { p.Shutdown(now) })
	})
	defer stop()
	now := p.loop()
	p.end(now)
	return p.failed
}

// loop is the poller's life. It returns once Shutdown was called and all is drained.
func (p *Poller) loop() tcp.Time {
	var busy, published, limit tcp.Time
	for {
		now := p.clock()
		if p.pending.Load() {
			p.obey(now)
		}
		work := p.Step(now)
		p.Notify(work == 0)
		if now-published >= publishEvery {
			published = now
			p.publish()
		}
		if p.closing {
			if limit == 0 {
				limit = now + drainTime
			}
			if p.Drained() || now >= limit {
				return now
			}
		}
		switch {
		case p.dead != nil:
			p.revive(now)
		case work > 0:
			busy = now
		case now-busy < busyWait:
			runtime.Gosched()
		case p.unsent > 0 && !p.down:
			runtime.Gosched() // the kernel has to be kicked on
		default:
			p.sleep(now)
		}
	}
}

// revive tries to open a dead queue again, and sleeps until the next attempt. There
// is no port to wait with.
func (p *Poller) revive(now tcp.Time) {
	if p.failed == nil && p.Rebuild(now) == nil {
		return
	}
	if d := p.rebuild.at - now; d > 0 {
		time.Sleep(time.Duration(min(d, longestIdle)))
	}
}

// sleep waits for packets, writers or the next deadline.
func (p *Poller) sleep(now tcp.Time) {
	d := longestIdle
	if p.flights.out > 0 {
		d = longestWait
	}
	if d = min(d, p.Deadline()-now); d <= 0 {
		return
	}
	p.sleeping.Store(true)
	if !p.pending.Load() && !p.offered() {
		p.port.Wait(time.Duration(d))
		p.kickOwed = p.flights.out > 0
	}
	p.sleeping.Store(false)
}

// offered reports that a writer, or another poller, has something on its ring.
func (p *Poller) offered() bool {
	for _, l := range p.lanes {
		if l.commits.Peek(1) > 0 {
			return true
		}
	}
	return p.strayed()
}

// pin binds the thread to the CPU that the configuration asks for.
func (p *Poller) pin() error {
	if p.cpu == nil {
		return nil
	}
	n, err := p.cpu()
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(n)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("queue %d: pin to CPU %d: %w (see taskset -p for those allowed)", p.caps.Queue, n, err)
	}
	return nil
}
