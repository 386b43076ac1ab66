package xdpprog

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and BPF programs")
	}
}

// space is a network namespace and the one thread that is in it. It has no name: the
// kernel removes it with its last thread, even if the test is killed.
type space struct {
	handle netns.NsHandle
	calls  chan func()
}

func newSpace(t testing.TB) *space {
	t.Helper()
	needRoot(t)
	s := &space{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		s.handle, err = netns.New()
		ready <- err
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	t.Cleanup(func() {
		close(s.calls)
		s.handle.Close()
	})
	return s
}

// in runs f on the namespace's thread.
func (s *space) in(f func() error) error {
	done := make(chan error)
	s.calls <- func() { done <- f() }
	return <-done
}

func (s *space) must(t testing.TB, f func() error) {
	t.Helper()
	if err := s.in(f); err != nil {
		t.Fatal(err)
	}
}

// apart runs f on a thread of its own in the namespace, which may do to itself what it likes.
func (s *space) apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(s.handle); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// pair is a veth pair: near is ours, in its own namespace, far the peer's in another.
type pair struct {
	near, far           *space
	nearIndex, farIndex int
	name                string
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{near: newSpace(t), far: newSpace(t), name: fmt.Sprintf("xp%da", os.Getpid())}
	peer := fmt.Sprintf("xp%db", os.Getpid())
	p.near.must(t, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = p.name, allQueues, allQueues
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerNamespace: netlink.NsFd(p.far.handle),
			PeerNumRxQueues: allQueues, PeerNumTxQueues: allQueues}
		return netlink.LinkAdd(veth)
	})
	p.near.must(t, func() (err error) { p.nearIndex, err = linkUp(p.name, "10.77.0.1/24", macA); return err })
	p.far.must(t, func() (err error) { p.farIndex, err = linkUp(peer, "10.77.0.2/24", macB); return err })
	return p
}

func linkUp(name, address string, mac []byte) (index int, err error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return 0, err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetHardwareAddr(l, mac),
		netlink.AddrAdd(l, addr), netlink.LinkSetUp(l))
}

// attach attaches to the near end and detaches at the end of the test.
func (p *pair) attach(t testing.TB, mode Mode, queues int) *Program {
	t.Helper()
	var prog *Program
	p.near.must(t, func() (err error) {
		prog, err = Attach(Config{Ifindex: p.nearIndex, Mode: mode, Queues: queues})
		return err
	})
	t.Cleanup(func() { prog.Close() })
	return prog
}

// attached is the id of the program on the near end, 0 for none.
func (p *pair) attached(t testing.TB) (id uint32) {
	t.Helper()
	p.near.must(t, func() error {
		n, err := readNIC(p.nearIndex)
		if n.xdp.Attached {
			id = n.xdp.ProgId
		}
		return err
	})
	return id
}
