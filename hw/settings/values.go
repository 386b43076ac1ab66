package settings

import (
	"maps"
	"slices"
	"strings"
)

// Group is what the kernel reads and changes in one go.
type Group string

// The groups. Those from RSS on are put back and can't be asked for.
const (
	Feature  Group = "feature"  // by their kernel names: on, off, as "ethtool -k" prints them
	Channels Group = "channels" // rx, tx, other, combined
	Ring     Group = "ring"     // rx, rx-mini, rx-jumbo, tx: descriptors
	Coalesce Group = "coalesce" // as "ethtool -C" spells them
	Pause    Group = "pause"    // autoneg, rx, tx
	MTU      Group = "mtu"      // bytes: "" is the interface's own, the others are those of the VLAN devices on it
	RSS      Group = "rss"      // table, key, hash
	Rule     Group = "rule"     // ntuple rules by their location
	NAPI     Group = "napi"     // files of /sys/class/net/NAME
)

// order is that of changes; putting back begins at its end.
var order = []Group{Feature, Channels, Ring, Coalesce, Pause, MTU}

// consequences are the groups that no one asks to change and that changes of others do.
var consequences = []Group{RSS, Rule, NAPI}

// all are the groups of a snapshot.
var all = append(slices.Clone(order), consequences...)

// Values are settings of one group by their names.
type Values map[string]string

// keys are the names in order.
func (v Values) keys() []string { return slices.Sorted(maps.Keys(v)) }

// String is "rx=512,tx=512".
func (v Values) String() string {
	var parts []string
	for _, k := range v.keys() {
		if k == "" {
			parts = append(parts, v[k])
			continue
		}
		parts = append(parts, k+"="+v[k])
	}
	return strings.Join(parts, ",")
}

// Name is a setting's name in reports: a feature's own, "mtu", or "ring.rx".
func Name(g Group, key string) string {
	switch {
	case g == Feature:
		return key
	case key == "":
		return string(g)
	}
	return string(g) + "." + key
}

// Change is what a run wants to be set; empty is nothing.
type Change map[Group]Values

// The state of a feature reads as "ethtool -k" prints it: "on", "off", "off [requested on]", "on [fixed]".
const (
	on, off      = "on", "off"
	fixedMark    = " [fixed]"
	requestedOn  = " [requested on]"
	requestedOff = " [requested off]"
)

func onOff(b bool) string {
	if b {
		return on
	}
	return off
}

// featureState is how a feature reads.
func featureState(wanted, active, fixed bool) string {
	s := onOff(active)
	switch {
	case fixed:
		return s + fixedMark
	case wanted && !active:
		return s + requestedOn
	case !wanted && active:
		return s + requestedOff
	}
	return s
}

// wanted is the part of a feature's state that can be set.
func wanted(state string) string {
	switch {
	case strings.HasSuffix(state, requestedOn):
		return on
	case strings.HasSuffix(state, requestedOff):
		return off
	}
	return active(state)
}

// active is the part of a feature's state that counts.
func active(state string) string {
	first, _, _ := strings.Cut(state, " ")
	return first
}

func isFixed(state string) bool { return strings.HasSuffix(state, fixedMark) }
