package settings

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestAdd(t *testing.T) {
	for _, row := range []struct {
		group Group
		text  string
		want  string // "" = an error
	}{
		{Feature, "rx-gro=on", "rx-gro=on"}, {Feature, "rx-gro=on,rx-lro=off", "rx-gro=on,rx-lro=off"},
		{Feature, "rx-gro", ""}, {Feature, "=on", ""}, {Feature, "rx-gro=", ""}, {Feature, "rx-gro=ON", ""}, {Feature, "", ""}, {Feature, "rx-gro=on,", ""},
		{Channels, "2", "2"}, {Channels, "combined=4", "combined=4"}, {Channels, "rx=1,tx=2", "rx=1,tx=2"},
		{Channels, "0", ""}, {Channels, "-1", ""}, {Channels, "rx=0", ""}, {Channels, "other=1", ""}, {Channels, "", ""}, {Channels, "4294967297", ""},
		{Ring, "rx=64,tx=1048576", "rx=64,tx=1048576"}, {Ring, "rx=1048577", ""}, {Ring, "rx=+5", ""}, {Ring, "rx=05", ""}, {Ring, "rx=5,rx=5", ""}, {Ring, "64", ""},
		{Coalesce, "rx-usecs=0,adaptive-rx=on", "adaptive-rx=on,rx-usecs=0"}, {Coalesce, "adaptive-tx=0", ""}, {Coalesce, "rx-usecs=on", ""}, {Coalesce, "usecs=1", ""},
		{Pause, "rx=on,tx=off,autoneg=on", "autoneg=on,rx=on,tx=off"}, {Pause, "rx=1", ""}, {Pause, "all=on", ""},
		{MTU, "68", "68"}, {MTU, "65535", "65535"}, {MTU, "67", ""}, {MTU, "65536", ""}, {MTU, "1.5k", ""}, {MTU, "", ""}, {MTU, "rx=5", ""},
	} {
		c := Change{}
		err := c.Add(row.group, row.text)
		if row.want == "" {
			if !errors.Is(err, ErrSyntax) || len(c) != 0 || !strings.Contains(err.Error(), strings.Split(row.text, "=")[0]) {
				t.Errorf("%s %q: %v, %v", row.group, row.text, c, err)
			}
			continue
		}
		if err != nil || c[row.group].String() != row.want {
			t.Errorf("%s %q: %v, %v, want %s", row.group, row.text, c, err, row.want)
		}
	}
}

// The same twice is once, the opposite is an error, and what was there stays.
func TestAddAgain(t *testing.T) {
	c := change(t, "mtu", "1400", "feature", "rx-gro=on", "feature", "rx-gro=on", "feature", "rx-lro=off", "mtu", "1400")
	if err := c.Add(MTU, "1500"); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "mtu is both 1400 and 1500") {
		t.Error(err)
	}
	if !maps.Equal(c[Feature], Values{"rx-gro": on, "rx-lro": off}) || !maps.Equal(c[MTU], Values{"": "1400"}) {
		t.Errorf("%v", c)
	}
}

// What is only put back can't be asked for.
func TestConsequencesCannotBeAskedFor(t *testing.T) {
	n := newNIC(t)
	for _, g := range consequences {
		if _, err := Begin(t.Context(), n.config(Change{g: Values{"key": "00"}})); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", g, err)
		}
	}
}

func TestFeatureState(t *testing.T) {
	for _, row := range []struct {
		wanted, active, fixed bool
		text, set             string
	}{
		{true, true, false, "on", on}, {false, false, false, "off", off}, {true, false, false, "off [requested on]", on}, {false, true, false, "on [requested off]", off},
		{false, true, true, "on [fixed]", on}, {false, false, true, "off [fixed]", off},
	} {
		s := featureState(row.wanted, row.active, row.fixed)
		if s != row.text || wanted(s) != row.set || active(s) != onOff(row.active) || isFixed(s) != row.fixed {
			t.Errorf("%+v: %q, wanted %s, active %s, fixed %v", row, s, wanted(s), active(s), isFixed(s))
		}
	}
}

func FuzzAdd(f *testing.F) {
	for _, text := range example {
		f.Add("feature", text)
	}
	f.Fuzz(func(t *testing.T, group, text string) {
		c := Change{}
		if err := c.Add(Group(group), text); err != nil && !errors.Is(err, ErrSyntax) {
			t.Error(err)
		}
	})
}
