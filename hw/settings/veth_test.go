package settings

import (
	"slices"
	"strings"
	"testing"
)

// thrice changes features with dependencies, channels and the MTU of a veth: all that it can.
var thrice = []string{"feature", "tx-scatter-gather=on", "feature", "rx-gro=on", "channels", "2", "mtu", "1400"}

// Every change of every feature that a veth lets go, one at a time: seen by a second reader while it is there, and gone afterwards.
func TestEachFeatureThereAndBack(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	tried := 0
	for _, k := range before.Values[Feature].keys() {
		state := before.Values[Feature][k]
		if isFixed(state) {
			continue
		}
		want := on
		if active(state) == on {
			want = off
		}
		tried++
		c := r.start(job{Change: change(t, "feature", k+"="+want), Hold: true})
		if said := c.line(); said != "set" { // what depends on another feature is refused, and nothing stays
			_, _ = c.rest()
			if !strings.Contains(c.complaint.String(), "set "+k+"="+want+": refused") || wanted(r.snapshot().Values[Feature][k]) != wanted(state) {
				t.Errorf("%s=%s: %q: %s", k, want, said, c.complaint.String())
			}
			t.Log(c.complaint.String())
		} else if got := r.second(Feature, k); got != want {
			t.Errorf("%s is %s in mid-run, want %s", k, got, want)
		}
		c.in.Close()
		lines, _ := c.rest()
		if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "restored: exact (") }) && !strings.Contains(c.complaint.String(), "refused") {
			t.Errorf("%s: %q: %s", k, lines, c.complaint.String())
		}
		if diff := before.Diff(r.snapshot()); len(diff) > 0 {
			t.Errorf("%s: afterwards %v", k, diff)
		}
	}
	if tried < 10 {
		t.Errorf("only %d features can be changed", tried)
	}
}

func TestVethThereAndBack(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	c := r.start(job{Change: change(t, thrice...), Hold: true, Guardian: true})
	if said := c.line(); said != "set" {
		_, err := c.rest()
		t.Fatalf("%q, %v: %s", said, err, c.complaint.String())
	}
	for _, row := range []struct {
		g         Group
		key, want string
	}{
		{Feature, "tx-scatter-gather", on}, {Feature, "tx-tcp-segmentation", on}, {Feature, "tx-generic-segmentation", on}, {Feature, "rx-gro", on},
		{Channels, "rx", "2"}, {Channels, "tx", "2"}, {MTU, "", "1400"},
	} {
		if got := r.second(row.g, row.key); got != row.want {
			t.Errorf("%s is %s in mid-run, want %s", Name(row.g, row.key), got, row.want)
		}
	}
	c.in.Close()
	lines, err := c.rest()
	if err != nil || len(lines) != 1 || !strings.HasPrefix(lines[0], "restored: exact (") {
		t.Errorf("%q, %v: %s", lines, err, c.complaint.String())
	}
	t.Log(lines)
	if diff := before.Diff(r.snapshot()); len(diff) > 0 {
		t.Errorf("afterwards %v", diff)
	}
	for _, row := range []struct {
		g         Group
		key, want string
	}{{Feature, "tx-scatter-gather", off}, {Feature, "tx-tcp-segmentation", off}, {Channels, "rx", "4"}, {MTU, "", "1500"}} {
		if got := r.second(row.g, row.key); got != row.want {
			t.Errorf("%s is %s afterwards, want %s", Name(row.g, row.key), got, row.want)
		}
	}
	if left := r.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
