package session

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/umem"
)

// What an explicit setting is refused with, where AllowFallback may take something else.
var (
	errBudget   = errors.New("the budget is not to be had")
	errBusyPoll = errors.New("busy polling is not to be had")
)

// giveUp goes on without what knob asks for, and says so, if that is allowed. Each knob gives way once.
func (s *Session) giveUp(knob string, why error) bool {
	if !s.cfg.AllowFallback || s.givenUp[knob] != nil {
		return false
	}
	s.note(knob, why)
	s.cfg.Warn(fmt.Sprintf("--%s is given up: %v", knob, why))
	return true
}

// note keeps why a knob gave way.
func (s *Session) note(knob string, why error) {
	if s.givenUp == nil {
		s.givenUp = map[string]error{}
	}
	s.givenUp[knob] = why
}

// gaveUp reports that.
func (s *Session) gaveUp(knob string) bool { return s.givenUp[knob] != nil }

// giveWay looks at why the first socket was refused, and gives up what it was. False: there is nothing more to give up.
func (s *Session) giveWay(q *queue, err error) bool {
	c := &s.cfg
	if c.Binding != BindingNative || q.poller != nil {
		return false
	}
	switch {
	case errors.Is(err, errBudget):
		return s.giveUp("budget", err)
	case c.BusyPoll != 0 && (errors.Is(err, errBusyPoll) || errors.Is(err, afxdp.ErrUnsupported)) && s.giveUp("busy-poll", err):
		return true
	case c.SG == SGOn && s.sg && s.link.MTU <= largestMTU(c.Chunk) && (errors.Is(err, afxdp.ErrNoZeroCopy) || errors.Is(err, afxdp.ErrUnsupported)) && s.giveUp("sg", err):
		s.sg = false
		return true
	case c.Mode == afxdp.ModeZeroCopy && errors.Is(err, afxdp.ErrNoZeroCopy) && s.giveUp("mode", err):
		s.copyInstead = true
		s.keepScatter()
		return true
	}
	return false
}

// keepScatter takes scatter-gather again that was given up for zero-copy mode, where that isn't to be had without it either.
func (s *Session) keepScatter() {
	if errors.Is(s.givenUp["sg"], afxdp.ErrNoZeroCopy) && s.cfg.SG == SGOn {
		delete(s.givenUp, "sg")
		s.sg = true
		s.cfg.Warn("--sg is kept, as copy mode has it")
	}
}

// mapRegion maps the memory of the native binding.
func (s *Session) mapRegion() (err error) {
	cfg := umem.Config{Frames: s.cfg.Frames, ChunkSize: s.cfg.Chunk, HugePages: s.cfg.HugePages}
	s.region, err = umem.Map(cfg)
	if errors.Is(err, umem.ErrHugePages) && s.giveUp("hugepages", err) {
		cfg.HugePages = false
		s.region, err = umem.Map(cfg)
	}
	return err
}

// fallen says of a knob that it gave way.
func (s *Session) fallen(k Knob) Knob {
	if why := s.givenUp[k.Name]; why != nil {
		k.Accepted, k.Evidence = k.Active, fmt.Sprintf("fell back: %v", why)
	}
	return k
}
