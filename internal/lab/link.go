package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// minMTUv6 is the least MTU that IPv6 runs on, https://www.rfc-editor.org/rfc/rfc8200#section-5.
const minMTUv6 = 1280

const ipv6Conf = "/proc/sys/net/ipv6/conf/default"

// joinEnds makes the veth pair, or the two that lead to the wire, each end in its namespace from the start.
func (l *Lab) joinEnds(cfg Config) error {
	for _, end := range []string{Sender, Receiver} {
		if err := l.Do(end, quietIPv6); err != nil {
			return err
		}
	}
	if cfg.Wire == nil {
		return l.join(l.Sender(), l.Receiver(), cfg)
	}
	near, far := l.wireEnds()
	return errors.Join(l.join(l.Sender(), near, cfg), l.join(l.Receiver(), far, cfg))
}

func (l *Lab) join(here, there End, cfg Config) error {
	peer, err := openNamespace(there.Namespace)
	if err != nil {
		return err
	}
	defer peer.Close()
	return l.Do(here.Namespace, func() error { return addVeth(here.Interface, there.Interface, int(peer), cfg) })
}

func addVeth(here, there string, peerNS int, cfg Config) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = here
	attrs.MTU = cfg.MTU
	attrs.NumTxQueues, attrs.NumRxQueues = cfg.Queues, cfg.Queues
	veth := netlink.NewVeth(attrs)
	veth.PeerName = there
	veth.PeerNamespace = netlink.NsFd(peerNS)
	veth.PeerMTU = uint32(cfg.MTU)
	veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(cfg.Queues), uint32(cfg.Queues)
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the veth pair: %w", needRoot(err))
	}
	return nil
}

// quietIPv6 keeps the kernel from sending what a test did not ask for and from withholding addresses:
// no duplicate address detection, no router solicitations; addresses outlive a link that goes down.
func quietIPv6() error {
	for _, s := range []struct{ key, value string }{
		{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"dad_transmits", "0"}, {"router_solicitations", "0"}, {"keep_addr_on_down", "1"},
	} {
		err := os.WriteFile(ipv6Conf+"/"+s.key, []byte(s.value), 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("set net.ipv6.conf.default.%s: %w", s.key, needRoot(err))
		}
	}
	return nil
}

// settle gives one end its offloads and addresses and sets it up.
func (l *Lab) settle(end string, cfg Config) error {
	e := l.end(end)
	return l.Do(end, func() error {
		if err := setOffloads(e.Interface, cfg.TxChecksum, cfg.Segmentation); err != nil {
			return err
		}
		link, err := linkNamed(e.Interface)
		if err != nil {
			return err
		}
		if err := addAddresses(link, e, cfg.MTU); err != nil {
			return err
		}
		return setLink(link, true)
	})
}

func addAddresses(link netlink.Link, e End, mtu int) error {
	prefixes := []netip.Prefix{e.IPv4}
	if _, err := os.Stat(ipv6Conf); err == nil && mtu >= minMTUv6 {
		prefixes = append(prefixes, e.IPv6)
	}
	for _, p := range prefixes {
		if err := netlink.AddrAdd(link, linkAddress(p)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: add address %s: %w", e.Interface, p, needRoot(err))
		}
	}
	return nil
}

func linkAddress(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

// SetMTU changes the MTU of both ends, and of a wire's before, the receiver's first. From 1280 bytes on it puts
// back the IPv6 addresses that the kernel takes away below.
func (l *Lab) SetMTU(mtu int) error {
	if err := checkMTU(mtu); err != nil {
		return err
	}
	if err := l.setWireMTU(mtu); err != nil {
		return err
	}
	for _, end := range []string{Receiver, Sender} {
		if err := l.SetEndMTU(end, mtu); err != nil {
			return err
		}
	}
	return nil
}

// SetEndMTU changes the MTU of one end only. Frames larger than the receiver's MTU vanish there, without
// an ICMP message: a black hole.
func (l *Lab) SetEndMTU(end string, mtu int) error {
	if err := checkMTU(mtu); err != nil {
		return err
	}
	return l.withLink(end, func(link netlink.Link) error {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("%s: set MTU %d: %w", link.Attrs().Name, mtu, needRoot(err))
		}
		return addAddresses(link, l.end(end), mtu)
	})
}

// SetLink sets the interface of one end up or down; the other end loses or gains its carrier with it.
func (l *Lab) SetLink(end string, up bool) error {
	return l.withLink(end, func(link netlink.Link) error { return setLink(link, up) })
}

func setLink(link netlink.Link, up bool) error {
	set, word := netlink.LinkSetDown, "down"
	if up {
		set, word = netlink.LinkSetUp, "up"
	}
	if err := set(link); err != nil {
		return fmt.Errorf("set %s %s: %w", link.Attrs().Name, word, needRoot(err))
	}
	return nil
}

// withLink runs fn inside the namespace of an end with that end's veth.
func (l *Lab) withLink(end string, fn func(netlink.Link) error) error {
	if end != Sender && end != Receiver {
		return fmt.Errorf("lab %s: end %q: use %q or %q", l.name, end, Sender, Receiver)
	}
	return l.Do(end, func() error {
		link, err := linkNamed(l.end(end).Interface)
		if err != nil {
			return err
		}
		return fn(link)
	})
}

func linkNamed(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return link, nil
}

// deleteVeths deletes the veth ends of the thread's namespace; their peers go with them.
func deleteVeths() error {
	for _, name := range []string{"veth-" + Sender, "veth-" + Receiver, wireNear, wireFar} {
		link, err := netlink.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
		if err := netlink.LinkDel(link); err != nil {
			return fmt.Errorf("delete %s: %w", link.Attrs().Name, needRoot(err))
		}
	}
	return nil
}
