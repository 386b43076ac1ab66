package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// anyChannels stands for "combined", or for "rx" and "tx" where a driver has no combined channels.
const anyChannels = ""

// Limits of the MTU: IPv4's least (https://www.rfc-editor.org/rfc/rfc791#section-3.2) and its longest packet.
const (
	leastMTU = 68
	mostMTU  = 65535
)

// keysOf are the names that each group takes; features are the kernel's to know.
var keysOf = map[Group][]string{
	Channels: {"rx", "tx", "combined"},
	Ring:     {"rx", "tx", "rx-mini", "rx-jumbo"},
	Coalesce: names(coalesceFields),
	Pause:    {"rx", "tx", "autoneg"},
}

// example is a text that a group takes.
var example = map[Group]string{
	Feature: "tx-scatter-gather=on", Channels: "2, or rx=2,tx=2", Ring: "rx=512,tx=512", Coalesce: "rx-usecs=8,adaptive-rx=off",
	Pause: "rx=off,tx=off,autoneg=off", MTU: "3000",
}

// Add reads text as changes of a group and takes them over. Features are NAME=on or NAME=off; the MTU is a number; channels may be
// one; the others are lists of KEY=VALUE. The error is [ErrSyntax].
func (c Change) Add(g Group, text string) error {
	found, err := parse(g, text)
	if err != nil {
		return err
	}
	for k, v := range found {
		if old, twice := c[g][k]; twice && old != v {
			return fmt.Errorf("%w: %s is both %s and %s: choose one", ErrSyntax, Name(g, k), old, v)
		}
		if c[g] == nil {
			c[g] = Values{}
		}
		c[g][k] = v
	}
	if n, alone := c[g][anyChannels]; g == Channels && alone && len(c[g]) > 1 {
		rest := maps.Clone(c[g])
		delete(rest, anyChannels)
		return fmt.Errorf("%w: channels are both %s and %s: choose one", ErrSyntax, n, rest)
	}
	return nil
}

// check finds groups that nobody can ask for.
func (c Change) check() error {
	for g := range c {
		if !slices.Contains(order, g) {
			return fmt.Errorf("%w: %s can't be asked for, it is only put back", ErrSyntax, g)
		}
	}
	return nil
}

func parse(g Group, text string) (Values, error) {
	switch {
	case g == MTU:
		return parseAlone(g, text, leastMTU, mostMTU)
	case g == Channels && !strings.Contains(text, "="):
		return parseAlone(g, text, 1, mostNumber)
	}
	found := Values{}
	for part := range strings.SplitSeq(text, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: %q: write it as in %s", ErrSyntax, text, example[g])
		}
		if known := keysOf[g]; known != nil && !slices.Contains(known, k) {
			return nil, fmt.Errorf("%w: %s %q: choose one of %s", ErrSyntax, g, k, strings.Join(known, ", "))
		}
		if _, twice := found[k]; twice {
			return nil, fmt.Errorf("%w: %s is given twice in %q: choose one", ErrSyntax, Name(g, k), text)
		}
		if err := checkValue(g, k, v); err != nil {
			return nil, err
		}
		found[k] = v
	}
	return found, nil
}

const mostNumber = 1 << 20 // more descriptors, channels or microseconds than any NIC has

func parseAlone(g Group, text string, least, most uint64) (Values, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < least || n > most {
		return nil, fmt.Errorf("%w: %s %q: must be a number from %d to %d, as in %s", ErrSyntax, g, text, least, most, example[g])
	}
	return Values{"": strconv.FormatUint(n, 10)}, nil
}

func checkValue(g Group, k, v string) error {
	if g == Feature || g == Pause || g == Coalesce && isSwitch(k) {
		if v != on && v != off {
			return fmt.Errorf("%w: %s=%s: choose on or off", ErrSyntax, k, v)
		}
		return nil
	}
	least := uint64(1)
	if g == Coalesce {
		least = 0
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n < least || n > mostNumber || strconv.FormatUint(n, 10) != v {
		return fmt.Errorf("%w: %s=%s: must be a number from %d to %d", ErrSyntax, k, v, least, mostNumber)
	}
	return nil
}

func isSwitch(coalesce string) bool { return strings.HasPrefix(coalesce, "adaptive-") }

// aliases are names that the ethtool program has for features of the kernel.
var aliases = map[string]string{
	"tso": "tx-tcp-segmentation", "gso": "tx-generic-segmentation", "gro": "rx-gro", "lro": "rx-lro", "sg": "tx-scatter-gather",
	"tx": "tx-checksum-ip-generic", "rx": "rx-checksum", "rxvlan": "rx-vlan-hw-parse", "txvlan": "tx-vlan-hw-insert", "ntuple": "rx-ntuple-filter", "rxhash": "rx-hashing",
	"tx-checksumming": "tx-checksum-ip-generic", "rx-checksumming": "rx-checksum", "scatter-gather": "tx-scatter-gather",
	"tcp-segmentation-offload": "tx-tcp-segmentation", "generic-segmentation-offload": "tx-generic-segmentation",
	"generic-receive-offload": "rx-gro", "large-receive-offload": "rx-lro", "ntuple-filters": "rx-ntuple-filter", "receive-hashing": "rx-hashing",
}

// closest is a hint for a feature that isn't there.
func closest(name string, features Values) string {
	if is, ok := aliases[name]; ok {
		return fmt.Sprintf("the kernel calls it %s", is)
	}
	var near []string
	for _, k := range features.keys() {
		if strings.Contains(k, name) {
			near = append(near, k)
		}
	}
	if len(near) > 0 && len(near) <= 8 {
		return "did you mean " + strings.Join(near, ", ") + "?"
	}
	return "\"ethtool -k\" lists those that exist, less some that it renames"
}
