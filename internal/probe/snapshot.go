package probe

import (
	"fmt"
	"maps"
	"slices"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
	lib "github.com/xsend/xsend/internal/ethtool"
)

// snapshot is what an interface is like: the name of each setting, and its value. Counters, and what changes by itself
// (neighbours, lifetimes), are left out.
type snapshot map[string]string

func takeSnapshot(index int) (snapshot, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, fmt.Errorf("interface index %d: read its state: %w", index, err)
	}
	s := snapshot{}
	s.link(link)
	s.network(link)
	s.ethtool(link.Attrs().Name)
	claims, err := hw.ReadXDPClaims(index)
	s.put("XDP claims", claims, err)
	return s, nil
}

// put writes a value, or why there is none.
func (s snapshot) put(name string, value any, err error) {
	if err != nil {
		value = err
	}
	s[name] = fmt.Sprintf("%+v", value)
}

func (s snapshot) link(link netlink.Link) {
	a := link.Attrs()
	s.put("name", a.Name, nil)
	s.put("MTU", a.MTU, nil)
	s.put("MAC", a.HardwareAddr, nil)
	s.put("up", a.RawFlags&unix.IFF_UP != 0, nil)
	s.put("carrier", a.RawFlags&unix.IFF_LOWER_UP != 0, nil)
	s.put("promiscuous", fmt.Sprint(a.RawFlags&unix.IFF_PROMISC != 0, " ", a.Promisc), nil)
	s.put("allmulti", fmt.Sprint(a.RawFlags&unix.IFF_ALLMULTI != 0, " ", a.Allmulti), nil)
	s.put("master", a.MasterIndex, nil)
	s.put("alias", a.Alias, nil)
	s.put("transmit queue length", a.TxQLen, nil)
	s.put("GSO and GRO limits", []uint32{a.GSOMaxSize, a.GSOMaxSegs, a.GROMaxSize}, nil)
	xdp := netlink.LinkXdp{}
	if a.Xdp != nil {
		xdp = *a.Xdp
	}
	s.put("XDP program", fmt.Sprint(xdp.ProgId, " ", xdp.AttachMode), nil)
}

func (s snapshot) network(link netlink.Link) {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	s.put("addresses", len(addrs), err)
	for _, a := range addrs {
		s.put("address "+a.IPNet.String(), fmt.Sprint(a.Scope, " ", a.Label), nil)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	s.put("routes", len(routes), err)
	for _, r := range routes {
		s.put("route "+r.String(), "there", nil)
	}
	disciplines, err := netlink.QdiscList(link)
	s.put("queueing disciplines", len(disciplines), err)
	for _, q := range disciplines {
		s.put(fmt.Sprintf("queueing discipline at %x", q.Attrs().Parent), q.Type(), nil)
	}
}

func (s snapshot) ethtool(name string) {
	channels, err := readChannels(name)
	s.put("channels", channels, err)
	rings, err := readRings(name)
	s.put("rings", rings, err)
	coalesce, err := lib.Ask(name, func(e *ethtool.Ethtool) (ethtool.Coalesce, error) { return e.GetCoalesce(name) })
	s.put("coalescing", coalesce, err)
	pause, err := lib.Ask(name, func(e *ethtool.Ethtool) (ethtool.Pause, error) { return e.GetPause(name) })
	s.put("pause", pause, err)
	features, err := readFeatures(name)
	s.put("features", len(features), err)
	for name, state := range features {
		s.put("feature "+name, state, nil)
	}
}

// diff lists what is not the same after, in order of the names.
func (s snapshot) diff(after snapshot) []string {
	names := map[string]bool{}
	for name := range s {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	list := []string{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if s[name] != after[name] {
			list = append(list, fmt.Sprintf("%s: %s, now %s", name, orNothing(s[name]), orNothing(after[name])))
		}
	}
	return list
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
