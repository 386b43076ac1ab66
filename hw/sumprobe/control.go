package sumprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/ethtool"
)

// Control is what became of packets that the kernel certainly computes a checksum for, and of as many
// that ask for none.
type Control struct {
	Sent    int    // of each kind
	Counted uint64 // of those that ask
	Plain   uint64 // of those that do not
}

// Hits reports that the probe has power: it counts what it must, and only that.
func (c Control) Hits() bool { return c.Sent > 0 && c.Counted == uint64(c.Sent) && c.Plain == 0 }

const (
	controlPackets = 3
	nearName       = "sum-a"
	farName        = "sum-b"
)

// Where the control's packets go: addresses for documentation (https://www.rfc-editor.org/rfc/rfc5737).
var (
	askingTo = netip.MustParseAddr("192.0.2.2")
	plainTo  = netip.MustParseAddr("192.0.2.3")
)

// control is a packet socket on a veth pair in a network namespace that lives as long as the socket.
type control struct {
	fd            int
	asking, plain Flow // its packets, which those of another probe are not taken for
}

// newControl makes it on a thread that ends with it and leaves the namespace to the socket.
func newControl() (*control, error) {
	local, remote := uint16(rand.Uint32()), uint16(rand.Uint32())
	c := &control{fd: -1, asking: Flow{local, netip.AddrPortFrom(askingTo, remote)}, plain: Flow{local, netip.AddrPortFrom(plainTo, remote)}}
	if err := onDyingThread(c.open); err != nil {
		return nil, errors.Join(fmt.Errorf("make the kprobe's control: %w", err), c.close())
	}
	return c, nil
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

func (c *control) open() error {
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nearName
	veth := netlink.NewVeth(attrs)
	veth.PeerName = farName
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	if err := ethtool.TxChecksum.Set(nearName, false); err != nil {
		return err
	}
	index := 0
	for _, name := range []string{farName, nearName} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("veth %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return fmt.Errorf("veth %s: set it up: %w", name, err)
		}
		index = l.Attrs().Index
	}
	return c.listen(index)
}

// listen opens the socket, which receives nothing: its protocol is 0.
func (c *control) listen(index int) (err error) {
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_QDISC_BYPASS} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_PACKET, option, 1); err != nil {
			return fmt.Errorf("packet socket: option %d: %w", option, err)
		}
	}
	if err := unix.Bind(c.fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		return fmt.Errorf("packet socket: bind: %w", err)
	}
	return nil
}

func (c *control) close() error {
	if c.fd < 0 {
		return nil
	}
	return unix.Close(c.fd)
}

const (
	vnetLen  = 10 // struct virtio_net_hdr (linux/virtio_net.h)
	etherLen = 14
	ipLen    = 20
	udpLen   = 8
)

// packet is a datagram behind the header that asks for its checksum, or asks for nothing.
func packet(f Flow, ask bool) []byte {
	b := make([]byte, vnetLen+etherLen+ipLen+udpLen+18) // 18: up to the least that Ethernet carries
	if ask {
		b[0] = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
		binary.NativeEndian.PutUint16(b[6:], etherLen+ipLen)
		binary.NativeEndian.PutUint16(b[8:], 6) // in the UDP header
	}
	ether := b[vnetLen:]
	copy(ether, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00}) // addresses that are local to this wire; IPv4
	ip := ether[etherLen:]
	ip[0], ip[8], ip[9] = 0x45, 1, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[16:], f.Remote.Addr().AsSlice())
	udp := ip[ipLen:]
	binary.BigEndian.PutUint16(udp, f.Local)
	binary.BigEndian.PutUint16(udp[2:], f.Remote.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	return b
}

// send sends the control's packets of one kind. The checksum is computed before the call returns.
func (c *control) send(f Flow, ask bool) error {
	for range controlPackets {
		if _, err := unix.Write(c.fd, packet(f, ask)); err != nil {
			return fmt.Errorf("send the kprobe's control: %w", err)
		}
	}
	return nil
}

// Control sends packets over a link of its own, on which the kernel computes what they ask for, and
// looks whether they are counted.
func (p *Probe) Control() (c Control, err error) {
	if c.Plain, err = p.difference(p.control.plain, false); err != nil {
		return Control{}, err
	}
	if c.Counted, err = p.difference(p.control.asking, true); err != nil {
		return Control{}, err
	}
	c.Sent = controlPackets
	return c, nil
}

// difference is how many calls the control's packets of one kind made; where flows are not told
// apart, all calls in that time.
func (p *Probe) difference(f Flow, ask bool) (uint64, error) {
	before, err := p.calls(f)
	if err != nil {
		return 0, err
	}
	if err := p.control.send(f, ask); err != nil {
		return 0, err
	}
	after, err := p.calls(f)
	if err != nil {
		return 0, err
	}
	if !p.attributes {
		p.own += after - before
	}
	return after - before, nil
}

func (p *Probe) calls(f Flow) (uint64, error) {
	if p.attributes {
		return p.count(f.key())
	}
	return p.unknown()
}
