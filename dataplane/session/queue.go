package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/asavie"
	"github.com/xsend/xsend/dataplane/late"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/dataplane/witness"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// queue is one RX and TX queue of the NIC with its socket and poller.
type queue struct {
	index    int
	caps     dataplane.Caps
	budget   int           // of the first socket
	busyPoll time.Duration // of the first socket
	region   *umem.Region
	port     dataplane.Port // until the poller has it
	asavie   *asavie.Socket
	arena    *umem.Arena // nil = none
	poller   *dataplane.Poller
	canary   canary
	ended    chan error // what Run returned
	remains  dataplane.Remains

	mu        sync.Mutex
	witness   *witness.Port // of the port in use; nil = none
	rewritten uint64        // what those of earlier ports saw
}

// openQueues maps the memory and opens a socket and a poller per queue.
func (s *Session) openQueues(ctx context.Context) (err error) {
	if s.cfg.Binding == BindingNative {
		if err := s.mapRegion(); err != nil {
			return err
		}
	}
	if err := s.openEvidence(); err != nil {
		return err
	}
	directory := new(dataplane.Directory)
	s.trust = s.cfg.RXChecksum == RXTrust || s.cfg.RXChecksum == RXAuto && believesChecksums(s.link.Kind)
	for i := range s.cfg.Queues {
		q := &queue{index: i, region: s.region, ended: make(chan error, 1), canary: newCanary()}
		s.queues = append(s.queues, q)
		if err := s.openQueue(ctx, q, directory); err != nil {
			return err
		}
	}
	return nil
}

// believesChecksums reports that packets of a peer on this kind of link arrive with
// checksums that nobody filled in, because they never left the machine.
func believesChecksums(kind string) bool {
	switch kind {
	case "veth", "tun", "netkit":
		return true
	}
	return false
}

func (s *Session) openQueue(ctx context.Context, q *queue, d *dataplane.Directory) (err error) {
	if q.port, err = s.openPort(ctx, q); err != nil {
		return err
	}
	q.caps = q.port.Caps()
	if err = s.checkMode(q.caps.ZeroCopy); err != nil {
		return err
	}
	first := umem.Frame(0)
	if s.cfg.Binding == BindingNative {
		first = umem.Frame(q.index * s.perQueue())
	}
	pool, err := umem.NewPool(q.region, first, s.perQueue(), reserveFrames)
	if err != nil {
		return err
	}
	if err = s.mapArena(q); err != nil {
		return err
	}
	q.poller, err = dataplane.New(dataplane.Config{
		Pool: pool, Port: q.port, Arena: q.arena, Reopen: s.reopen(q), Release: s.cfg.Release, TrustRX: s.trust, Audit: s.audit, Trap: s.trap,
		RxFrames: min(rxFrames, q.caps.FillRing), MaxStreams: 1 << 12, Directory: d, Tap: s.tap(), Trace: s.trace(q.index), Times: s.cfg.Times, CPU: s.pin(q.index),
	})
	if err != nil {
		return err
	}
	q.port = nil // the poller's now
	return nil
}

// socket is what both bindings open.
type socket interface {
	dataplane.Port
	FD() int
}

// openPort opens the queue's socket and makes it the one that the program redirects
// to.
func (s *Session) openPort(ctx context.Context, q *queue) (dataplane.Port, error) {
	sock, err := s.openSocket(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := s.prog.RegisterSocket(q.index, sock.FD()); err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	if q.poller == nil { // what is reported is that of the first one
		q.busyPoll = readBusyPoll(sock.FD())
	}
	port := dataplane.Port(sock)
	if s.cfg.wrap != nil {
		port = s.cfg.wrap(q.index, port, q.region)
	}
	if port, err = s.proven(ctx, q, port); err != nil {
		return nil, err
	}
	if s.cfg.Late > 0 {
		port = delay(port, q.index, s.cfg.Late)
	}
	if !s.cfg.Witness {
		return port, nil
	}
	return q.watch(port), nil
}

// delay hands a port's completions on late.
func delay(port dataplane.Port, queue int, most time.Duration) dataplane.Port {
	start := time.Now()
	now := func() tcp.Time { return tcp.Time(time.Since(start)) }
	return late.Wrap(port, late.Config{Now: now, Seed: uint64(queue), Most: tcp.Duration(most)})
}

// watch puts a witness around a port of the queue.
func (q *queue) watch(port dataplane.Port) *witness.Port {
	w := witness.Wrap(port, q.region)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.witness != nil {
		q.rewritten += q.witness.Rewritten()
	}
	q.witness = w
	return w
}

// rewrittenInFlight is what the witnesses of all its ports saw.
func (q *queue) rewrittenInFlight() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.witness == nil {
		return 0
	}
	return q.rewritten + q.witness.Rewritten()
}

// openSocket opens a socket as it was asked for, or as near to that as may be.
func (s *Session) openSocket(ctx context.Context, q *queue) (socket, error) {
	for {
		sock, err := s.tryOpen(ctx, q)
		if err == nil || !s.giveWay(q, err) {
			return sock, err
		}
	}
}

func (s *Session) tryOpen(ctx context.Context, q *queue) (socket, error) {
	if s.cfg.Binding == BindingAsavie {
		sock, err := asavie.Open(ctx, s.asavieConfig(q.index))
		if err != nil {
			return nil, err
		}
		q.asavie, q.region = sock, sock.Region()
		return sock, nil
	}
	sock, err := s.openNative(ctx, q, s.tuned(afxdp.Config{
		Ifindex: s.link.Index, Ifname: s.link.Name, Queue: q.index, Region: s.region,
		TxRing: s.cfg.Ring, RxRing: s.cfg.Ring, FillRing: s.cfg.Ring, CompletionRing: s.cfg.Ring,
		Mode: s.cfg.Mode, GenericProgram: s.prog.Mode() == xdpprog.ModeGeneric,
	}))
	if err != nil {
		return nil, err
	}
	got := s.cfg.kernel.got(sock)
	if err := s.obeyed(got); err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	if q.poller == nil {
		q.budget = got.budget
	}
	return sock, nil
}

// asavieConfig is queue i's share: with the asavie binding every socket maps memory
// of its own.
func (s *Session) asavieConfig(i int) asavie.Config {
	return asavie.Config{
		Ifindex: s.link.Index, Ifname: s.link.Name, Queue: i, Frames: s.perQueue(), ChunkSize: s.cfg.Chunk,
		TxRing: s.cfg.Ring, RxRing: s.cfg.Ring, FillRing: s.cfg.Ring, CompletionRing: s.cfg.Ring,
		Mode: s.cfg.Mode, GenericProgram: s.prog.Mode() == xdpprog.ModeGeneric,
	}
}

// reopen is how a poller gets a new socket for a queue that died.
func (s *Session) reopen(q *queue) func(int) (dataplane.Port, error) {
	attempts := 0
	return func(int) (port dataplane.Port, err error) {
		switch {
		case s.cfg.Binding == BindingAsavie:
			return nil, fmt.Errorf("%w: github.com/asavie/xdp maps new memory with every socket (the native binding does not)", dataplane.ErrNoReopen)
		case s.removed.Load():
			return nil, fmt.Errorf("%w: interface %s was removed", dataplane.ErrNoReopen, s.link.Name)
		case attempts == 0:
			s.cfg.Warn(fmt.Sprintf("%s queue %d: %v: opening it again", s.link.Name, q.index, q.poller.Dead()))
		}
		attempts++
		_ = s.prog.UnregisterSocket(q.index) // closing the socket emptied the slot already
		err = s.ns.do(func() error {
			port, err = s.openPort(s.life, q)
			return err
		})
		if err == nil {
			attempts = 0
		}
		return port, err
	}
}

// tap is a tap of its own for a queue: each is for one poller.
func (s *Session) tap() *dataplane.Tap {
	if s.cfg.Tap == nil {
		return nil
	}
	return s.cfg.Tap(max(s.cfg.Chunk, s.link.MTU+etherMost))
}

// trace is a ring of its own for a queue's poller.
func (s *Session) trace(queue int) *trace.Ring {
	if s.cfg.Trace == nil {
		return nil
	}
	return s.cfg.Trace(queue)
}

// checkCPUs tries, on a thread that dies, whether pollers can be pinned.
func (s *Session) checkCPUs() error {
	return s.ns.do(func() error {
		for _, n := range s.cfg.CPU {
			var set unix.CPUSet
			if n >= 0 {
				set.Set(n)
			}
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				return fmt.Errorf("%w: pin a poller to CPU %d: %w: not there, or not allowed to this process (nproc and taskset -p show those that are)", ErrConfig, n, err)
			}
		}
		return nil
	})
}

func (s *Session) pin(i int) func() (int, error) {
	if i >= len(s.cfg.CPU) {
		return nil
	}
	cpu := s.cfg.CPU[i]
	return func() (int, error) { return cpu, nil }
}

// start lets every poller run.
func (s *Session) start() {
	for _, q := range s.queues {
		go func() { q.ended <- q.poller.Run(s.life) }()
	}
}

// close ends what is left of the queue after its poller. Its memory stays until free.
func (q *queue) close() (err error) {
	switch {
	case q.poller != nil:
		q.remains, err = q.poller.Close()
	case q.port != nil:
		err = q.port.Close()
	}
	return err
}

// free gives memory back that is this queue's alone.
func (q *queue) free() error {
	err := q.closeArena()
	if q.asavie == nil {
		return err
	}
	return errors.Join(err, q.asavie.Free())
}
