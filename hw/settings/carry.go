package settings

import (
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// machine asks the kernel about dangers, in the namespace of the calling thread.
var machine = dangers{carries: carries, addresses: globalAddresses}

// carries says why the machine is reached by the interface: it carries the default route of the initial namespace, or the SSH
// connection that we are called from. "" means that it isn't.
func carries(index int) (string, error) {
	_, initial, err := namespace()
	if err != nil {
		return "", err
	}
	if initial {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			by, err := defaultRoute(family)
			if err != nil {
				return "", err
			}
			if on, err := anyOn(by, index); on || err != nil {
				return "it carries the default route of this machine", err
			}
		}
	}
	by, err := sshInterfaces(sshConnection())
	if err != nil {
		return "", err
	}
	if on, err := anyOn(by, index); on || err != nil {
		return "the SSH connection that we are called from comes by it", err
	}
	return "", nil
}

// defaultRoute are the interfaces that the main table's default routes leave by.
func defaultRoute(family int) (by []int, err error) {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		by = append(by, r.LinkIndex)
		for _, hop := range r.MultiPath {
			by = append(by, hop.LinkIndex)
		}
	}
	return by, nil
}

// sshInterfaces are those that answers to "CLIENT PORT SERVER PORT" leave by; none where the server's address is not in this namespace.
func sshInterfaces(connection string) (by []int, err error) {
	f := strings.Fields(connection)
	if len(f) != 4 {
		return nil, nil
	}
	client, server := net.ParseIP(withoutZone(f[0])), net.ParseIP(withoutZone(f[2]))
	if client == nil || server == nil {
		return nil, nil
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if a.IP.Equal(server) {
			by = append(by, a.LinkIndex)
		}
	}
	if by == nil {
		return nil, nil
	}
	routes, err := netlink.RouteGet(client)
	if err != nil { // it doesn't come by any route of ours
		return by, nil
	}
	for _, r := range routes {
		by = append(by, r.LinkIndex)
	}
	return by, nil
}

func withoutZone(addr string) string {
	addr, _, _ = strings.Cut(addr, "%")
	return addr
}

// anyOn reports that one of the interfaces is the one of that index, or stands on it: a VLAN, a bond, a bridge.
func anyOn(of []int, index int) (bool, error) {
	if len(of) == 0 {
		return false, nil
	}
	list, err := links()
	if err != nil {
		return false, fmt.Errorf("list interfaces: %w", err)
	}
	below := map[int][]int{}
	for _, l := range list {
		a := l.Attrs()
		if a.ParentIndex != 0 && a.NetNsID < 0 {
			below[a.Index] = append(below[a.Index], a.ParentIndex)
		}
		if a.MasterIndex != 0 {
			below[a.MasterIndex] = append(below[a.MasterIndex], a.Index)
		}
	}
	seen := map[int]bool{}
	for len(of) > 0 {
		at := of[0]
		of = of[1:]
		if at == index {
			return true, nil
		}
		if !seen[at] {
			seen[at] = true
			of = append(of, below[at]...)
		}
	}
	return false, nil
}

// globalAddresses counts the IPv6 addresses that the kernel doesn't make by itself again.
func globalAddresses(index int) (n int, err error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return 0, err
	}
	for _, a := range addrs {
		if a.LinkIndex == index && !a.IP.IsLinkLocalUnicast() {
			n++
		}
	}
	return n, nil
}
