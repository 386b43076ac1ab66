package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// stretch is how long a queue is gone in a test: many retransmission timeouts.
const stretch = 2 * time.Second

// A queue that dies and can't be had for two seconds: the same connection goes on, and the kernel, which gets its
// segments meanwhile, resets nobody.
func TestRebuildTakesTwoSeconds(t *testing.T) {
	for _, way := range []string{"opening it takes long", "another socket has the queue"} {
		for name, tr := range map[string]trial{"1": {bytes: 8 << 20}, "late, 4": trial{conns: 4, bytes: 1 << 20}.lately(), "scattered": trial{bytes: 4 << 20}.scattered()} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				var before map[string]int
				var there *rig
				tr.before = func(r *rig) { there, before = r, r.snmp(t) }
				var opened atomic.Int32
				var other occupant
				tr.wrap = func(p dataplane.Port) dataplane.Port {
					first := opened.Add(1) == 1
					switch {
					case first && way == "another socket has the queue":
						return &dying{Port: &occupied{Port: p, by: &other, rig: there}, left: descriptors, stalls: true}
					case first:
						return &dying{Port: p, left: descriptors, stalls: true}
					case way == "opening it takes long":
						time.Sleep(stretch)
					}
					return p
				}
				tr.check = func(t *testing.T, o outcome) {
					if k := &o.session.Counters; k.Rebuilds != 1 || k.Quarantined == 0 {
						t.Errorf("the queue was not opened again: %+v", *k)
					}
					if o.seconds < stretch.Seconds() {
						t.Errorf("it took %.2f s: the queue was not missed", o.seconds)
					}
					if n := there.snmp(t)["OutRsts"] - before["OutRsts"]; n != 0 {
						t.Errorf("the kernel sent %d resets", n)
					}
					t.Logf("%.1f s, %d attempts, %d descriptors in quarantine", o.seconds, o.session.Counters.RebuildTry, o.session.Counters.Quarantined)
				}
				tr.succeeds(t)
				if err := other.failed(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// occupied is a port whose queue is somebody else's as soon as it is closed.
type occupied struct {
	dataplane.Port
	by  *occupant
	rig *rig
}

// Close implements dataplane.Port.
func (p *occupied) Close() error {
	err := p.Port.Close()
	p.by.take(p.rig)
	return err
}

// occupant is another AF_XDP socket on the sender's queue, for a while.
type occupant struct {
	mu  sync.Mutex
	err error
}

func (o *occupant) fail(errs ...error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errors.Join(append(errs, o.err)...)
}

func (o *occupant) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *occupant) take(r *rig) {
	region, err := umem.Map(umem.Config{Frames: 64, ChunkSize: 2048})
	if err != nil {
		o.fail(err)
		return
	}
	var s *afxdp.Socket
	err = r.lab.Do(lab.Sender, func() error {
		dev, err := netlink.LinkByName(r.lab.Sender().Interface)
		if err != nil {
			return err
		}
		s, err = afxdp.Open(context.Background(), afxdp.Config{Ifindex: dev.Attrs().Index, Region: region, Mode: afxdp.ModeCopy})
		return err
	})
	if err != nil {
		o.fail(err, region.Close())
		return
	}
	time.AfterFunc(stretch, func() { o.fail(s.Close(), region.Close()) })
}

// A link that goes down for good: the connection ends with the error that its timeout has, nothing hangs, and what is on the
// TX ring is accounted for.
func TestLinkDownForGood(t *testing.T) {
	for _, end := range []string{lab.Sender, lab.Receiver} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			s := r.open(session.Config{Times: true})
			c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, UserTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			p := payload(1, 1<<20)
			if err := fill(within(t), c, p); err != nil {
				t.Fatal(err)
			}
			if err := r.lab.SetLink(end, false); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = fill(within(t), c, p)
			}
			if !errors.Is(err, tcp.ErrTimeout) {
				t.Errorf("%v, want %v", err, tcp.ErrTimeout)
			}
			rep, err := s.Close()
			if err != nil {
				t.Error(err)
			}
			if err := rep.Books.Ledger.Balanced(); err != nil || rep.Frames.Leaked != 0 {
				t.Errorf("%v; %+v", err, rep)
			}
			t.Logf("%+v", rep.Books.Ledger)
		})
	}
}
