package netem

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone is returned by Run when one of the interfaces has been deleted.
var ErrGone = errors.New("the interface is gone")

// wire is what Run runs.
type wire struct {
	start time.Time // of Time
	wake  int       // an eventfd that ends the wait
	woke  Time      // when the last rest ended

	mu       sync.Mutex // held by whoever uses what follows: the forwarder, except while it rests, or a client
	cfg      Config
	ends     [2]*path
	realTime bool
	stopping bool
}

// path is one direction: where frames come from, what happens to them, where they go.
type path struct {
	line     *line
	from, to *socket
	came     Time // when the last frame came
}

const (
	// quantum is the least time between two wakings: how late a packet may leave on a machine that has time.
	quantum = Time(100 * time.Microsecond)
	// longest bounds a wait that the scheduler isn't told of.
	longest = Time(10 * time.Millisecond)
	// receiveAtOnce bounds the packets taken in one direction before the other one has its turn.
	receiveAtOnce = 8 * batchSize
)

// Run forwards between two interfaces of the thread's network namespace until ctx ends, a client asks it to
// stop, or an interface goes away (ErrGone). Ready is called when the wire forwards and answers.
func Run(ctx context.Context, a, b string, cfg Config, ready func()) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	runtime.LockOSThread() // the namespace is the thread's, and so is its priority: never unlocked
	w, err := open(a, b, cfg)
	if err != nil {
		return err
	}
	defer w.close()
	desk, err := w.listen()
	if err != nil {
		return err
	}
	defer desk.close()
	defer context.AfterFunc(ctx, w.stop)()
	w.mu.Lock()
	w.realTime = hurry()
	w.mu.Unlock()
	ready()
	return w.forward()
}

func open(a, b string, cfg Config) (*wire, error) {
	w := &wire{start: time.Now(), cfg: seeded(cfg)}
	near, err := openSocket(a)
	if err != nil {
		return nil, err
	}
	far, err := openSocket(b)
	if err != nil {
		near.close()
		return nil, err
	}
	w.ends = [2]*path{
		{line: newLine(w.cfg.Forward, w.cfg.Seed), from: near, to: far},
		{line: newLine(w.cfg.Reverse, reverseSeed(w.cfg.Seed)), from: far, to: near},
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		near.close()
		far.close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return w, nil
}

func (w *wire) close() {
	for _, p := range w.ends {
		p.from.close()
	}
	unix.Close(w.wake)
}

// seeded chooses a seed where none is given. It is shown, so that a run can be repeated.
func seeded(cfg Config) Config {
	for cfg.Seed == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		cfg.Seed = binary.NativeEndian.Uint64(b[:])
	}
	return cfg
}

// reverseSeed makes the two directions independent.
func reverseSeed(seed uint64) uint64 { return splitMix(^seed) }

// now is the moment, by the monotonic clock.
func (w *wire) now() Time { return Time(time.Since(w.start)) }

// forward is the loop: take what has come, send what is due, rest.
func (w *wire) forward() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopping {
		came := 0
		for _, p := range w.ends {
			n, err := p.receive(w)
			if err != nil {
				return err
			}
			came += n
			if err := p.deliver(w); err != nil {
				return err
			}
		}
		if err := w.rest(came > 0); err != nil {
			return err
		}
	}
	return nil
}

// receive offers all that has come to the line, with the moments at which it came.
func (p *path) receive(w *wire) (total int, err error) {
	in := p.from.in
	for more := true; more; {
		n, err := in.receive(p.from.fd)
		if err != nil {
			return total, p.from.excuse("receive", err)
		}
		p.offer(w, in, n)
		total += n
		more = n == batchSize && total < receiveAtOnce
	}
	return total, nil
}

func (p *path) offer(w *wire, in *batch, n int) {
	clock := time.Now()
	now := Time(clock.Sub(w.start))
	behind := clock.UnixNano() - int64(now) // of the real-time clock, which stamps have
	for i := range n {
		frame, came, ok := in.received(i)
		if !ok {
			p.line.count.Truncated++
			continue
		}
		at := now
		if came != 0 {
			// That clock may be set: no packet came before the one ahead of it, nor comes in the future.
			at = min(now, max(p.came, Time(came-behind)))
		}
		p.came = at
		p.line.offer(at, frame)
	}
}

// excuse is what an error of a system call means: nothing, if it only says "later", or that an interface was
// set down for a while.
func (s *socket) excuse(what string, err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s on %s: %w", what, s.name, err)
	case s.gone():
		return fmt.Errorf("%s: %w", s.name, ErrGone)
	}
	return nil
}

// deliver sends what is due.
func (p *path) deliver(w *wire) error {
	out := p.to.out
	for {
		now := w.now()
		for out.used = 0; out.used < batchSize; {
			frame := p.line.take(now)
			if frame == nil {
				break
			}
			out.add(frame)
		}
		if out.used == 0 {
			return nil
		}
		if err := p.send(out); err != nil {
			return err
		}
	}
}

// send sends a batch. A frame that the kernel refuses is lost, and counted.
func (p *path) send(out *batch) error {
	for i := 0; i < out.used; {
		n, err := out.send(p.to.fd, i)
		for ; n > 0; n-- {
			p.line.release(out.frames[i])
			i++
		}
		if err != nil {
			p.line.refuse(out.frames[i])
			i++
			if err := p.to.excuse("send", err); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return err
			}
		}
	}
	return nil
}

// rest waits for work, with the lock given back. After a pass that found packets, or with one due soon, it
// takes a nap however much may come: to wake costs more than a packet, and packets are stamped by the kernel.
// Otherwise it waits for the next packet to come or to be due.
func (w *wire) rest(busy bool) (err error) {
	due, pending := w.due()
	w.mu.Unlock()
	if soon := w.woke + quantum; busy || pending && due <= soon {
		err = w.nap(soon - w.now())
	} else {
		err = w.wait(due, pending)
	}
	w.mu.Lock()
	w.woke = w.now()
	return err
}

func (w *wire) nap(d Time) error {
	if d <= 0 {
		return nil
	}
	return interrupted(pollBriefly(nil, d))
}

// wait waits for packets, clients or the moment at which the next packet is due.
func (w *wire) wait(due Time, pending bool) (err error) {
	fds := [...]unix.PollFd{
		{Fd: int32(w.ends[0].from.fd), Events: unix.POLLIN},
		{Fd: int32(w.ends[1].from.fd), Events: unix.POLLIN},
		{Fd: int32(w.wake), Events: unix.POLLIN},
	}
	if pending {
		err = pollBriefly(fds[:], min(max(due-w.now(), 0), longest))
	} else {
		_, err = unix.Ppoll(fds[:], nil, nil)
	}
	if fds[2].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(w.wake, b[:]) // it only had to end the wait
	}
	return interrupted(err)
}

func interrupted(err error) error {
	if err == nil || errors.Is(err, unix.EINTR) {
		return nil
	}
	return fmt.Errorf("wait: %w", err)
}

// due says when the next packet of either direction is due, if any is under way.
func (w *wire) due() (at Time, pending bool) {
	for _, p := range w.ends {
		if t, ok := p.line.next(); ok && (!pending || t < at) {
			at, pending = t, true
		}
	}
	return at, pending
}

// stop ends forward.
func (w *wire) stop() {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	w.rouse()
}

// rouse ends the forwarder's sleep.
func (w *wire) rouse() {
	_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // EAGAIN: it is being roused already
}

// set changes what the wire does and counts from zero.
func (w *wire) set(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.countDrops(); err != nil { // so far: not the next run's
		return err
	}
	w.cfg = seeded(cfg)
	w.ends[0].line.set(w.cfg.Forward, w.cfg.Seed)
	w.ends[1].line.set(w.cfg.Reverse, reverseSeed(w.cfg.Seed))
	return nil
}

// status reads all counters at one moment.
func (w *wire) status() (Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.countDrops()
	return Status{
		PID: os.Getpid(), RealTime: w.realTime, Config: w.cfg,
		Forward: w.ends[0].line.summary(), Reverse: w.ends[1].line.summary(),
	}, err
}

func (w *wire) countDrops() error {
	for _, p := range w.ends {
		n, err := p.from.countDrops()
		if err != nil {
			return err
		}
		p.line.count.KernelDrops += n
	}
	return nil
}
