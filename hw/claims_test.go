package hw

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

// netdevBytes is a reply of the family "netdev".
func netdevBytes(attrs ...[]byte) []byte { return join([]byte{netdevDevGet, 1, 0, 0}, attrs) }

func TestParseClaims(t *testing.T) {
	got, err := parseClaims(netdevBytes(
		attr(netdevIfindex, u32(7)...), attr(2, u32(0)...), attr(netdevXDPFeatures, u64(0x2b|1<<40)...),
		attr(netdevZeroCopyMaxSegs, u32(8)...), attr(netdevRxMetadata, u64(5)...), attr(netdevXSKFeatures, u64(2)...)), 7)
	want := XDPClaims{Features: 0x2b | 1<<40, ZeroCopyMaxSegs: 8, RxMetadata: 5, XSK: XSKTxChecksum}
	if err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	for _, c := range []struct{ got, want []string }{
		{got.Features.Names(), []string{"basic", "redirect", "xsk-zerocopy", "rx-sg", "bit 40"}},
		{got.RxMetadata.Names(), []string{"timestamp", "vlan-tag"}},
		{got.XSK.Names(), []string{"tx-checksum"}},
		{XDPFeatures(0).Names(), []string{}},
		{(XDPBasic | XDPRedirect | XDPXmit | XDPZeroCopy | XDPHWOffload | XDPRxSG | XDPXmitSG).Names(), strings.Fields(xdpFeatureNames)},
		{(XSKTxTimestamp | XSKTxChecksum | XSKTxLaunchTime).Names(), strings.Fields(xskFeatureNames)},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("named %q, want %q", c.got, c.want)
		}
	}
}

// TestParseClaimsMalformed: what doesn't fit claims nothing, and a reply about another interface is an error.
func TestParseClaimsMalformed(t *testing.T) {
	about := attr(netdevIfindex, u32(7)...)
	for name, b := range map[string][]byte{
		"nothing but the index": netdevBytes(about),
		"features of 4 bytes":   netdevBytes(about, attr(netdevXDPFeatures, u32(1)...)),
		"segments of 8 bytes":   netdevBytes(about, attr(netdevZeroCopyMaxSegs, u64(8)...)),
		"cut in an attribute":   netdevBytes(about, attr(netdevXSKFeatures, u64(2)...)[:8]),
	} {
		if c, err := parseClaims(b, 7); err != nil || c != (XDPClaims{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty": nil, "half a header": {1, 1}, "no index": netdevBytes(attr(netdevXDPFeatures, u64(1)...)),
		"another interface": netdevBytes(attr(netdevIfindex, u32(8)...)),
	} {
		if c, err := parseClaims(b, 7); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestClaimsRefused feeds what a kernel answers that has no family, no interface, or no wish.
func TestClaimsRefused(t *testing.T) {
	for errno, want := range map[unix.Errno]error{unix.ENOENT: ErrNoClaims, unix.ENODEV: ErrNoInterface, unix.EPERM: unix.EPERM} {
		k := &kernel{
			netdev: func(int) ([]byte, error) { return nil, errno },
			links:  func() ([]linkMessage, error) { return []linkMessage{{name: "lo"}}, nil },
		}
		_, err := k.xdpClaims(7)
		wantIs(t, err, want)
		if !strings.Contains(err.Error(), "index 7") {
			t.Errorf("%v doesn't say of what", err)
		}
	}
	k := &kernel{netdev: func(int) ([]byte, error) {
		return netdevBytes(attr(netdevIfindex, u32(7)...), attr(netdevXSKFeatures, u64(1)...)), nil
	}}
	if c, err := k.xdpClaims(7); err != nil || c.XSK != XSKTxTimestamp {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestClaimsOfVeth: veth claims XDP and no zero-copy, an ifb nothing, and each is asked about itself.
func TestClaimsOfVeth(t *testing.T) {
	l := newLab(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "ifbx"
	l.ok(l.here.LinkAdd(&netlink.Ifb{LinkAttrs: attrs}))
	c, err := ReadXDPClaims(l.index())
	if errors.Is(err, ErrNoClaims) {
		t.Skip(err)
	}
	l.ok(err)
	if c.Features&(XDPBasic|XDPRedirect) != XDPBasic|XDPRedirect || c.Features&XDPZeroCopy != 0 || c.ZeroCopyMaxSegs != 0 || c.XSK != 0 {
		t.Errorf("veth claims %+v: %v", c, c.Features.Names())
	}
	none, err := ReadXDPClaims(l.link(l.here, "ifbx").Attrs().Index)
	if err != nil || none != (XDPClaims{}) {
		t.Errorf("ifb claims %+v, %v", none, err)
	}
	for _, index := range []int{0, -1, 4711, 1 << 40} {
		_, err := ReadXDPClaims(index)
		wantIs(t, err, ErrNoInterface)
	}
	lo, err := ReadXDPClaims(1)
	t.Logf("loopback claims %+v, %v", lo, err)
}
