package probe

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"

	"github.com/xsend/xsend/hw"
)

// facts is what is known of the interface before anything is tried.
type facts struct {
	nic      hw.Interface
	channels Channels
	claims   hw.XDPClaims
	noClaims error
	features map[string]ethtool.FeatureState
	native   bool // our program is attached in the driver, while sockets are tried
}

func readFacts(nic hw.Interface) facts {
	f := facts{nic: nic}
	f.claims, f.noClaims = hw.ReadXDPClaims(nic.Index)
	f.features, _ = readFeatures(nic.Name) // a driver without ethtool can send all the same
	f.channels, _ = readChannels(nic.Name)
	return f
}

func (f *facts) active(feature string) bool { return f.features[feature].Active }

func (f *facts) describe() Interface {
	n := f.nic
	i := Interface{
		Name: n.Name, Index: n.Index, Kind: n.Kind, MAC: n.MAC.String(), Up: n.Up, Carrier: n.Carrier,
		Driver: n.Driver, DriverVersion: n.DriverVersion, Firmware: n.Firmware, Bus: n.Bus, NUMANode: numaNode("/sys", n.Bus),
		MTU: n.MTU, RxQueues: n.RxQueues, TxQueues: n.TxQueues, QueueSource: n.QueueSource, Channels: f.channels,
		XDPProgram: n.XDPProgID, XDPMode: n.XDPMode,
	}
	i.Speed, i.Duplex = readSpeed(n.Name)
	i.Rings, _ = readRings(n.Name)
	if err := n.Usable(); err != nil {
		i.Unusable = err.Error()
	}
	return i
}

// numaNode is where a PCI device is; -1 without one. The bus is the same in every network namespace.
func numaNode(sys, bus string) int {
	if bus == "" || strings.ContainsRune(bus, '/') {
		return -1
	}
	b, err := os.ReadFile(filepath.Join(sys, "bus/pci/devices", bus, "numa_node"))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}

// concerning are the features that matter to AF_XDP, or are thought to.
var concerning = []struct{ name, means string }{
	{"tx-checksum-ip-generic", "copy mode: the NIC fills in a checksum that metadata asks for, if it takes it from AF_XDP; off: the kernel does"},
	{"tx-checksum-ipv4", "of no use to AF_XDP: its packets name no protocol"},
	{"tx-checksum-ipv6", "of no use to AF_XDP: its packets name no protocol"},
	{"tx-scatter-gather", "copy mode: packets of several descriptors go to the driver as they are; off: the kernel makes one buffer of them"},
	{"tx-tcp-segmentation", "of no use to AF_XDP, which has no segmentation; the kernel's own TCP has"},
	{"tx-generic-segmentation", "of no use to AF_XDP, which has no segmentation; the kernel's own TCP has"},
	{"tx-vlan-hw-insert", "of no use to AF_XDP: tags are in the frame"},
	{"rx-vlan-hw-parse", "on: the NIC takes VLAN tags out of what XDP sees"},
	{"rx-checksum", "of no use to AF_XDP: whoever receives sums"},
	{"rx-gro", "of no use to AF_XDP: a native program comes before it"},
	{"rx-gro-hw", "many drivers take no XDP program while it is on"},
	{"rx-lro", "most drivers take no XDP program while it is on"},
	{"rx-ntuple-filter", "flows can be steered to a queue"},
	{"rx-hashing", "flows are spread over the queues"},
}

func (f *facts) claimed() Claims {
	c := Claims{
		Features: f.claims.Features.Names(), ZeroCopyMaxSegs: f.claims.ZeroCopyMaxSegs,
		RxMetadata: f.claims.RxMetadata.Names(), XSK: f.claims.XSK.Names(), Ethtool: []Feature{},
	}
	if f.noClaims != nil {
		c.Unknown = f.noClaims.Error()
		if errors.Is(f.noClaims, hw.ErrNoClaims) {
			c.Unknown = hw.ErrNoClaims.Error() + ", which came with Linux 6.3"
		}
	}
	for _, want := range concerning {
		if s, ok := f.features[want.name]; ok {
			c.Ethtool = append(c.Ethtool, Feature{want.name, s.Active, s.Requested, s.Available && !s.NeverChanged, want.means})
		}
	}
	return c
}
