package session_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/umem"
)

// dying is a real port that goes wrong in one way once it was given so many descriptors.
type dying struct {
	dataplane.Port
	left     int
	stalls   bool // completions cease
	refuses  bool // the doorbell says that the socket will not send again
	corrupts bool // a ring index of the kernel's is nonsense
}

// Tx implements dataplane.Port.
func (p *dying) Tx(descs []umem.Desc) {
	p.left -= len(descs)
	p.Port.Tx(descs)
}

// Reap implements dataplane.Port.
func (p *dying) Reap(addrs []uint64) int {
	if p.stalls && p.left < 0 {
		return 0
	}
	return p.Port.Reap(addrs)
}

// Kick implements dataplane.Port.
func (p *dying) Kick() dataplane.Kick {
	if p.refuses && p.left < 0 {
		return dataplane.KickDead
	}
	return p.Port.Kick()
}

// Corrupt implements dataplane.Port.
func (p *dying) Corrupt() bool { return p.corrupts && p.left < 0 || p.Port.Corrupt() }

// descriptors is how many a dying port is given before.
const descriptors = 300

var deaths = map[string]func(dataplane.Port) dataplane.Port{
	"completions cease": func(p dataplane.Port) dataplane.Port { return &dying{Port: p, left: descriptors, stalls: true} },
	"kick is refused":   func(p dataplane.Port) dataplane.Port { return &dying{Port: p, left: descriptors, refuses: true} },
	"index is nonsense": func(p dataplane.Port) dataplane.Port { return &dying{Port: p, left: descriptors, corrupts: true} },
}

// A queue that dies is opened again, twice if need be, with a real socket over the same
// memory, and the transfer goes on from the frames that were kept.
func TestQueueIsOpenedAgain(t *testing.T) {
	one, eight := trial{bytes: 8 << 20}, trial{conns: 8, bytes: 1 << 20}
	for name, death := range deaths {
		for way, tr := range map[string]trial{"1": one, "8": eight, "late": one.lately(), "scattered": eight.scattered(), "scattered, late": one.lately().scattered()} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				var opened atomic.Int32
				tr.check = rebuilt
				tr.wrap = func(p dataplane.Port) dataplane.Port {
					if opened.Add(1) <= 2 {
						return death(p)
					}
					return p
				}
				tr.succeeds(t)
			})
		}
	}
}

func rebuilt(t *testing.T, o outcome) {
	t.Helper()
	k := &o.session.Counters
	if k.Rebuilds != 2 {
		t.Errorf("the queue did not die twice: %+v", *k)
	}
	if f := o.session.Frames; f.Quarantined != 0 {
		t.Errorf("frames are in quarantine under a new registration: %+v", f)
	}
	t.Logf("%d descriptors in quarantine, %d rewritten; %.1f s", k.Quarantined, o.session.RewrittenInFlight, o.seconds)
}

// Over the asavie binding a queue cannot be opened again: its connections end with the
// reason, and the frames that the kernel kept are accounted for.
func TestAsavieQueueDiesForGood(t *testing.T) {
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			cfg := session.Config{Binding: session.BindingAsavie}
			cfg.Wrap(func(_ int, p dataplane.Port, _ *umem.Region) dataplane.Port { return death(p) })
			s := r.open(cfg)
			c := dial(t, s, rc.addr)
			err := fill(within(t), c, payload(1, 64<<20))
			if !errors.Is(err, dataplane.ErrQueueDead) || !errors.Is(err, dataplane.ErrNoReopen) || !strings.Contains(err.Error(), "maps new memory") {
				t.Errorf("%v", err)
			}
			if err := settle(within(t), c); err != nil {
				t.Error(err)
			}
			rep, err := s.Close()
			if !errors.Is(err, dataplane.ErrQueueDead) {
				t.Errorf("Close: %v", err)
			}
			if k := &rep.Counters; rep.Frames.Leaked != 0 || k.Submitted != k.Completed+k.Quarantined || k.Commits != k.Releases {
				t.Errorf("%+v", rep)
			}
			if id := r.program(); id != 0 {
				t.Errorf("program %d stayed attached", id)
			}
		})
	}
}
