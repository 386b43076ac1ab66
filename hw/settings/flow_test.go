package settings

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// header prints what the UAPI header makes of the structs, and two rules in hexadecimal.
const header = `#include <linux/ethtool.h>
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#define AT(f) offsetof(struct ethtool_rx_flow_spec, f)
static void dump(struct ethtool_rx_flow_spec *s) {
	for (size_t i = 0; i < sizeof *s; i++) printf("%02x", ((unsigned char *)s)[i]);
	printf("\n");
}
int main(void) {
	struct ethtool_rx_flow_spec s;
	printf("%zu %zu %zu %zu %zu %zu\n", sizeof(struct ethtool_rxnfc), offsetof(struct ethtool_rxnfc, data), offsetof(struct ethtool_rxnfc, fs),
		offsetof(struct ethtool_rxnfc, rule_cnt), offsetof(struct ethtool_rxnfc, rule_locs), sizeof s);
	printf("%zu %zu %zu %zu %zu %zu %zu\n", AT(location), AT(h_u), AT(m_u), AT(ring_cookie), sizeof s.h_u, AT(h_u.tcp_ip4_spec.psrc) - AT(h_u), AT(h_u.tcp_ip6_spec.psrc) - AT(h_u));
	printf("%#x %#x %#x %#x %#x %#x %#x\n", ETHTOOL_GRXCLSRLCNT, ETHTOOL_GRXCLSRULE, ETHTOOL_GRXCLSRLALL, ETHTOOL_SRXCLSRLDEL, ETHTOOL_SRXCLSRLINS, RX_CLS_LOC_SPECIAL, RX_CLS_LOC_ANY);
	printf("%zu %zu %zu %zu %#x %#x %#x\n", sizeof(struct ethtool_rxfh), offsetof(struct ethtool_rxfh, indir_size), offsetof(struct ethtool_rxfh, key_size),
		offsetof(struct ethtool_rxfh, hfunc), ETHTOOL_GRSSH, ETHTOOL_SRSSH, ETH_RXFH_INDIR_NO_CHANGE);
	memset(&s, 0, sizeof s);
	s.flow_type = TCP_V4_FLOW;
	inet_pton(AF_INET, "192.0.2.7", &s.h_u.tcp_ip4_spec.ip4src);
	s.h_u.tcp_ip4_spec.psrc = htons(9000);
	memset(&s.m_u.tcp_ip4_spec.ip4src, 0xff, 4);
	s.m_u.tcp_ip4_spec.psrc = 0xffff;
	dump(&s);
	memset(&s, 0, sizeof s);
	s.flow_type = TCP_V6_FLOW;
	inet_pton(AF_INET6, "2001:db8::7", s.h_u.tcp_ip6_spec.ip6src);
	memset(s.m_u.tcp_ip6_spec.ip6src, 0xff, 16);
	s.ring_cookie = 3;
	dump(&s);
}
`

// Every offset and number is the header's, and so is a whole rule.
func TestFlowIsTheHeaders(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("needs a C compiler")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "flow.c"), filepath.Join(dir, "flow")
	if err := os.WriteFile(source, []byte(header), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-o", program, source).CombinedOutput(); err != nil {
		t.Skipf("needs linux/ethtool.h: %v: %s", err, out)
	}
	want, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(rxnfcSize, rxnfcData, rxnfcSpec, rxnfcCount, rxnfcLocs, specSize) +
		fmt.Sprintln(specAt, flowAt, masksAt, queueAt, flowSize, ports4, ports6) +
		fmt.Sprintf("%#x %#x %#x %#x %#x %#x %#x\n", countRules, readRule, listRules, deleteRule, insertRule, specialPlaces, uint32(anyPlace)) +
		fmt.Sprintf("%d %d %d %d %#x %#x %#x\n", rxfhHead, rxfhEntries, rxfhKey, rxfhHash, getRxfh, setRxfh, uint32(noTable)) +
		flow(netip.MustParseAddr("192.0.2.7"), 9000, 0) + "\n" + flow(netip.MustParseAddr("2001:db8::7"), 0, 3) + "\n"
	if got != string(want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The same without a compiler: these bytes were made with the header.
func TestFlowLayout(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	v4 := "01000000" + "c0000207" + zeros(4) + "2328" + zeros(42) + zeros(20) + "ffffffff" + zeros(4) + "ffff" + zeros(42) + zeros(20) + zeros(4) + zeros(16)
	v6 := "05000000" + "20010db8" + zeros(11) + "07" + zeros(36) + zeros(20) + strings.Repeat("ff", 16) + zeros(36) + zeros(20) + zeros(4) + "03" + zeros(15)
	for want, got := range map[string]string{
		v4: flow(netip.MustParseAddr("::ffff:192.0.2.7"), 9000, 0), v6: flow(netip.MustParseAddr("2001:db8::7"), 0, 3),
	} {
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// An order has the command, the rule, and the location where the kernel looks for it.
func TestRuleOrder(t *testing.T) {
	rule := flow(netip.MustParseAddr("192.0.2.7"), 9000, 1)
	for _, row := range []struct {
		at, text string
		command  uint32
		location uint32
	}{{"7", rule, insertRule, 7}, {ofDriver, rule, insertRule, anyPlace}, {"7", absent, deleteRule, 7}} {
		buf, err := ruleOrder(row.at, row.text)
		if err != nil {
			t.Fatal(err)
		}
		word := func(at int) uint32 { return binary.NativeEndian.Uint32(buf[at:]) }
		if len(buf) != rxnfcSize || word(0) != row.command || word(rxnfcSpec+specAt) != row.location {
			t.Errorf("%s %s: %x", row.at, short(row.text), buf)
		}
		if got := hex.EncodeToString(buf[rxnfcSpec : rxnfcSpec+specAt]); row.text != absent && got != rule[:2*specAt] {
			t.Errorf("%s: %s", row.at, got)
		}
	}
	for _, bad := range [][2]string{{"x", rule}, {"-1", rule}, {"4294967296", absent}, {"1", "aa"}, {"1", rule + "00"}} {
		if _, err := ruleOrder(bad[0], bad[1]); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// FuzzSameFlow: whatever a driver or a journal has for a rule, it is the same as itself where it is one, and sameness goes both ways.
func FuzzSameFlow(f *testing.F) {
	rule := flow(netip.MustParseAddr("192.0.2.7"), 9000, 1)
	f.Add(rule, rule)
	f.Add(rule, "zz")
	f.Fuzz(func(t *testing.T, a, b string) {
		if sameFlow(a, b) != sameFlow(b, a) || sameFlow(a, b) && !sameFlow(a, a) {
			t.Errorf("%q and %q", a, b)
		}
	})
}

// A driver may fill in what isn't matched, and the location; anything else is another rule.
func TestSameFlow(t *testing.T) {
	asked := flow(netip.MustParseAddr("192.0.2.7"), 9000, 1)
	changed := func(at int) string {
		b, _ := hex.DecodeString(asked)
		b[at] ^= 1
		return hex.EncodeToString(b)
	}
	for at, want := range map[int]bool{
		0: false, flowAt: false, flowAt + sourceIP4 + 3: false, flowAt + ports4: false, flowAt + ports4 + 2: true, flowAt + 4: true, masksAt: false, masksAt + 4: false,
		queueAt: false, queueAt + 7: false, specAt: true,
	} {
		if got := sameFlow(asked, changed(at)); got != want {
			t.Errorf("byte %d: %v", at, got)
		}
	}
	if sameFlow(asked, "") || sameFlow("xyz", asked) || !sameFlow(asked, asked) {
		t.Error("no rule is the same as one")
	}
}
