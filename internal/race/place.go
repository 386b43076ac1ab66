package race

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
	"github.com/xsend/xsend/internal/sink"
)

// place is where writers run and whom they send to.
type place interface {
	target() netip.AddrPort
	link() string // that writers send from
	start(cmd *exec.Cmd) error
	ask(ctx context.Context, q sink.Query) ([]sink.Verdict, error)
	// lose makes the place lose the same packets in every run of a turn.
	lose(seed uint64) error
	dropped() (int64, error)
	close() error
}

// port is what the receiver listens on, in its own namespace.
const port = 9000

// mostConnections is more than any race makes.
const mostConnections = 1 << 30

// arena is a lab of our own with a receiver.
type arena struct {
	*lab.Lab
	loss float64
	wire *netem.Config // nil: the ends are joined directly
	lost uint64        // by the wire, before it was set last
	sink *child.Sink
}

// newArena makes two namespaces and starts a receiver in one of them. Without loss there is no program in the packets' way.
func (c *Config) newArena(ctx context.Context, number int, loss float64) (a *arena, err error) {
	name := fmt.Sprintf("xsend-race-%d-%d", os.Getpid(), number)
	a = &arena{loss: loss, wire: c.wire(loss)}
	l, err := lab.Up(ctx, lab.Config{Name: name, MTU: c.MTU, Wire: a.wire, Program: c.Self})
	if err != nil {
		return nil, err
	}
	a.Lab = l
	said := &hush{to: c.Err}
	a.sink, err = child.StartSink(ctx, c.Self, l, said, "--listen", a.target().String(), "--verify", "--no-hash", "--count", strconv.Itoa(mostConnections))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	said.over.Store(true) // that bytes are wrong is what it is here to find out
	return a, nil
}

// hush passes on what is said until it is over.
type hush struct {
	to   io.Writer
	over atomic.Bool
}

func (h *hush) Write(b []byte) (int, error) {
	if h.over.Load() {
		return len(b), nil
	}
	return h.to.Write(b)
}

// wire is what is between the ends.
func (c *Config) wire(loss float64) *netem.Config {
	if c.RTT == 0 {
		return nil
	}
	return &netem.Config{
		Seed: 1, Forward: netem.Impairment{Loss: loss, Delay: c.RTT / 2, Rate: c.Rate}, Reverse: netem.Impairment{Delay: c.RTT - c.RTT/2},
	}
}

func (a *arena) target() netip.AddrPort {
	return netip.AddrPortFrom(a.Receiver().IPv4.Addr(), port)
}

func (a *arena) link() string { return a.Sender().Interface }

func (a *arena) start(cmd *exec.Cmd) error { return a.Start(lab.Sender, cmd) }

// ask asks at the receiver's own end, where nothing is lost.
func (a *arena) ask(ctx context.Context, q sink.Query) (v []sink.Verdict, err error) {
	err = a.Do(lab.Receiver, func() error {
		v, err = sink.AskRounds(ctx, a.target().String(), []sink.Query{q})
		return err
	})
	return v, err
}

func (a *arena) lose(seed uint64) error {
	switch {
	case a.wire != nil:
		n, err := a.lostNow()
		if err != nil {
			return err
		}
		a.lost += n
		a.wire.Seed = seed
		return a.SetWire(*a.wire)
	case a.loss == 0:
		return nil
	}
	return a.SetLossRule(lab.LossRule{Percent: a.loss, Seed: seed})
}

// lostNow is what the wire has lost since it was set.
func (a *arena) lostNow() (uint64, error) {
	s, err := a.WireStatus()
	return s.Forward.Drops() + s.Unintended(), err
}

func (a *arena) dropped() (int64, error) {
	if a.wire != nil {
		n, err := a.lostNow()
		return int64(a.lost + n), err
	}
	counters, err := a.LossCounters()
	return int64(counters.Dropped), err
}

func (a *arena) close() error {
	a.sink.Stop()
	return a.Lab.Close()
}

// path is an interface and a receiver that are there.
type path struct {
	name string
	to   netip.AddrPort
}

// newPath finds the address of the receiver and sees whether it answers questions.
func (c *Config) newPath(ctx context.Context) (p *path, err error) {
	host, text, err := net.SplitHostPort(c.Target)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := hw.HostResolve(ctx, host, false, false)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		_, rerr := hw.ResolveRoute(addr, hw.RouteOptions{Interface: c.Interface})
		if rerr == nil {
			p = &path{c.Interface, netip.AddrPortFrom(addr, uint16(n))}
			_, err = sink.Ask(ctx, p.to.String(), nil)
			return p, err
		}
		if err == nil {
			err = rerr
		}
	}
	return nil, err
}

func (p *path) target() netip.AddrPort    { return p.to }
func (p *path) link() string              { return p.name }
func (p *path) start(cmd *exec.Cmd) error { return cmd.Start() }
func (p *path) lose(uint64) error         { return nil }
func (p *path) dropped() (int64, error)   { return 0, nil }
func (p *path) close() error              { return nil }

func (p *path) ask(ctx context.Context, q sink.Query) ([]sink.Verdict, error) {
	return sink.AskRounds(ctx, p.to.String(), []sink.Query{q})
}
