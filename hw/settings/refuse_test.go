package settings

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// With Fallback what is refused is left out and labelled, wherever it is refused; everything else is set, and all of it is put back. Without it, it is an error.
func TestFallback(t *testing.T) {
	refuse := func(g Group, errno unix.Errno) func(*nic, *Config) {
		return func(n *nic, _ *Config) {
			n.answer = func(r request) error {
				if r.group == g && len(n.groups()) < 3 {
					return errno
				}
				return nil
			}
		}
	}
	reached := &dangers{carries: func(int) (string, error) { return "it carries the default route", nil }, addresses: harmless().addresses}
	for name, row := range map[string]struct {
		group, text string
		edit        func(*nic, *Config)
		setting     string
		active, why string
		is          error
	}{
		"no such feature":    {"feature", "nonsense=on", nil, "nonsense", absent, "no such feature", ErrRefused},
		"fixed feature":      {"feature", "highdma=off", nil, "highdma", "on [fixed]", "doesn't let it be changed", ErrRefused},
		"feature, silently":  {"feature", "rx-lro=on", func(n *nic, _ *Config) { n.obey = keeps("rx-lro", off) }, "rx-lro", off, "the kernel keeps it off", ErrRefused},
		"feature, by errno":  {"feature", "rx-lro=on", refuse(Feature, unix.EINVAL), "rx-lro", off, "EINVAL", ErrRefused},
		"ring, by errno":     {"ring", "rx=1024", refuse(Ring, unix.EINVAL), "ring.rx", "512", "EINVAL", ErrRefused},
		"ring, too many":     {"ring", "tx=9999", nil, "ring.tx", "512", "takes at most 4096", ErrRefused},
		"channels":           {"channels", "tx=2", nil, "channels.tx", "0", "no tx channels", ErrRefused},
		"coalescing":         {"coalesce", "rx-usecs=9", refuse(Coalesce, unix.EOPNOTSUPP), "coalesce.rx-usecs", "3", "ENOTSUP", ErrRefused},
		"pause, unreadable":  {"pause", "rx=off", func(n *nic, _ *Config) { delete(n.state, Pause) }, "pause.rx", absent, "doesn't tell it", ErrRefused},
		"MTU, by errno":      {"mtu", "9000", refuse(MTU, unix.EINVAL), "mtu", "1500", "EINVAL", ErrRefused},
		"MTU, without force": {"mtu", "1400", func(_ *nic, c *Config) { c.dangers = reached }, "mtu", "1500", "--force", ErrForce},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fallback := range []bool{false, true} {
				n := newNIC(t)
				c := change(t, "feature", "rx-gro=off", row.group, row.text)
				cfg := n.config(c)
				if row.edit != nil {
					row.edit(n, &cfg)
				}
				before := n.copy()
				var said []string
				cfg.Fallback, cfg.Warn = fallback, func(s string) { said = append(said, s) }
				r, err := Begin(t.Context(), cfg)
				if !fallback {
					if !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.why) {
						t.Errorf("the control: %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				s := setting(t, r, row.setting)
				if s.Active != row.active || s.Clamped || s.Requested == "" || !strings.Contains(s.Refused, row.why) {
					t.Errorf("%+v", s)
				}
				if g := setting(t, r, "rx-gro"); g.Active != off && row.why != "EINVAL" || g.Requested != off {
					t.Errorf("%+v", g)
				}
				if len(said) != 1 || !strings.Contains(said[0], row.why) || !strings.Contains(said[0], "left out") {
					t.Errorf("said %q", said)
				}
				if out, err := r.Restore(); err != nil || !out.Exact || len(before.Diff(n.copy())) > 0 {
					t.Errorf("%v, %v, %v", out, err, before.Diff(n.copy()))
				}
				if left, _ := os.ReadDir(cfg.StateDir); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

// keeps is a driver that takes a feature and leaves it as it is.
func keeps(name, value string) func(Group, string, string) string {
	return func(_ Group, k, v string) string {
		if k == name {
			return value
		}
		return v
	}
}

// Steering that is refused, or needs force, is left out as well, and the reason is told.
func TestSteerFallback(t *testing.T) {
	reached := &dangers{carries: func(int) (string, error) { return "it carries the default route", nil }, addresses: harmless().addresses}
	for name, row := range map[string]struct {
		edit func(*nic, *Config)
		why  string
	}{
		"no way":        {func(n *nic, _ *Config) { delete(n.state, RSS) }, "rss: the indirection table can't be read"},
		"no way at all": {func(n *nic, _ *Config) { n.answer = func(request) error { return unix.EOPNOTSUPP } }, "ENOTSUP"},
		"without force": {func(_ *nic, c *Config) { c.dangers = reached }, "--force"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNIC(t)
			before := n.copy()
			cfg := n.steer(2, nil)
			row.edit(n, &cfg)
			if _, err := Begin(t.Context(), cfg); err == nil {
				t.Error("the control: begun")
			}
			cfg.Fallback = true
			n.ordered = nil
			r := begin(t, cfg)
			if s := setting(t, r, "steer"); s.Active != off || !strings.Contains(s.Refused, row.why) || r.Steering().Way != "" || r.Steering().Evidence != s.Refused {
				t.Errorf("%+v, %+v", s, r.Steering())
			}
			n.answer = nil
			if out, err := r.Restore(); err != nil || !out.Exact || name != "no way" && len(before.Diff(n.copy())) > 0 {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

// Keep journals what others may change, and puts it back.
func TestKeep(t *testing.T) {
	n := newNIC(t)
	n.state[Feature]["rx-lro"] = on
	before := n.copy()
	cfg := n.config(nil)
	cfg.Keep = true
	r := begin(t, cfg)
	if list, err := Pending(cfg.StateDir); err != nil || len(list) != 1 || len(n.ordered) > 0 {
		t.Errorf("%d journals, %v, ordered %v", len(list), err, n.ordered)
	}
	n.state[Feature]["rx-lro"] = off // as attaching a generic program does
	if out, err := r.Restore(); err != nil || !out.Exact || len(before.Diff(n.copy())) > 0 || len(n.ordered) != 1 {
		t.Errorf("%v, %v, ordered %v", out, err, n.ordered)
	}
}

// What attaching switches off is what is on and can be changed.
func TestTakenAlong(t *testing.T) {
	for state, want := range map[string]int{on: 1, off: 0, on + fixedMark: 0, off + requestedOn: 0, on + requestedOff: 1} {
		n := newNIC(t)
		n.state[Feature]["rx-lro"] = state
		if got := kernel(n.do).takenAlong("lo", 1); len(got) != want || want == 1 && got[0] != "rx-lro" {
			t.Errorf("%s: %v", state, got)
		}
	}
	n := newNIC(t)
	delete(n.state, Feature)
	if got := kernel(n.do).takenAlong("lo", 1); got != nil {
		t.Errorf("where nobody tells: %v", got)
	}
}

// Each group is either known to be harmless or needs force on the interface that the machine is reached by, those that steering sets too.
func TestEveryGroupThatCuts(t *testing.T) {
	reached := dangers{carries: func(int) (string, error) { return "it carries the default route", nil }, addresses: harmless().addresses}
	for _, g := range all {
		cuts := g != Feature && g != Coalesce && g != NAPI
		err := reached.check(hw.Interface{Name: "eth0", Index: 2, MTU: 1500}, []request{{set: true, group: g, values: Values{"": "1400"}}})
		if errors.Is(err, ErrForce) != cuts || cuts && (!strings.Contains(err.Error(), "--force") || !strings.Contains(err.Error(), "eth0: set "+string(g))) {
			t.Errorf("%s: %v", g, err)
		}
	}
}
