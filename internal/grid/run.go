package grid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
)

const (
	// look is the time between two looks at the wire and the receiver.
	look = 20 * time.Millisecond
	// firstByte is how long a connection may take to bring something.
	firstByte = 20 * time.Second
	// quiet is how long the wire may take to be empty between two runs.
	quiet = 10 * time.Second
)

// Limits end a run: what comes first. Their JSON names are stable.
type Limits struct {
	Drops uint64        `json:"drops"`   // packets lost by number; 0: no bound
	Time  time.Duration `json:"time_ns"` // since the receiver's first byte
}

// Run is one sender's turn in a cell. Its JSON names are stable.
type Run struct {
	Contender     string  `json:"contender"`
	BitsPerSecond float64 `json:"bits_per_second"` // of payload, as the receiver's program read it
	Bytes         int64   `json:"bytes"`
	Seconds       float64 `json:"seconds"` // since the receiver's first byte
	Lost          uint64  `json:"lost"`    // packets lost by number
	QueueDropped  uint64  `json:"queue_dropped"`
	Unintended    uint64  `json:"unintended"` // packets lost that nobody asked to lose: the run is void
	LateMean      float64 `json:"wire_late_mean_us"`
	LateMax       float64 `json:"wire_late_max_us"`
	Idle          float64 `json:"idle_percent"` // of all processors, meanwhile: a machine that is never idle measures itself
	Sender        Sender  `json:"sender"`
}

// bench is where the contenders run.
type bench struct {
	lab  *lab.Lab
	self string
}

// run lets one contender send over a wire.
func (b *bench) run(ctx context.Context, who, congestion string, wire netem.Config, limits Limits) (r Run, err error) {
	r.Contender = who
	before, err := b.prepare(ctx, wire)
	if err != nil {
		return r, err
	}
	to, err := receive(ctx, b.lab, 1)
	if err != nil {
		return r, err
	}
	defer to.stop()
	p, err := start(ctx, b.lab, b.self, who, congestion, to.address, 1)
	if err != nil {
		return r, err
	}
	idle := readIdle()
	took, err := b.watch(ctx, p, &to.conns[0], limits)
	if err == nil {
		// Before the end: a connection cut off leaves packets to nobody, which interfaces count as dropped.
		err = b.count(&r, before)
	}
	r.Idle = readIdle().since(idle)
	to.stop()
	said, werr := p.wait()
	if err := errors.Join(err, werr); err != nil {
		return r, err
	}
	r.Sender, r.Bytes, r.Seconds = said, took.bytes, took.since.Seconds()
	r.BitsPerSecond = float64(r.Bytes) * 8 / r.Seconds
	if said.Congestion != congestion {
		return r, fmt.Errorf("%s used %s instead of %s", who, said.Congestion, congestion)
	}
	return r, nil
}

// prepare waits until nothing is under way, sets the wire and returns how many packets the interfaces have
// lost so far.
func (b *bench) prepare(ctx context.Context, wire netem.Config) (uint64, error) {
	for end := time.Now().Add(quiet); ; {
		s, err := b.lab.WireStatus()
		if err != nil {
			return 0, err
		}
		if s.Forward.Pending+s.Reverse.Pending == 0 {
			break
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("the wire has been busy for %v", quiet)
		}
		if err := pause(ctx); err != nil {
			return 0, err
		}
	}
	if err := b.lab.SetWire(wire); err != nil {
		return 0, err
	}
	s, err := lab.ReadStatus(b.lab.Name())
	return interfaceDrops(s), err
}

// interfaceDrops are packets lost outside of the wire's process, on the way to it or behind it.
func interfaceDrops(s lab.Status) uint64 {
	n := s.Sender.RxDropped + s.Sender.TxDropped + s.Receiver.RxDropped + s.Receiver.TxDropped
	if s.Wire != nil {
		n += s.Wire.InterfaceDrops
	}
	return n
}

// watch waits until a limit is reached and returns what had been read by then.
func (b *bench) watch(ctx context.Context, p *process, from *reading, limits Limits) (s sample, err error) {
	for begin := time.Now(); ; {
		if err := pause(ctx); err != nil {
			return s, err
		}
		wire, err := b.lab.WireStatus()
		if err != nil {
			return s, err
		}
		s = from.sample()
		switch {
		case s.since >= limits.Time, limits.Drops > 0 && wire.Forward.Lost >= limits.Drops && s.bytes > 0:
			return s, nil
		case s.bytes == 0 && time.Since(begin) > firstByte:
			return s, fmt.Errorf("%s: nothing arrived within %v", p.who, firstByte)
		}
		if err := p.failed(); err != nil {
			return s, err
		}
	}
}

// count takes over what the wire has counted.
func (b *bench) count(r *Run, before uint64) error {
	s, err := lab.ReadStatus(b.lab.Name())
	if err != nil {
		return err
	}
	if s.Wire == nil || !s.Wire.Running {
		return errors.New("the wire has ended")
	}
	f := s.Wire.Status.Forward
	r.Lost, r.QueueDropped, r.LateMean, r.LateMax = f.Lost, f.QueueDropped, f.LateMean, f.LateMax
	r.Unintended = s.Wire.Status.Unintended() + interfaceDrops(s) - before
	return nil
}

// unintended is how many packets got lost that nobody asked to lose.
func (b *bench) unintended(before uint64) (uint64, error) {
	var r Run
	err := b.count(&r, before)
	return r.Unintended, err
}

func pause(ctx context.Context) error {
	t := time.NewTimer(look)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
