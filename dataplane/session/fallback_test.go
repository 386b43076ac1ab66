package session_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Every explicit value that kernel, driver, NIC or binding refuse is an error with the reason and the remedy; with AllowFallback it is a knob that says what
// is in force instead, and why, and everything arrives.
func TestFallback(t *testing.T) {
	r := newRig(t, lab.Config{Queues: 2})
	asavie := func(edit func(*session.Config)) func(*session.Config) {
		return func(c *session.Config) { c.Binding = session.BindingAsavie; edit(c) }
	}
	oneChannel := func(c *session.Config) { _ = c.Settings.Change.Add(settings.Channels, "rx=1,tx=1") }
	for name, row := range map[string]struct {
		edit   func(*session.Config)
		knob   string
		active string
		is     error
		says   []string
	}{
		// Fewer RX queues than the other end has TX queues: a veth takes no native program.
		"attach":               {func(c *session.Config) { oneChannel(c); c.Attach = xdpprog.ModeNative }, "attach", "generic", nil, []string{"native"}},
		"mode":                 {func(c *session.Config) { c.Mode = afxdp.ModeZeroCopy }, "mode", "copy", afxdp.ErrNoZeroCopy, []string{"use copy mode"}},
		"budget, kept":         {func(c *session.Config) { c.Budget = 64; c.Granted(32, -1) }, "budget", "32", session.ErrConfig, []string{"--budget 64", "the kernel kept 32", "leave --budget out"}},
		"budget in zero-copy":  {func(c *session.Config) { c.Budget = 64; c.Mode = afxdp.ModeZeroCopy }, "budget", "2048", session.ErrConfig, []string{"--budget 64 with --mode zerocopy", "use --mode copy, or leave --budget out"}},
		"busy poll, made less": {func(c *session.Config) { c.BusyPoll = 50 * time.Microsecond; c.Granted(-1, 0) }, "busy-poll", "off", session.ErrConfig, []string{"--busy-poll 50µs", "leave --busy-poll out"}},
		"busy poll, refused": {func(c *session.Config) {
			c.BusyPoll = 50 * time.Microsecond
			c.Refuses(func(s afxdp.Config) error {
				if s.BusyPoll != 0 {
					return fmt.Errorf("busy poll for %v: %w", s.BusyPoll, afxdp.ErrUnsupported)
				}
				return nil
			})
		}, "busy-poll", "off", afxdp.ErrUnsupported, []string{"busy poll for 50µs"}},
		"sg, refused": {func(c *session.Config) {
			c.SG = session.SGOn
			c.Refuses(func(s afxdp.Config) error {
				if s.SG {
					return fmt.Errorf("bind: %w", afxdp.ErrUnsupported)
				}
				return nil
			})
		}, "sg", "off", afxdp.ErrUnsupported, []string{"bind"}},
		"queues":            {func(c *session.Config) { c.Queues = 7 }, "queues", "2", session.ErrConfig, []string{"7 queues: veth-a has 2", "leave --queues out"}},
		"steer":             {func(c *session.Config) { c.Queues, c.Steer = 1, true }, "steer", "all", settings.ErrRefused, []string{"ntuple: ", "leave --queues out"}},
		"queues, by steer":  {func(c *session.Config) { c.Queues, c.Steer = 1, true }, "queues", "2", settings.ErrRefused, []string{"steer answers"}},
		"MTU":               {func(c *session.Config) { _ = c.Settings.Change.Add(settings.MTU, "1000") }, "mtu", "1500", settings.ErrForce, []string{"set mtu 1000", "IPv6 addresses", "--force"}},
		"MTU of no frame":   {func(c *session.Config) { _ = c.Settings.Change.Add(settings.MTU, "20000") }, "mtu", "1500", session.ErrMTU, []string{"--mtu 20000", "carry 9216: choose up to that"}},
		"mode, with sg":     {func(c *session.Config) { c.Mode, c.SG = afxdp.ModeZeroCopy, session.SGOn }, "mode", "copy", afxdp.ErrNoZeroCopy, []string{"use copy mode"}},
		"wakeup, asavie":    {asavie(func(c *session.Config) { c.Wakeup = session.WakeupOn }), "wakeup", "off", session.ErrConfig, []string{"--wakeup", "XDP_USE_NEED_WAKEUP", "--binding native"}},
		"budget, asavie":    {asavie(func(c *session.Config) { c.Budget = 64 }), "budget", "32", session.ErrConfig, []string{"--budget", "--binding native"}},
		"busy poll, asavie": {asavie(func(c *session.Config) { c.BusyPoll = time.Millisecond }), "busy-poll", "off", session.ErrConfig, []string{"--busy-poll", "--binding native"}},
		"huge, asavie":      {asavie(func(c *session.Config) { c.HugePages = true }), "hugepages", "off", session.ErrConfig, []string{"--hugepages", "--binding native"}},
		"sg, asavie":        {asavie(func(c *session.Config) { c.SG = session.SGOn }), "sg", "off", session.ErrConfig, []string{"--sg on", "--binding native"}},
		"checksum, asavie":  {asavie(func(c *session.Config) { c.Checksum = session.ChecksumHardware }), "checksum", "sw", session.ErrChecksum, []string{"use the native binding"}},
		"huge pages":        {func(c *session.Config) { c.HugePages = true }, "hugepages", "off", umem.ErrHugePages, []string{"nr_hugepages"}},
	} {
		t.Run(name, func(t *testing.T) {
			if b, _ := os.ReadFile("/proc/sys/vm/nr_hugepages"); name == "huge pages" && strings.TrimSpace(string(b)) != "0" {
				t.Skip("needs a machine without huge pages")
			}
			cfg := func() (c session.Config) {
				c.Settings = settings.Config{Change: settings.Change{}, StateDir: t.TempDir()}
				row.edit(&c)
				return c
			}
			s, err := r.tryOpen(cfg())
			if err == nil {
				closed(t, s)
				t.Fatal("the control: opened")
			}
			if row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("the control: %v", err)
			}
			for _, text := range row.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the control: no %q in %v", text, err)
				}
			}
			with, said := cfg(), warnings{}
			with.AllowFallback, with.Warn = true, said.add
			rc := r.receive(nil)
			s = r.open(with)
			if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
				t.Error(err)
			}
			if res := <-rc.results; res.SHA256 != sumOf(payload(1, 1<<20)) {
				t.Errorf("%+v", res)
			}
			k := knob(t, s, row.knob)
			if k.Requested == "default" || k.Requested == k.Active || k.Active != row.active || k.Accepted != k.Active || !strings.Contains(k.Evidence, "fell back: ") {
				t.Errorf("%+v", k)
			}
			if sg := knob(t, s, "sg"); name == "mode, with sg" && (sg.Active != "on" || strings.Contains(sg.Evidence, "fell back")) {
				t.Errorf("scatter-gather is to be had in copy mode: %+v", sg)
			}
			if said.String() == "" {
				t.Error("it said nothing")
			}
			closed(t, s)
			nothingIn(t, with.Settings.StateDir)
			if l := r.link(); l.MTU != 1500 || l.RxQueues != 2 {
				t.Errorf("afterwards %+v", l)
			}
		})
	}
}

// Every knob is named, whether it was asked for or not, and says what is in force and how that is known.
func TestEveryKnob(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 2})
	names := []string{"mode", "attach", "checksum", "rx-checksum", "sg", "wakeup", "budget", "busy-poll", "hugepages", "queues", "mtu", "steer"}
	for binding, want := range map[session.Binding]map[string]string{
		session.BindingNative: {"wakeup": "default on", "budget": "default 2048", "busy-poll": "default off", "hugepages": "default off", "queues": "default 2", "mtu": "default 1500", "steer": "default off"},
		session.BindingAsavie: {"wakeup": "default off", "budget": "default 32", "busy-poll": "default off", "hugepages": "default off", "queues": "default 2", "mtu": "default 1500", "steer": "default off"},
	} {
		s := r.open(session.Config{Binding: binding})
		rc := r.receive(nil)
		if err := write(within(t), dial(t, s, rc.addr), payload(1, 1000)); err != nil {
			t.Error(err)
		}
		<-rc.results
		all := s.Knobs()
		for i, name := range names {
			if i >= len(all) || all[i].Name != name || len(all) != len(names) {
				t.Fatalf("%s: %+v", binding, all)
			}
			k := all[i]
			if got := k.Requested + " " + k.Active; want[name] != "" && got != want[name] || k.Evidence == "" || k.Accepted != k.Active {
				t.Errorf("%s: %+v", binding, k)
			}
			if unproved := binding == session.BindingAsavie && name == "budget"; k.Proved == unproved {
				t.Errorf("%s: %+v", binding, k)
			}
			if k.Proved && strings.Contains(k.Evidence, "unproved") {
				t.Errorf("it is proved, and its evidence says that it isn't: %+v", k)
			}
		}
		closed(t, s)
	}
}
