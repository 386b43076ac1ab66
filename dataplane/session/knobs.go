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
	if s.copyInstead || c.Mode == afxdp.ModeAuto && s.tooFewSegs() {
		c.Mode = afxdp.ModeCopy
	}
	c.ZeroCopyMaxSegs = s.zeroCopySegs
	c.SG, c.NoWakeup = s.sg, s.cfg.NoWakeup
	if !s.gaveUp("budget") {
		c.TxBudget = s.cfg.Budget
	}
	if !s.gaveUp("busy-poll") {
		c.BusyPoll = s.cfg.BusyPoll
	}
	return c
}

// obeyed refuses a socket that is not what was asked for.
func (s *Session) obeyed(sock *afxdp.Socket) error {
	budget, poll := s.cfg.Budget != 0 && !s.gaveUp("budget"), s.cfg.BusyPoll != 0 && !s.gaveUp("busy-poll")
	switch {
	case budget && sock.Caps().ZeroCopy:
		return fmt.Errorf("%w: %w: --budget %d: %s is in zero-copy mode, where the driver takes what it likes: add --mode copy, or leave --budget out", ErrConfig, errBudget, s.cfg.Budget, s.link.Name)
	case budget && sock.Budget() != s.cfg.Budget:
		return fmt.Errorf("%w: %w: --budget %d: the kernel kept %d (XDP_MAX_TX_SKB_BUDGET: Linux 6.12 has not got it, 6.18 has): leave --budget out", ErrConfig, errBudget, s.cfg.Budget, sock.Budget())
	case poll && sock.BusyPoll() != s.cfg.BusyPoll:
		return fmt.Errorf("%w: %w: --busy-poll %v: the kernel made it %v", ErrConfig, errBusyPoll, s.cfg.BusyPoll, sock.BusyPoll())
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

// tunedKnobs are those that were asked for among doorbell and memory; a socket that has not got them is not opened.
func (s *Session) tunedKnobs() (all []Knob) {
	add := func(asked bool, name, value, active, evidence string) {
		if asked {
			all = append(all, Knob{Name: name, Requested: value, Accepted: value, Active: active, Proved: true, Evidence: evidence})
		}
	}
	add(s.cfg.NoWakeup, "wakeup", "off", onOff(s.info.Wakeup), "the socket was bound without XDP_USE_NEED_WAKEUP")
	add(s.cfg.Budget != 0, "budget", fmt.Sprint(s.cfg.Budget), fmt.Sprint(s.info.Budget), "XDP_MAX_TX_SKB_BUDGET was taken")
	add(s.cfg.BusyPoll != 0, "busy-poll", s.cfg.BusyPoll.String(), s.info.BusyPoll.String(), "SO_BUSY_POLL reads back so; it does something only where the queue has a NAPI instance")
	add(s.cfg.HugePages, "hugepages", "on", onOff(s.info.HugePages), "the region was mapped with MFD_HUGETLB")
	return all
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
