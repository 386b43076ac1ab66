package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// everything changes all groups that can be asked for.
var everything = []string{
	"feature", "tx-checksum-ip-generic=on", "feature", "rx-ntuple-filter=off", "channels", "2", "ring", "rx=256,tx=1024", "coalesce", "rx-usecs=9,adaptive-rx=on",
	"pause", "rx=off,tx=on,autoneg=off", "mtu", "1400",
}

// What drivers and the kernel take along is put back as well: the whole snapshot is the same afterwards.
func TestEverythingThereAndBack(t *testing.T) {
	n := newNIC(t)
	before := n.copy()
	cfg := n.config(change(t, everything...))
	r := begin(t, cfg)
	if got := n.groups(); !slices.Equal(got, order) {
		t.Errorf("ordered %v, want %v", got, order)
	}
	for name, want := range map[string]Setting{
		"tx-checksum-ip-generic": {Requested: on, Before: off, Active: on},
		"tx-scatter-gather":      {Before: off + requestedOn, Active: on},
		"tx-tcp-segmentation":    {Before: off + requestedOn, Active: on},
		"channels.combined":      {Requested: "2", Before: "4", Active: "2"},
		"ring.tx":                {Requested: "1024", Before: "512", Active: "1024"},
		"coalesce.adaptive-rx":   {Requested: on, Before: off, Active: on},
		"coalesce.rx-usecs":      {Requested: "9", Before: "3", Active: "9"},
		"pause.autoneg":          {Requested: off, Before: on, Active: off},
		"mtu":                    {Requested: "1400", Before: "1500", Active: "1400"},
		"mtu.vlan7":              {Before: "1500", Active: "1400"},
		"rss.table":              {Before: "0 1 2 3", Active: "0 1 0 1"},
		"rule.3":                 {Before: "aa", Active: absent},
	} {
		want.Name = name
		if got := setting(t, r, name); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	journals, err := Pending(cfg.StateDir)
	if err != nil || len(journals) != 1 || len(before.Diff(journals[0].Snapshot)) != 0 || journals[0].PID != os.Getpid() {
		t.Errorf("journals %+v, %v", journals, err)
	}
	out, err := r.Restore()
	if err != nil || !out.Exact || out.Settings != before.Len() || out.String() != fmt.Sprintf("exact (%d settings)", before.Len()) {
		t.Errorf("%v, %v", out, err)
	}
	if diff := before.Diff(n.copy()); len(diff) > 0 {
		t.Errorf("afterwards %v", diff)
	}
	if left, _ := os.ReadDir(cfg.StateDir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if again, err := r.Restore(); err != nil || !again.Exact {
		t.Errorf("the second time: %v, %v", again, err)
	}
}

// What is as it is asked for needs no journal, and is restored by doing nothing.
func TestNothingToChange(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "feature", "rx-gro=on", "mtu", "1500", "channels", "4"))
	r := begin(t, cfg)
	if journals, _ := Pending(cfg.StateDir); len(journals) != 0 || len(n.ordered) != 0 || len(r.Settings()) != 3 {
		t.Errorf("%d journals, orders %v, settings %v", len(journals), n.ordered, r.Settings())
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

// Every setter with every errno: the error names subject, cause and remedy, and all that was changed before it is put back.
func TestSetterRefused(t *testing.T) {
	extra := []unix.Errno{unix.ENXIO, unix.ENOTTY, unix.EFAULT} // without a text of their own
	for errno := range errnos {
		extra = append(extra, errno)
	}
	for _, g := range order {
		for _, errno := range extra {
			n := newNIC(t)
			before := n.copy()
			failed := false
			n.answer = func(r request) error {
				if r.group == g && !failed {
					failed = true
					return errno
				}
				return nil
			}
			cfg := n.config(change(t, everything...))
			r, err := Begin(t.Context(), cfg)
			if err == nil {
				t.Fatalf("%s, %v: begun: %+v", g, errno, r.Settings())
			}
			if !errors.Is(err, ErrRefused) || !errors.Is(err, errno) {
				t.Errorf("%s, %v: %v", g, errno, err)
			}
			for _, text := range []string{"lo: set " + string(g), errno.Error(), unix.ErrnoName(errno), "; "} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%s, %v: %q isn't in %q", g, errno, text, err)
				}
			}
			if diff := before.Diff(n.copy()); len(diff) > 0 {
				t.Errorf("%s, %v: afterwards %v", g, errno, diff)
			}
			if left, _ := os.ReadDir(cfg.StateDir); len(left) > 0 {
				t.Errorf("%s, %v: left behind: %v", g, errno, left)
			}
		}
	}
}

// The negative control: with each setter that fails when it is to put back, and with each single setting that silently stays, the restore isn't
// exact, names it, and keeps the journal. A later one then is exact.
func TestRestoreRefused(t *testing.T) {
	skip := func(g Group, k string) func(*nic) {
		return func(n *nic) {
			stays := n.state[g][k]
			n.obey = func(og Group, ok, v string) string {
				if og == g && ok == k {
					return wantedOf(g, stays)
				}
				return v
			}
		}
	}
	fail := func(g Group) func(*nic) {
		return func(n *nic) {
			n.answer = func(r request) error {
				if r.group == g {
					return unix.EBUSY
				}
				return nil
			}
		}
	}
	// The driver leaves the table as it was with fewer channels.
	short := func(then func(*nic)) func(*nic) {
		return func(n *nic) {
			then(n)
			n.after = func(n *nic, r request) {
				if r.group == Channels {
					n.state[RSS]["table"] = "0 1 0 1"
				}
			}
		}
	}
	rows := map[string]func(*nic){"tx-checksum-ip-generic": skip(Feature, "tx-checksum-ip-generic"), "mtu": skip(MTU, ""), "mtu.vlan7": skip(MTU, "vlan7"),
		"channels.combined": skip(Channels, "combined"), "ring.rx": skip(Ring, "rx"), "ring.tx": skip(Ring, "tx"), "coalesce.rx-usecs": skip(Coalesce, "rx-usecs"),
		"pause.autoneg": skip(Pause, "autoneg"), "rss.table": short(skip(RSS, "table")),
		"tx-checksum-ip-generic was off": fail(Feature), "channels.combined was 4": fail(Channels), "ring.tx was 512": fail(Ring), "coalesce.adaptive-rx was off": fail(Coalesce),
		"pause.rx was on": fail(Pause), "mtu was 1500": fail(MTU), "rss.table was 0 1 2 3": short(fail(RSS)), "rule.3 was aa": fail(Rule),
	}
	for text, break_ := range rows {
		t.Run(text, func(t *testing.T) {
			n := newNIC(t)
			before := n.copy()
			cfg := n.config(change(t, everything...))
			r := begin(t, cfg)
			break_(n)
			out, err := r.Restore()
			if out.Exact || !errors.Is(err, ErrNotRestored) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "xsend restore lo") {
				t.Fatalf("%v, %v", out, err)
			}
			journals, _ := Pending(cfg.StateDir)
			if len(journals) != 1 || len(journals[0].Failed) != len(out.Differences) {
				t.Errorf("journals %+v", journals)
			}
			n.obey, n.answer = nil, nil
			if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrLeftOver) || !strings.Contains(err.Error(), `"xsend restore lo"`) {
				t.Errorf("a run on what is left over: %v", err)
			}
			done, err := recoverWith(t.Context(), cfg.StateDir, "lo", restorer{n.do, func(string) {}, 1}, 1)
			if err != nil || len(done) != 1 || done[0].Err != nil || !done[0].Restored.Exact {
				t.Errorf("%+v, %v", done, err)
			}
			if diff := before.Diff(n.copy()); len(diff) > 0 {
				t.Errorf("afterwards %v", diff)
			}
		})
	}
}

// A positive answer of ETHTOOL_SFEATURES is a refusal that the library drops: the kernel says yes and changes nothing.
func TestFeatureSilentlyRefused(t *testing.T) {
	n := newNIC(t)
	before := n.copy()
	n.obey = func(g Group, k, v string) string {
		if k == "rx-lro" {
			return off
		}
		return v
	}
	_, err := Begin(t.Context(), n.config(change(t, "feature", "rx-lro=on")))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "lo: set rx-lro=on: refused: the kernel keeps it off: the driver refuses it: leave it out") {
		t.Error(err)
	}
	n.obey = nil
	_, err = Begin(t.Context(), n.config(change(t, "feature", "tx-generic-segmentation=on")))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "off [requested on]: it depends on another feature") {
		t.Error(err)
	}
	if diff := before.Diff(n.copy()); len(diff) > 0 {
		t.Errorf("afterwards %v", diff)
	}
}

func TestClampedIsReported(t *testing.T) {
	n := newNIC(t)
	n.obey = func(g Group, k, v string) string {
		if g == Ring && k == "rx" && v == "1000" {
			return "1024"
		}
		return v
	}
	cfg := n.config(change(t, "ring", "rx=1000"))
	var said []string
	cfg.Warn = func(s string) { said = append(said, s) }
	r := begin(t, cfg)
	if got, want := setting(t, r, "ring.rx"), (Setting{"ring.rx", "1000", "512", "1024", true, ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(said) != 1 || !strings.Contains(said[0], "ring.rx was asked to be 1000 and is 1024") {
		t.Errorf("%q", said)
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

// A change that undoes an earlier one is noticed when all is read back.
func TestUndoneByAnotherChange(t *testing.T) {
	n := newNIC(t)
	n.after = func(n *nic, r request) {
		if r.group == MTU {
			n.state[Feature]["rx-lro"] = off
		}
	}
	_, err := Begin(t.Context(), n.config(change(t, "feature", "rx-lro=on", "mtu", "4000")))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "lo: set rx-lro=on: refused: another change made it off") {
		t.Error(err)
	}
}

func TestRefusedBeforeAnythingIsChanged(t *testing.T) {
	without := func(g Group) func(*nic) { return func(n *nic) { delete(n.state, g) } }
	paired := func(n *nic) { n.most[Channels] = Values{"rx": "4", "tx": "2", "combined": "0"} }
	for _, row := range []struct {
		group, text string
		edit        func(*nic)
		texts       []string
	}{
		{"feature", "tso=on", nil, []string{"lo has no such feature", "tx-tcp-segmentation"}},
		{"feature", "scatter=on", nil, []string{"did you mean tx-scatter-gather?"}},
		{"feature", "nonsense=on", nil, []string{"no such feature", "ethtool -k"}},
		{"feature", "highdma=off", nil, []string{"set highdma=off", "on [fixed]", "leave it out"}},
		{"channels", "9", nil, []string{"channels.combined=9", "at most 8"}},
		{"channels", "rx=1", nil, []string{"channels.rx=1", "lo has no rx channels", "it has combined, at most 8: choose --set-channels combined=N"}},
		{"channels", "combined=1", paired, []string{"lo has no combined channels", "it has rx, at most 4 and tx, at most 2: choose --set-channels rx=N,tx=N"}},
		{"channels", "tx=1", func(n *nic) { n.most[Channels] = Values{"rx": "0", "tx": "0", "combined": "0"} }, []string{"none that can be set", "leave --set-channels out"}},
		{"ring", "rx=5000", nil, []string{"ring.rx=5000", "at most 4096"}},
		{"ring", "rx=256", without(Ring), []string{"set ring.rx=256", "operation not supported", "--set-ring"}},
		{"pause", "rx=off", without(Pause), []string{"operation not supported", "--set-pause"}},
		{"coalesce", "rx-usecs=1", without(Coalesce), []string{"operation not supported", "--set-coalesce"}},
		{"channels", "2", without(Channels), []string{"operation not supported", "--set-channels"}},
	} {
		n := newNIC(t)
		if row.edit != nil {
			row.edit(n)
		}
		cfg := n.config(change(t, row.group, row.text))
		_, err := Begin(t.Context(), cfg)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v", row.group, row.text, err)
			continue
		}
		for _, text := range row.texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s %s: no %q in %q", row.group, row.text, text, err)
			}
		}
		if len(n.ordered) > 0 {
			t.Errorf("%s %s: ordered %v", row.group, row.text, n.ordered)
		}
		if left, _ := os.ReadDir(cfg.StateDir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A plain number of channels is that of both kinds where there are no combined ones, as on veth.
func TestChannelsWithoutCombined(t *testing.T) {
	n := newNIC(t)
	n.state[Channels] = Values{"rx": "4", "tx": "4", "other": "0", "combined": "0"}
	n.most[Channels] = Values{"rx": "4", "tx": "4", "combined": "0"}
	r := begin(t, n.config(change(t, "channels", "2")))
	if rx, tx := setting(t, r, "channels.rx"), setting(t, r, "channels.tx"); rx.Active != "2" || tx.Active != "2" || tx.Requested != "2" {
		t.Errorf("%+v, %+v", rx, tx)
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

// The question about routes is asked for what can cut, and only for that.
func TestForce(t *testing.T) {
	cut := func(text string, err error) dangers {
		return dangers{func(int) (string, error) { return text, err }, func(int) (int, error) { return 0, nil }}
	}
	asked := errors.New("no answer")
	for _, row := range []struct {
		name, group, text string
		d                 dangers
		force, refused    bool
		say               string
	}{
		{"ring", "ring", "rx=256", cut("it carries the default route", nil), false, true, "it carries the default route"},
		{"channels", "channels", "2", cut("it carries the default route", nil), false, true, "--force"},
		{"mtu", "mtu", "1400", cut("the SSH connection", nil), false, true, "the SSH connection"},
		{"pause", "pause", "rx=off", cut("the SSH connection", nil), false, true, "set pause rx=off"},
		{"no answer", "mtu", "1400", cut("", asked), false, true, "can't be told: no answer"},
		{"forced", "mtu", "1400", cut("it carries the default route", nil), true, false, ""},
		{"forced without an answer", "mtu", "1400", cut("", asked), true, false, ""},
		{"features don't cut", "feature", "rx-gro=off", cut("it carries the default route", nil), false, false, ""},
		{"coalescing doesn't", "coalesce", "rx-usecs=1", cut("it carries the default route", nil), false, false, ""},
		{"another interface", "mtu", "1400", cut("", nil), false, false, ""},
		{"as it is", "mtu", "1500", cut("it carries the default route", nil), false, false, ""},
		{"IPv6", "mtu", "1000", dangers{cut("", nil).carries, func(int) (int, error) { return 2, nil }}, false, true, "2 IPv6 addresses"},
		{"IPv6, forced", "mtu", "1000", dangers{cut("", nil).carries, func(int) (int, error) { return 2, nil }}, true, false, ""},
		{"IPv6, none", "mtu", "1000", cut("", nil), false, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := newNIC(t)
			cfg := n.config(change(t, row.group, row.text))
			cfg.dangers, cfg.Force = &row.d, row.force
			r, err := Begin(t.Context(), cfg)
			if err == nil {
				if out, err := r.Restore(); err != nil || !out.Exact {
					t.Error(out, err)
				}
			}
			if errors.Is(err, ErrForce) != row.refused || err == nil == row.refused {
				t.Fatal(err)
			}
			if row.refused && (!strings.Contains(err.Error(), row.say) || !strings.Contains(err.Error(), "--force") || len(n.ordered) > 0) {
				t.Errorf("%v; ordered %v", err, n.ordered)
			}
		})
	}
}

// Of two runs on an interface the second is told who has it, and the first ends as if nothing had been.
func TestOneRunPerInterface(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "mtu", "1400"))
	r := begin(t, cfg)
	for range 3 {
		if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("lo: interface is in use by another run: process %d", os.Getpid())) {
			t.Error(err)
		}
	}
	if done, err := recoverWith(t.Context(), cfg.StateDir, "lo", restorer{n.do, func(string) {}, 1}, 1); err != nil || len(done) != 1 || !errors.Is(done[0].Err, ErrHeld) {
		t.Errorf("restored under a run: %+v, %v", done, err)
	}
	if n.state[MTU][""] != "1400" {
		t.Error("the first run's MTU is gone")
	}
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
	again := begin(t, cfg)
	if out, err := again.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

func TestNoSuchInterface(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "mtu", "1400"))
	cfg.Interface = "nope0"
	if _, err := Begin(t.Context(), cfg); !errors.Is(err, hw.ErrNoInterface) {
		t.Error(err)
	}
}

// A state directory that can't be is an error that names the variable, and nothing is changed.
func TestStateDirectory(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "mtu", "1400"))
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.StateDir = file + "/below"
	if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), StateEnv) || len(n.ordered) > 0 {
		t.Errorf("%v, ordered %v", err, n.ordered)
	}
}

// What others do in mid-run: a rule that is new goes; what has become fixed or unreadable is not ordered, and named.
func TestOthersChangeInMidRun(t *testing.T) {
	n := newNIC(t)
	before := n.copy()
	cfg := n.config(change(t, "mtu", "1400"))
	r := begin(t, cfg)
	n.state[Rule]["12"] = "cc"
	if out, err := r.Restore(); err != nil || !out.Exact || len(before.Diff(n.copy())) > 0 {
		t.Errorf("a new rule: %v, %v, %v", out, err, before.Diff(n.copy()))
	}

	r = begin(t, cfg)
	n.state[Feature]["rx-gro"] = off + fixedMark
	if out, err := r.Restore(); !errors.Is(err, ErrNotRestored) || len(out.Differences) != 1 || !strings.Contains(err.Error(), "rx-gro was on, is off [fixed]") {
		t.Errorf("a fixed feature: %v, %v", out, err)
	}
	n.state[Feature]["rx-gro"] = on
	if done, err := n.recover(t, cfg.StateDir, ""); err != nil || len(done) != 1 || !done[0].Restored.Exact {
		t.Errorf("%+v, %v", done, err)
	}

	r = begin(t, cfg)
	pause := n.state[Pause]
	delete(n.state, Pause)
	if out, err := r.Restore(); !errors.Is(err, ErrNotRestored) || len(out.Differences) != 3 || !strings.Contains(err.Error(), "pause.rx was on, is unreadable: operation not supported") {
		t.Errorf("an unreadable group: %v, %v", out, err)
	}
	n.state[Pause] = pause
	if done, err := n.recover(t, cfg.StateDir, ""); err != nil || len(done) != 1 || !done[0].Restored.Exact {
		t.Errorf("%+v, %v", done, err)
	}
}
