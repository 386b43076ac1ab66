package probe

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// pair is a veth pair, each end in a network namespace of its own that has no name.
type pair struct {
	near netlink.Link // in the namespace of the thread
	peer int          // a packet socket at the far end, which sees our frames
	buf  []byte
}

const (
	nearName, farName = "probe-a", "probe-b"
	pairMTU           = 1500

	// etherType is for local experiments (IEEE Std 802).
	etherType = 0x88b5
)

// withPair runs f at the near end of a pair, on a thread that ends with it and takes the namespaces along.
func withPair(f func(*pair) error) error {
	return onDyingThread(func() error {
		far, err := netns.New()
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		defer far.Close()
		near, err := netns.New() // last, so that the thread stays in it
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		defer near.Close()
		p, err := newPair(near, far)
		if err != nil {
			return err
		}
		defer unix.Close(p.peer)
		return f(p)
	})
}

// onDyingThread runs f on a thread that ends with it. The process's first thread can't end: if the goroutine is on that
// one, it leaves the work to another.
func onDyingThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := onDyingThread(f)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err := errors.New("ended early")
		defer func() { done <- err }()
		err = f() // ends locked: the runtime ends the thread
	}()
	return <-done
}

func newPair(near, far netns.NsHandle) (*pair, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = nearName, pairMTU
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerMTU = farName, netlink.NsFd(int(far)), pairMTU
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("make a veth pair: %w", err)
	}
	p := &pair{peer: -1, buf: make([]byte, 64<<10)}
	var err error
	if p.near, err = netlink.LinkByName(nearName); err != nil {
		return nil, fmt.Errorf("veth %s: %w", nearName, err)
	}
	if err := netlink.LinkSetUp(p.near); err != nil {
		return nil, fmt.Errorf("veth %s: %w", nearName, err)
	}
	if err := netns.Set(far); err != nil {
		return nil, fmt.Errorf("enter a network namespace: %w", err)
	}
	if err := errors.Join(p.listen(), netns.Set(near)); err != nil {
		return nil, fmt.Errorf("veth %s: %w", farName, err)
	}
	return p, nil
}

// listen sets the far end up and opens the packet socket there.
func (p *pair) listen() error {
	link, err := netlink.LinkByName(farName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	const proto = etherType>>8 | etherType&0xff<<8 // in network byte order
	if p.peer, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto); err != nil {
		return err
	}
	return unix.Bind(p.peer, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Attrs().Index})
}

// receive returns the next frame that arrived at the far end; nil where none did within d.
func (p *pair) receive(d time.Duration) []byte {
	fds := []unix.PollFd{{Fd: int32(p.peer), Events: unix.POLLIN}}
	for end := time.Now().Add(d); ; {
		n, err := unix.Poll(fds, int(max(0, time.Until(end).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return nil
		}
		n, _, err = unix.Recvfrom(p.peer, p.buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ENETDOWN) { // told once when the link comes up late
			continue
		}
		if err != nil {
			return nil
		}
		return p.buf[:n]
	}
}

// setChecksum switches the near end's own checksum on or off.
func (p *pair) setChecksum(on bool) error {
	if err := setFeatures(nearName, map[string]bool{"tx-checksum-ip-generic": on}); err != nil {
		return err
	}
	features, err := readFeatures(nearName)
	if err == nil && features["tx-checksum-ip-generic"].Active != on {
		return errors.New("the kernel kept tx-checksum-ip-generic as it was")
	}
	return err
}
