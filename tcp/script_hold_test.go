package tcp

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/umem"
)

// parseHoldConfig is a word of config that is about Hold: hold-policy, hold-time, hold-abort, and the bytes of an arena.
func (s *stage) parseHoldConfig(word, value string) (known bool, err error) {
	h := &s.cfg.Hold
	switch word {
	case "hold-policy":
		h.Policy = HoldPolicy(value)
	case "hold-time":
		h.Time, err = parseSpan(value)
	case "hold-abort":
		h.Abort, err = parseSpan(value)
	case "arena":
		n := 0
		n, err = number(value, 1<<20)
		if err == nil {
			s.cfg.Arena, err = umem.MapArena(n)
		}
	default:
		return false, nil
	}
	return true, err
}

// demote does what the poller does for a connection whose peer stands still. What it takes from frames it must have whole.
func (s *stage) demote() error {
	for s.c.Demoting() {
		if s.c.Demote(s.now, 1) == 0 && s.c.State() != Closed {
			return errors.New("there is something to demote, and Demote does nothing")
		}
		if err := s.audit(); err != nil {
			return err
		}
	}
	return nil
}

// inArena is the sequence number, relative, up to which the stream was ACKed or is in the arena.
func (s *stage) inArena() int {
	to := s.acked
	for i := s.c.q.head; i != none && s.c.q.slots[i].has(slotDemoted); i = s.c.q.slots[i].next {
		to = s.c.q.slots[i].end().Sub(s.cfg.ISS)
	}
	return to
}

// closeArena is the end of the arena: nothing may be left in it.
func (s *stage) closeArena() error {
	a := s.cfg.Arena
	if a == nil {
		return nil
	}
	if err := a.Audit(); err != nil {
		return err
	}
	if n := a.Used(); n > 0 {
		return fmt.Errorf("%d bytes of the arena are still used", n)
	}
	return a.Close()
}
