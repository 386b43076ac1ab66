package session

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
)

// checkKnobs refuses what the binding has not got.
func (c *Config) checkKnobs() error {
	switch {
	case c.Binding == BindingAsavie && (c.NoWakeup || c.Budget != 0 || c.BusyPoll != 0 || c.HugePages):
		return fmt.Errorf("%w: github.com/asavie/xdp makes and binds its own socket: --wakeup off, --budget, --busy-poll and --hugepages need --binding native", ErrConfig)
	case c.Budget != 0 && (c.Budget < minBudget || c.Budget > c.Ring):
		return fmt.Errorf("%w: --budget %d: must be from %d to the %d entries of the TX ring", ErrConfig, c.Budget, minBudget, c.Ring)
	case c.Budget != 0 && c.Mode == afxdp.ModeZeroCopy:
		return fmt.Errorf("%w: --budget %d with --mode zerocopy: the driver takes what it likes there; a budget is copy mode's", ErrConfig, c.Budget)
	}
	return nil
}

// minBudget is the kernel's least (TX_BATCH_SIZE in net/xdp/xsk.c).
const minBudget = 32

// tuned puts what is tuned per run into a socket's configuration.
func (s *Session) tuned(c afxdp.Config) afxdp.Config {
	c.SG, c.NoWakeup, c.TxBudget, c.BusyPoll = s.sg, s.cfg.NoWakeup, s.cfg.Budget, s.cfg.BusyPoll
	return c
}

// obeyed refuses a socket that is not what was asked for.
func (s *Session) obeyed(sock *afxdp.Socket) error {
	switch {
	case s.cfg.Budget != 0 && sock.Caps().ZeroCopy:
		return fmt.Errorf("%w: --budget %d: %s is in zero-copy mode, where the driver takes what it likes: add --mode copy, or leave --budget out", ErrConfig, s.cfg.Budget, s.link.Name)
	case s.cfg.Budget != 0 && sock.Budget() != s.cfg.Budget:
		return fmt.Errorf("%w: --budget %d: the kernel kept %d (XDP_MAX_TX_SKB_BUDGET: Linux 6.12 has not got it, 6.18 has): leave --budget out", ErrConfig, s.cfg.Budget, sock.Budget())
	case s.cfg.BusyPoll != 0 && sock.BusyPoll() != s.cfg.BusyPoll:
		return fmt.Errorf("%w: --busy-poll %v: the kernel made it %v", ErrConfig, s.cfg.BusyPoll, sock.BusyPoll())
	}
	return nil
}
