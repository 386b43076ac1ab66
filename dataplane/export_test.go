package dataplane

import (
	"context"
	"fmt"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// Memory is how OverMemory sends.
type Memory struct {
	TB     testing.TB // nil: a failure panics
	Frames int        // that writers can have; 0 = 256
	Loss   int        // every so-manieth packet with payload is lost; 0 = none
	Mode   ReleaseMode
	Wrap   func(Port, *umem.Region) Port
}

// OverMemory runs send beside a poller that runs over a port in memory, and returns
// what the peer got and the poller's counters. Everything is taken down when send
// returns, and the books have to add up.
func OverMemory(m Memory, send func(context.Context, *Writer, *Stream)) ([]byte, Counters) {
	if m.TB == nil {
		m.TB = panicking{}
	}
	if m.Frames == 0 {
		m.Frames = 256
	}
	g := newRig(m.TB, m.Frames, func(c *Config) {
		c.Release = m.Mode
		if m.Wrap != nil {
			c.Port = m.Wrap(c.Port, c.Pool.Region())
		}
	})
	packets := 0
	g.peer.drop = func(seg *wire.Segment) bool {
		if m.Loss == 0 || seg.PayloadLen == 0 {
			return false
		}
		packets++
		return packets%m.Loss == 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.p.Run(ctx) }()
	w, err := g.p.AddWriter(ctx, 0)
	must(m.TB, err)
	s, err := g.p.Dial(ctx, w, g.config())
	must(m.TB, err)
	send(ctx, w, s)
	cancel()
	must(m.TB, <-ended)
	rem, err := g.p.Close()
	must(m.TB, err)
	if rem.Leaked != 0 {
		m.TB.Fatalf("leaked %d: %+v", rem.Leaked, rem.Census)
	}
	if err := g.region.Close(); err != nil {
		m.TB.Fatal(err)
	}
	return g.peer.flows[s.flow].stream, g.p.Counters()
}

// panicking stands in for a test where an example runs.
type panicking struct{ testing.TB }

func (panicking) Helper()                   {}
func (panicking) Cleanup(func())            {}
func (panicking) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (panicking) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
