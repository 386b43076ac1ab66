package session

import (
	"context"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
)

// applySettings sets the NIC before anything is chosen by its MTU and queues, and looks at it again. It goes before the program is
// attached, which keeps drivers from changing some of it, and which changes features of a veth's other end.
func (s *Session) applySettings(ctx context.Context) (err error) {
	if len(s.cfg.Settings.Change) == 0 {
		return nil
	}
	cfg := s.cfg.Settings
	cfg.Interface, cfg.Warn = s.link.Name, s.cfg.Warn
	if s.set, err = settings.Begin(ctx, cfg); err != nil {
		return err
	}
	if s.link, err = hw.LookupIndex(s.link.Index); err != nil {
		return err
	}
	if s.via, err = hw.LookupIndex(s.via.Index); err != nil {
		return err
	}
	s.mtu = s.via.MTU
	return nil
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

// settle is what the report says of them.
func (r *Report) settle(set *settings.Run) {
	if set == nil {
		return
	}
	r.Settings = set.Settings()
	restored, _ := set.Restore() // again: the first one's answer
	r.Restored = &restored
}
