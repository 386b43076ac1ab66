package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// nic stands in for the kernel and a driver.
type nic struct {
	t     *testing.T
	state map[Group]Values
	most  map[Group]Values

	answer  func(request) error               // what an order is answered with instead of being obeyed; nil, or an error of nil = obeyed
	obey    func(g Group, k, v string) string // what becomes of a value; nil = what was asked for
	after   func(*nic, request)               // told of each order that was obeyed
	ordered []request
}

// newNIC has everything; tx-scatter-gather takes TSO and GSO along, and needs a checksum.
func newNIC(t *testing.T) *nic {
	n := &nic{t: t, state: map[Group]Values{
		Feature: {
			"tx-checksum-ip-generic": off, "tx-scatter-gather": off + requestedOn, "tx-tcp-segmentation": off + requestedOn,
			"tx-generic-segmentation": off, "rx-gro": on, "rx-lro": off, "rx-ntuple-filter": on, "highdma": on + fixedMark, "tx-lockless": off + fixedMark,
		},
		Channels: {"rx": "0", "tx": "0", "other": "1", "combined": "4"},
		Ring:     {"rx": "512", "rx-mini": "0", "rx-jumbo": "0", "tx": "512"},
		Coalesce: {},
		Pause:    {"autoneg": on, "rx": on, "tx": off},
		MTU:      {"": "1500", "vlan7": "1500"},
		RSS:      {"table": "0 1 2 3", "key": "a1b2", "hash": "1"},
		Rule:     {"3": "aa", "9": "bb"},
		NAPI:     {"gro_flush_timeout": "0", "napi_defer_hard_irqs": "0", "threaded": "0"},
	}, most: map[Group]Values{Channels: {"rx": "0", "tx": "0", "combined": "8"}, Ring: {"rx": "4096", "tx": "4096", "rx-mini": "0", "rx-jumbo": "0"}, Rule: {"": "16"}}}
	for _, f := range coalesceFields {
		n.state[Coalesce][f.name] = "3"
		if isSwitch(f.name) {
			n.state[Coalesce][f.name] = off
		}
	}
	return n
}

func (n *nic) do(r request) (reply, error) {
	if !r.set {
		v, there := n.state[r.group]
		if !there {
			return reply{}, unix.EOPNOTSUPP
		}
		return reply{values: maps.Clone(v), most: n.most[r.group]}, nil
	}
	n.ordered = append(n.ordered, r)
	if n.answer != nil {
		if err := n.answer(r); err != nil {
			return reply{}, err
		}
	}
	for _, k := range r.values.keys() {
		v := r.values[k]
		if n.obey != nil {
			v = n.obey(r.group, k, v)
		}
		n.take(r.group, k, v)
	}
	n.depend()
	n.follow(r)
	if n.after != nil {
		n.after(n, r)
	}
	return reply{}, nil
}

func (n *nic) take(g Group, k, v string) {
	old, there := n.state[g][k]
	switch {
	case g == Rule && v == absent:
		delete(n.state[g], k)
	case g == Rule && k == ofDriver:
		n.state[g]["100"] = v
	case g == Feature && !there, g != Rule && !there:
		n.t.Errorf("set %s, which isn't there", Name(g, k))
	case g == Feature && isFixed(old):
		n.t.Errorf("set %s, which is %s", k, old)
	case g == Feature:
		n.state[g][k] = featureState(v == on, active(old) == on, false)
	default:
		n.state[g][k] = v
	}
}

// depend is the kernel's netdev_fix_features, for what is here.
func (n *nic) depend() {
	f := n.state[Feature]
	needs := map[string]string{"tx-scatter-gather": "tx-checksum-ip-generic", "tx-tcp-segmentation": "tx-scatter-gather", "tx-generic-segmentation": "tx-scatter-gather"}
	for _, k := range []string{"tx-checksum-ip-generic", "tx-scatter-gather", "tx-tcp-segmentation", "tx-generic-segmentation", "rx-gro", "rx-lro", "rx-ntuple-filter"} {
		if isFixed(f[k]) {
			continue
		}
		want := wanted(f[k]) == on
		need := needs[k]
		f[k] = featureState(want, want && (need == "" || active(f[need]) == on), false)
	}
	if active(f["rx-ntuple-filter"]) == off && n.state[Rule] != nil {
		n.state[Rule] = Values{}
	}
}

// follow is what drivers do to settings that nobody named.
func (n *nic) follow(r request) {
	switch r.group {
	case Channels: // rings are made anew, with coalescing and table of the default
		n.state[Coalesce]["rx-usecs"] = "50"
		count, _ := strconv.Atoi(n.state[Channels]["combined"])
		var table []string
		for i := range 4 {
			table = append(table, strconv.Itoa(i%max(count, 1)))
		}
		n.state[RSS]["table"] = fmt.Sprint(table[0], " ", table[1], " ", table[2], " ", table[3])
	case MTU:
		if mtu, ok := r.values[""]; ok {
			have, _ := strconv.Atoi(n.state[MTU]["vlan7"])
			most, _ := strconv.Atoi(mtu)
			n.state[MTU]["vlan7"] = strconv.Itoa(min(have, most))
		}
	}
}

// copy is the state as a snapshot.
func (n *nic) copy() Snapshot {
	s := Snapshot{Values: map[Group]Values{}}
	for g, v := range n.state {
		s.Values[g] = maps.Clone(v)
	}
	return s
}

// groups are those that were ordered, in order.
func (n *nic) groups() (list []Group) {
	for _, r := range n.ordered {
		list = append(list, r.group)
	}
	return list
}

func harmless() *dangers {
	return &dangers{carries: func(int) (string, error) { return "", nil }, addresses: func(int) (int, error) { return 0, nil }}
}

// config is for the loopback, of which nothing is changed: n answers.
func (n *nic) config(c Change) Config {
	return Config{Interface: "lo", Change: c, StateDir: n.t.TempDir(), do: n.do, dangers: harmless(), patience: patience{restore: 1, guardian: 1}}
}

// change reads what flags would say.
func change(t *testing.T, texts ...string) Change {
	t.Helper()
	c := Change{}
	for i := 0; i < len(texts); i += 2 {
		if err := c.Add(Group(texts[i]), texts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func begin(t *testing.T, cfg Config) *Run {
	t.Helper()
	r, err := Begin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func setting(t *testing.T, r *Run, name string) Setting {
	t.Helper()
	i := slices.IndexFunc(r.Settings(), func(s Setting) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no setting %s in %+v", name, r.Settings())
	}
	return r.Settings()[i]
}
