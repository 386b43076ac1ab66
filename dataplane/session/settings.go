package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// applySettings sets the NIC, and writes down what attaching takes along, before anything is chosen by its MTU and queues, and looks at it again. It goes before the program is
// attached, which keeps drivers from changing some of it, and which changes features of a veth's other end.
func (s *Session) applySettings(ctx context.Context) (err error) {
	cfg := s.cfg.Settings
	if s.cfg.Steer && s.cfg.Queues > 0 {
		cfg.Steer = &settings.Steer{Peer: s.cfg.Destination, Port: s.cfg.Port, Queues: s.cfg.Queues}
	}
	if want, _ := strconv.Atoi(cfg.Change[settings.MTU][""]); want > s.largestMTU() {
		err := fmt.Errorf("%w: --mtu %d: packets over frames of %d carry %d: choose up to that", ErrMTU, want, umem.MaxChunk, s.largestMTU())
		if !s.giveUp("mtu", err) {
			return err
		}
		cfg.Change = maps.Clone(cfg.Change)
		delete(cfg.Change, settings.MTU)
	}
	along := s.cfg.along(s.link.Name, s.link.Index)
	cfg.Interface, cfg.Warn, cfg.Fallback, cfg.Keep = s.link.Name, s.cfg.Warn, s.cfg.AllowFallback, len(along) > 0
	asked := len(cfg.Change) > 0 || cfg.Steer != nil
	if !asked && !cfg.Keep {
		return nil
	}
	s.set, err = settings.Begin(ctx, cfg)
	if err != nil && !asked && ctx.Err() == nil { // nobody asked for it
		s.cfg.Warn(fmt.Sprintf("attaching a program may switch %s off, and nobody will switch it on again: %v", strings.Join(along, ", "), err))
		return nil
	}
	if err != nil {
		return err
	}
	if s.link, err = hw.LookupIndex(s.link.Index); err != nil {
		return err
	}
	if s.via, err = hw.LookupIndex(s.via.Index); err != nil {
		return err
	}
	s.mtu = s.via.MTU
	if to := s.set.Steering(); cfg.Steer != nil && to.Way == "" { // some of the queues would get none of the answers
		why := errors.New(to.Evidence)
		s.note("steer", why)
		s.note("queues", why)
		s.cfg.Queues = 0
	}
	return nil
}

// largestMTU is what packets of the binding carry, whatever the mode.
func (s *Session) largestMTU() int {
	if s.cfg.Binding == BindingAsavie {
		return largestMTU(umem.MaxChunk)
	}
	return segsMTU(umem.MaxChunk, tcp.MaxDescs)
}

// restoreSettings puts the NIC back, on a thread in its namespace.
func (s *Session) restoreSettings() error {
	if s.set == nil {
		return nil
	}
	return s.ns.do(func() error {
		_, err := s.set.Restore()
		return err
	})
}

// steerKnob is the way that answers take to the queues that are bound.
func (s *Session) steerKnob() Knob {
	if !s.cfg.Steer {
		return obeyedKnob("steer", unasked, "off", "answers arrive where the NIC likes")
	}
	to := settings.Steered{Way: settings.WayAll, Evidence: fmt.Sprintf("--queues is not given: all %d RX queues of %s are bound", s.link.RxQueues, s.link.Name)}
	if s.set != nil && s.set.Steering().Way != "" {
		to = s.set.Steering()
	}
	return obeyedKnob("steer", "on", string(to.Way), to.Evidence)
}

// settle is what the report says of them.
func (r *Report) settle(set *settings.Run) {
	if set == nil {
		return
	}
	r.Settings = set.Settings()
	restored, _ := set.Restore() // again: the first one's answer
	r.Restored = &restored
}
