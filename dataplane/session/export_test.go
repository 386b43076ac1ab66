package session

import (
	"context"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/umem"
)

// Wrap makes c put a port of the test's around each socket, inside the witness.
func (c *Config) Wrap(f func(queue int, port dataplane.Port, region *umem.Region) dataplane.Port) {
	c.wrap = f
}

// Claims makes f stand in for what kernel and driver say of checksums.
func (c *Config) Claims(f func(hw.Interface) (hw.TxChecksum, error)) { c.claims = f }

// Segments makes n stand in for what the driver says of the descriptors of a packet in zero-copy mode.
func (c *Config) Segments(n int) { c.segments = func(int) int { return n } }

// Tuned is how the sockets of a session on an ice with that MTU would be opened.
func Tuned(c Config, mtu int) (afxdp.Config, error) {
	c.Binding, c.Warn = BindingNative, func(string) {}
	s := &Session{cfg: c, link: hw.Interface{Name: "eth1", Driver: "ice", MTU: mtu, RxQueues: 1}}
	if err := s.chooseGeometry(); err != nil {
		return afxdp.Config{}, err
	}
	return s.tuned(afxdp.Config{Mode: c.Mode}), nil
}

// Dialled is the number of connections that the session follows.
func (s *Session) Dialled() int { return len(s.connections()) }

// Granted makes the kernel grant a budget and busy polling for so long, whatever was asked for; -1 is what it does in fact.
func (c *Config) Granted(budget int, poll time.Duration) {
	c.kernel.got = func(sock *afxdp.Socket) granted {
		g := readGranted(sock)
		if budget >= 0 {
			g.budget = budget
		}
		if poll >= 0 {
			g.busyPoll = poll
		}
		return g
	}
}

// Refuses makes the kernel refuse to open sockets of some kind.
func (c *Config) Refuses(what func(afxdp.Config) error) {
	c.kernel.open = func(ctx context.Context, cfg afxdp.Config) (*afxdp.Socket, error) {
		if err := what(cfg); err != nil {
			return nil, err
		}
		return afxdp.Open(ctx, cfg)
	}
}

// Along makes f stand in for what attaching a program switches off.
func (c *Config) Along(f func(string, int) []string) { c.along = f }

// SumProbe is what stands in for the kprobe that counts the kernel's checksums.
type SumProbe = sumProbe

// SumProbe makes f stand in for attaching it.
func (c *Config) SumProbe(f func() (SumProbe, error)) { c.sumProbe = f }
