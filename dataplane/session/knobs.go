package session

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
)

// Wakeup says when the doorbell is rung.
type Wakeup string

// When it is: the default is WakeupOn with the native binding, and WakeupOff with that of asavie.
const (
	WakeupDefault Wakeup = ""
	WakeupOn      Wakeup = "on"  // where the kernel asks for it (XDP_USE_NEED_WAKEUP)
	WakeupOff     Wakeup = "off" // whenever something is unsent
)

// checkKnobs refuses values that nobody could take.
func (c *Config) checkKnobs() error {
	switch {
	case c.Wakeup != WakeupDefault && c.Wakeup != WakeupOn && c.Wakeup != WakeupOff:
		return fmt.Errorf("%w: --wakeup %q: must be on or off", ErrConfig, c.Wakeup)
	case c.Budget != 0 && (c.Budget < minBudget || c.Budget > c.Ring):
		return fmt.Errorf("%w: --budget %d: must be from %d to the %d entries of the TX ring", ErrConfig, c.Budget, minBudget, c.Ring)
	}
	return nil
}

// combine refuses, or gives up, what the binding or the mode that was asked for has not got.
func (s *Session) combine() error {
	c := &s.cfg
	const own = "github.com/asavie/xdp makes and binds its own socket, without %s: use --binding native, or leave --%s out"
	theirs := c.Binding == BindingAsavie
	for _, k := range []struct {
		knob  string
		asked bool
		why   string
	}{
		{"wakeup", theirs && c.Wakeup == WakeupOn, fmt.Sprintf(own, "XDP_USE_NEED_WAKEUP", "wakeup")},
		{"budget", theirs && c.Budget != 0, fmt.Sprintf(own, "XDP_MAX_TX_SKB_BUDGET", "budget")},
		{"busy-poll", theirs && c.BusyPoll != 0, fmt.Sprintf(own, "SO_BUSY_POLL", "busy-poll")},
		{"hugepages", theirs && c.HugePages, fmt.Sprintf(own, "huge pages", "hugepages")},
		{"budget", !theirs && c.Budget != 0 && c.Mode == afxdp.ModeZeroCopy, fmt.Sprintf("--budget %d with --mode zerocopy: the driver takes what it likes there: a budget is copy mode's: use --mode copy, or leave --budget out", c.Budget)},
	} {
		if !k.asked {
			continue
		}
		if err := fmt.Errorf("%w: --%s: %s", ErrConfig, k.knob, k.why); !s.giveUp(k.knob, err) {
			return err
		}
	}
	return nil
}

// minBudget is the kernel's least (TX_BATCH_SIZE in net/xdp/xsk.c).
const minBudget = 32

// tuned puts what is tuned per run into a socket's configuration.
func (s *Session) tuned(c afxdp.Config) afxdp.Config {
	if s.copyInstead || c.Mode == afxdp.ModeAuto && s.tooFewSegs() {
		c.Mode = afxdp.ModeCopy
	}
	c.ZeroCopyMaxSegs = s.zeroCopySegs
	c.SG, c.NoWakeup = s.sg, s.cfg.Wakeup == WakeupOff
	if !s.gaveUp("budget") {
		c.TxBudget = s.cfg.Budget
	}
	if !s.gaveUp("busy-poll") {
		c.BusyPoll = s.cfg.BusyPoll
	}
	return c
}

// obeyed refuses a socket that is not what was asked for.
func (s *Session) obeyed(got granted) error {
	budget, poll := s.cfg.Budget != 0 && !s.gaveUp("budget"), s.cfg.BusyPoll != 0 && !s.gaveUp("busy-poll")
	switch {
	case budget && got.zeroCopy:
		return fmt.Errorf("%w: %w: --budget %d: %s is in zero-copy mode, where the driver takes what it likes: add --mode copy, or leave --budget out", ErrConfig, errBudget, s.cfg.Budget, s.link.Name)
	case budget && got.budget != s.cfg.Budget:
		return fmt.Errorf("%w: %w: --budget %d: the kernel kept %d (XDP_MAX_TX_SKB_BUDGET: Linux 6.12 has not got it, 6.18 has): leave --budget out", ErrConfig, errBudget, s.cfg.Budget, got.budget)
	case poll && got.busyPoll != s.cfg.BusyPoll:
		return fmt.Errorf("%w: %w: --busy-poll %v: the kernel made it %v: leave --busy-poll out", ErrConfig, errBusyPoll, s.cfg.BusyPoll, got.busyPoll)
	}
	return nil
}

// scatterKnob is the layout of packets.
func (s *Session) scatterKnob() Knob {
	k := Knob{Name: "sg", Requested: s.cfg.SG.String(), Accepted: onOff(s.sg), Active: onOff(s.info.SG), Proved: true}
	switch {
	case s.info.SG:
		k.Evidence = fmt.Sprintf("the socket was bound with XDP_USE_SG: up to %d descriptors in a packet", s.info.MaxSegs)
	case s.cfg.SG == SGAuto:
		k.Evidence = "a packet fits into a frame"
	default:
		k.Evidence = "one descriptor in each packet"
	}
	return k
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
