package session_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/umem"
)

// mutePort says that it is in zero-copy mode, takes everything, and completes nothing while it is mute.
type mutePort struct {
	dataplane.Port
	mute, dead bool
}

func (p *mutePort) Caps() dataplane.Caps {
	c := p.Port.Caps()
	c.ZeroCopy = c.ZeroCopy || p.mute || p.dead
	return c
}

func (p *mutePort) Reap(addrs []uint64) int {
	if p.mute {
		return 0
	}
	return p.Port.Reap(addrs)
}

func (p *mutePort) Kick() dataplane.Kick {
	if p.dead {
		return dataplane.KickDead
	}
	return p.Port.Kick()
}

// A driver that bound in zero-copy mode and completes nothing is found out before anything is sent: refused where zero-copy was
// asked for, and left for copy mode where anything would do.
func TestZeroCopyThatSendsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	for name, c := range map[string]mutePort{"mute": {mute: true}, "dead": {dead: true}} {
		var opened atomic.Int64
		wrap := func(_ int, port dataplane.Port, _ *umem.Region) dataplane.Port {
			if opened.Add(1) > 1 {
				return port
			}
			return &mutePort{Port: port, mute: c.mute, dead: c.dead}
		}
		refused := session.Config{Binding: session.BindingAsavie} // which has nothing else to offer
		refused.Wrap(wrap)
		if s, err := r.tryOpen(refused); !errors.Is(err, afxdp.ErrNoZeroCopy) || !strings.Contains(err.Error(), "--mode copy") {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_, _ = s.Close()
			}
		}
		opened.Store(0)
		auto := session.Config{}
		auto.Wrap(wrap)
		s, err := r.tryOpen(auto)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		k := s.Knobs()[0]
		if s.Info().Mode != "copy" || opened.Load() != 2 || !strings.Contains(k.Evidence, "no frame was completed") {
			t.Errorf("%s: %+v after %d sockets, %+v", name, s.Info(), opened.Load(), k)
		}
		if _, err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
