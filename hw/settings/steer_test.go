package settings

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

var peer = netip.MustParseAddr("192.0.2.7")

// steer is a run of n's that brings answers to the first queues.
func (n *nic) steer(queues int, c Change) Config {
	cfg := n.config(c)
	cfg.Steer = &Steer{Peer: peer, Port: 9000, Queues: queues}
	return cfg
}

// Which way there is follows from what the NIC is and has.
func TestWays(t *testing.T) {
	for _, row := range []struct {
		name   string
		queues int
		edit   func(*nic)
		want   []Way
		why    string
	}{
		{"a rule, else the table", 1, nil, []Way{WayRule, WayRSS}, ""},
		{"two queues", 2, nil, []Way{WayRSS}, "names one queue, not 2"},
		{"all queues", 4, nil, []Way{WayAll}, ""},
		{"more than all", 5, nil, []Way{WayAll}, ""},
		{"no feature", 1, func(n *nic) { delete(n.state[Feature], ntuple) }, []Way{WayRSS}, "rx-ntuple-filter is not there"},
		{"never the feature", 1, func(n *nic) { n.state[Feature][ntuple] = off + fixedMark }, []Way{WayRSS}, "rx-ntuple-filter is off [fixed]"},
		{"always the feature", 1, func(n *nic) { n.state[Feature][ntuple] = on + fixedMark }, []Way{WayRule, WayRSS}, ""},
		{"unreadable rules", 1, func(n *nic) { delete(n.state, Rule) }, []Way{WayRSS}, "rules can't be read: operation not supported"},
		{"no location", 1, func(n *nic) { n.most[Rule] = nil }, []Way{WayRSS}, "none of 0 locations"},
		{"all locations taken", 1, func(n *nic) { n.most[Rule] = Values{"": "1"}; n.state[Rule] = Values{"0": "aa"} }, []Way{WayRSS}, "none of 1 locations"},
		{"the driver's location", 1, func(n *nic) { n.most[Rule] = Values{ofDriver: on} }, []Way{WayRule, WayRSS}, ""},
		{"unreadable table", 1, func(n *nic) { delete(n.state, RSS) }, []Way{WayRule}, "table can't be read"},
		{"no table", 1, func(n *nic) { delete(n.state[RSS], "table") }, []Way{WayRule}, "no indirection table"},
		{"nothing", 2, func(n *nic) { delete(n.state, RSS) }, nil, "table can't be read"},
		{"no channels", 2, func(n *nic) { delete(n.state, Channels) }, []Way{WayAll}, ""}, // the interface says 2
	} {
		n := newNIC(t)
		if row.edit != nil {
			row.edit(n)
		}
		now, err := kernel(n.do).snapshot("eth1", 7)
		if err != nil {
			t.Fatal(err)
		}
		list, cant := Steer{Peer: peer, Queues: row.queues}.ways(hw.Interface{Name: "eth1", RxQueues: 2}, now)
		var got []Way
		for _, w := range list {
			got = append(got, w.Way)
		}
		if !slices.Equal(got, row.want) || !strings.Contains(strings.Join(cant, "; "), row.why) {
			t.Errorf("%s: %v, %q, want %v, %q", row.name, got, cant, row.want, row.why)
		}
	}
}

// Every way is there in mid-run, told of, and gone afterwards.
func TestSteerThereAndBack(t *testing.T) {
	text := "tcp from 192.0.2.7:9000 to queue 0"
	for _, row := range []struct {
		name   string
		queues int
		edit   func(*nic)
		want   []Setting
		groups []Group
	}{
		{"rule", 1, nil, []Setting{{Name: "steer", Requested: "queue 0", Before: off, Active: "ntuple"}, {Name: "rule.15", Requested: text, Before: absent, Active: text}}, []Group{Rule}},
		{"rule of a driver's", 1, func(n *nic) { n.most[Rule] = Values{ofDriver: on} },
			[]Setting{{Name: "steer", Requested: "queue 0", Before: off, Active: "ntuple"}, {Name: "rule.100", Requested: text, Before: absent, Active: text}}, []Group{Rule}},
		{"rule and feature", 1, func(n *nic) { n.state[Feature][ntuple] = off; n.state[Rule] = Values{} },
			[]Setting{
				{Name: "steer", Requested: "queue 0", Before: off, Active: "ntuple"}, {Name: "rule.15", Requested: text, Before: absent, Active: text},
				{Name: ntuple, Before: off, Active: on},
			}, []Group{Feature, Rule}},
		{"rule that is there", 1, func(n *nic) { n.state[Rule]["4"] = edited(flow(peer, 9000, 0), specAt, 4) },
			[]Setting{{Name: "steer", Requested: "queue 0", Before: off, Active: "ntuple"}, {Name: "rule.4", Requested: text, Before: text, Active: text}}, nil},
		{"table", 2, nil, []Setting{{Name: "steer", Requested: "queues 0 to 1", Before: off, Active: "rss"}, {Name: "rss.table", Requested: "0 1 0 1", Before: "0 1 2 3", Active: "0 1 0 1"}}, []Group{RSS}},
		{"all", 4, nil, []Setting{{Name: "steer", Requested: "queues 0 to 3", Before: off, Active: "all"}}, nil},
	} {
		n := newNIC(t)
		if row.edit != nil {
			row.edit(n)
		}
		before := n.copy()
		cfg := n.steer(row.queues, nil)
		r := begin(t, cfg)
		if got := r.Settings(); !slices.Equal(got, row.want) || !slices.Equal(n.groups(), row.groups) {
			t.Errorf("%s: %+v by %v, want %+v by %v", row.name, got, n.groups(), row.want, row.groups)
		}
		if s := r.Steering(); string(s.Way) != row.want[0].Active || s.Evidence == "" {
			t.Errorf("%s: %+v", row.name, s)
		}
		if journals, _ := Pending(cfg.StateDir); len(journals) != min(1, len(row.groups)) {
			t.Errorf("%s: journals %v", row.name, journals)
		}
		if out, err := r.Restore(); err != nil || !out.Exact {
			t.Errorf("%s: %v, %v", row.name, out, err)
		}
		if diff := before.Diff(n.copy()); len(diff) > 0 {
			t.Errorf("%s: afterwards %v", row.name, diff)
		}
	}
}

// A run that is killed leaves a journal, from which a guardian takes steering back.
func TestSteeringOfAKilledRun(t *testing.T) {
	for _, queues := range []int{1, 2} {
		n := newNIC(t)
		before := n.copy()
		cfg := n.steer(queues, nil)
		r := begin(t, cfg)
		journals, err := Pending(cfg.StateDir)
		if err != nil || len(journals) != 1 || journals[0].Steer == nil || journals[0].Steer.Queues != queues {
			t.Fatalf("%+v, %v", journals, err)
		}
		out, err := journals[0].restore(restorer{n.do, func(string) {}, 1})
		if diff := before.Diff(n.copy()); err != nil || !out.Exact || len(diff) > 0 {
			t.Errorf("%v, %v, %v", out, err, diff)
		}
		if _, err := r.Restore(); err != nil {
			t.Error(err)
		}
	}
}

// refusing answers orders of these groups with an errno.
func refusing(errno error, groups ...Group) func(request) error {
	return func(r request) error {
		if slices.Contains(groups, r.group) {
			return errno
		}
		return nil
	}
}

// Whatever errno a rule is refused with, the table is tried; where that is refused too, the error has both reasons and the remedy, and all is as before.
func TestSteerRefused(t *testing.T) {
	for errno := range errnos {
		n := newNIC(t)
		n.answer = refusing(errno, Rule)
		r := begin(t, n.steer(1, nil))
		if r.Steering().Way != WayRSS || n.state[RSS]["table"] != "0 0 0 0" {
			t.Errorf("%v: %+v", errno, r.Settings())
		}
		n.answer = nil
		if out, err := r.Restore(); err != nil || !out.Exact {
			t.Errorf("%v: %v, %v", errno, out, err)
		}

		n = newNIC(t)
		n.state[Feature][ntuple], n.state[Rule] = off, Values{}
		before := n.copy()
		n.answer = refusing(errno, Rule, RSS)
		cfg := n.steer(1, nil)
		r, err := Begin(t.Context(), cfg)
		if err == nil {
			t.Fatalf("%v: begun: %+v", errno, r.Settings())
		}
		for _, text := range []string{"lo: steer answers of 192.0.2.7 to queue 0: refused", "ntuple: ", "rss: ", unix.ErrnoName(errno), "leave --queues out: all queues are bound"} {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%v: no %q in %q", errno, text, err)
			}
		}
		left, _ := os.ReadDir(cfg.StateDir)
		if diff := before.Diff(n.copy()); !errors.Is(err, ErrRefused) || len(diff) > 0 || len(left) > 0 {
			t.Errorf("%v: %v, afterwards %v, left %v", errno, err, diff, left)
		}
	}
}

// What a NIC hasn't got at all is refused before anything is written or changed.
func TestSteerImpossible(t *testing.T) {
	n := newNIC(t)
	delete(n.state, RSS)
	cfg := n.steer(2, change(t, "mtu", "1400"))
	_, err := Begin(t.Context(), cfg)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "names one queue, not 2; rss: the indirection table can't be read") || len(n.ordered) > 0 {
		t.Errorf("%v, ordered %v", err, n.groups())
	}
	for _, bad := range []Steer{{Peer: peer}, {Queues: 1}} {
		cfg.Steer = &bad
		if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrSyntax) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A driver that answers yes and does something else is not believed, and what it did is taken back before the next way is tried.
func TestSteerReadsBack(t *testing.T) {
	for name, spoil := range map[string]func(spec string) string{
		"forgotten":   func(string) string { return "" },
		"other queue": func(s string) string { return edited(s, queueAt, 3) },
		"other port":  func(s string) string { return edited(s, flowAt+ports4, 1) },
		"wider":       func(s string) string { return edited(s, masksAt+ports4, 0) },
	} {
		n := newNIC(t)
		before := n.copy()
		n.obey = func(g Group, _, v string) string {
			if g == Rule && v != absent {
				return spoil(v)
			}
			return v
		}
		r := begin(t, n.steer(1, nil))
		if _, there := n.state[Rule]["15"]; there || r.Steering().Way != WayRSS {
			t.Errorf("%s: %+v, rules %v", name, r.Settings(), n.state[Rule])
		}
		out, err := r.Restore()
		if diff := before.Diff(n.copy()); err != nil || !out.Exact || len(diff) > 0 {
			t.Errorf("%s: %v, %v, %v", name, out, err, diff)
		}
	}
	n := newNIC(t)
	n.obey = func(g Group, _, v string) string {
		if g == RSS && v == "0 1 0 1" {
			return "0 1 2 1"
		}
		return v
	}
	if _, err := Begin(t.Context(), n.steer(2, nil)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "the driver made the table 0 1 2 1") {
		t.Error(err)
	}
}

func edited(spec string, at int, to byte) string {
	b, _ := hex.DecodeString(spec)
	b[at] = to
	return hex.EncodeToString(b)
}

// A rule is matched by what counts: a driver may write other things into it.
func TestSteerByARuleThatTheDriverCompletes(t *testing.T) {
	n := newNIC(t)
	n.obey = func(g Group, _, v string) string {
		if g == Rule && v != absent {
			return edited(edited(v, specAt, 15), flowAt+4, 9)
		}
		return v
	}
	if r := begin(t, n.steer(1, nil)); r.Steering().Way != WayRule {
		t.Errorf("%+v", r.Settings())
	}
}

// Steering needs force on the interface that the machine is reached by, unless there is nothing to steer.
func TestSteerNeedsForce(t *testing.T) {
	reached := &dangers{carries: func(int) (string, error) { return "it carries the default route", nil }, addresses: harmless().addresses}
	for queues, want := range map[int]bool{1: true, 2: true, 4: false} {
		n := newNIC(t)
		if queues == 1 { // nothing but a rule
			delete(n.state, RSS)
		}
		cfg := n.steer(queues, nil)
		cfg.dangers = reached
		r, err := Begin(t.Context(), cfg)
		if errors.Is(err, ErrForce) != want || want && len(n.ordered) > 0 || want && !strings.Contains(err.Error(), "set r") {
			t.Errorf("%d queues: %v, ordered %v", queues, err, n.groups())
		}
		if err == nil {
			_, err = r.Restore()
		} else {
			cfg.Force = true
			_, err = begin(t, cfg).Restore()
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// Ways are chosen by the queues that there are behind a change of channels.
func TestSteerBehindChannels(t *testing.T) {
	n := newNIC(t)
	before := n.copy()
	r := begin(t, n.steer(2, change(t, "channels", "2")))
	if r.Steering().Way != WayAll {
		t.Errorf("%+v", r.Settings())
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Errorf("%v, %v", out, err)
	}
	if diff := before.Diff(n.copy()); len(diff) > 0 {
		t.Error(diff)
	}
}
