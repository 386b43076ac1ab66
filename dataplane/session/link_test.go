package session_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
)

// outage is how long a link is down in a test: more than a retransmission timeout.
const outage = 300 * time.Millisecond

// A link that goes down and comes up again in mid-run, at either end: the transfer goes on.
func TestLinkDownAndUp(t *testing.T) {
	for name, c := range map[string]struct {
		end string
		v6  bool
	}{"the sender's": {lab.Sender, false}, "the sender's, IPv6": {lab.Sender, true}, "the receiver's": {lab.Receiver, false}} {
		everyWay(t, name, trial{v6: c.v6, bytes: 8 << 20, dial: unhurried, during: func(r *rig, _ *session.Session) {
			if err := r.lab.SetLink(c.end, false); err != nil {
				r.t.Error(err)
			}
			time.Sleep(outage)
			if err := r.lab.SetLink(c.end, true); err != nil {
				r.t.Error(err)
			}
		}, check: func(t *testing.T, o outcome) {
			if o.seconds < outage.Seconds() {
				t.Errorf("the transfer took %.2f s: the link was not missed", o.seconds)
			}
		}})
	}
}

// The route's MTU falls in mid-run, and the interface's rises: the lesser one counts.
func TestRouteMTU(t *testing.T) {
	everyWay(t, "1300", trial{
		lab: lab.Config{MTU: 1400}, bytes: 8 << 20, dial: unhurried,
		during: func(r *rig, _ *session.Session) {
			r.routeMTU(1300)
			if err := r.lab.SetMTU(1500); err != nil {
				r.t.Error(err)
			}
		},
		check: func(t *testing.T, o outcome) {
			if st := o.stats[0]; st.MSS > 1300-40 || st.MSS < 1300-80 {
				t.Errorf("MSS %d behind a route of 1300: %+v", st.MSS, st)
			}
		},
	})
}

// routeMTU sets the MTU of the sender's IPv4 route.
func (r *rig) routeMTU(n int) {
	err := r.lab.Do(lab.Sender, func() error {
		dev, err := netlink.LinkByName("veth-a")
		if err != nil {
			return err
		}
		routes, err := netlink.RouteList(dev, netlink.FAMILY_V4)
		for _, route := range routes {
			route.MTU = n
			err = errors.Join(err, netlink.RouteReplace(&route))
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

// The next hop gets another MAC address in mid-run, and says so.
func TestNeighbourMoves(t *testing.T) {
	everyWay(t, "new MAC", trial{bytes: 8 << 20, dial: unhurried, during: func(r *rig, _ *session.Session) { r.move() }})
}

// move gives the receiver another MAC address, which the sender's kernel learns from
// the question that a ping of the receiver's starts with.
func (r *rig) move() {
	err := r.lab.Do(lab.Receiver, func() error {
		dev, err := netlink.LinkByName(r.lab.Receiver().Interface)
		if err != nil {
			return err
		}
		mac, _ := net.ParseMAC("02:00:5e:00:53:07")
		if err := netlink.LinkSetHardwareAddr(dev, mac); err != nil {
			return err
		}
		time.Sleep(1100 * time.Millisecond) // a kernel that learnt an address believes no other for a second (locktime)
		_ = netlink.NeighDel(&netlink.Neigh{LinkIndex: dev.Attrs().Index, IP: r.lab.Sender().IPv4.Addr().AsSlice()})
		c, err := net.Dial("udp4", r.lab.Sender().IPv4.Addr().String()+":9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("here"))
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

// An interface that is taken away ends its connections with an error that says so, and
// Close leaves nothing behind.
func TestInterfaceRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	rc := r.receive(nil)
	s := r.open(session.Config{})
	c := dial(t, s, rc.addr)
	p := payload(1, 1<<20)
	if err := fill(within(t), c, p); err != nil {
		t.Fatal(err)
	}
	r.at(lab.Sender, func() error {
		dev, err := netlink.LinkByName("veth-a")
		if err != nil {
			return err
		}
		return netlink.LinkDel(dev)
	})
	start := time.Now()
	var err error
	for err == nil {
		err = fill(within(t), c, p)
	}
	if !errors.Is(err, dataplane.ErrQueueDead) {
		t.Errorf("%v, want %v", err, dataplane.ErrQueueDead)
	}
	if !strings.Contains(err.Error(), "interface veth-a was removed") {
		t.Errorf("the cause is missing: %v", err)
	}
	t.Logf("after %v: %v", time.Since(start), err)
	rep, err := s.Close()
	t.Logf("%v; %+v", err, rep)
	if rep.Frames.Leaked != 0 || rep.Counters.Submitted != rep.Counters.Completed+rep.Counters.Quarantined {
		t.Errorf("%+v", rep)
	}
}
