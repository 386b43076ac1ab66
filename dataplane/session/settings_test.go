package session_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// set is a change of features, channels and the MTU, with a state directory of the test's own.
func set(t *testing.T) settings.Config {
	t.Helper()
	cfg := settings.Config{Change: settings.Change{}, StateDir: t.TempDir()}
	for g, text := range map[settings.Group]string{settings.Feature: "tx-checksum-ip-generic=on", settings.Channels: "1", settings.MTU: "1400"} {
		if err := cfg.Change.Add(g, text); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// link is the sender's interface as package hw sees it.
func (r *rig) link() (l hw.Interface) {
	r.t.Helper()
	r.at(lab.Sender, func() (err error) {
		l, err = hw.Lookup(r.lab.Sender().Interface)
		return err
	})
	return l
}

// A session goes by what the NIC is set to, and leaves it as it was, from whatever thread it is closed.
func TestSettings(t *testing.T) {
	r := newRig(t, lab.Config{Queues: 2})
	rc := r.receive(nil)
	cfg := set(t)
	s := r.open(session.Config{Settings: cfg})
	if l := r.link(); l.MTU != 1400 || l.RxQueues != 1 || s.Info().MTU != 1400 || s.Info().Queues != 1 {
		t.Errorf("%+v, %+v", l, s.Info())
	}
	if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
		t.Error(err)
	}
	if res := <-rc.results; res.SHA256 != sumOf(payload(1, 1<<20)) {
		t.Errorf("%+v", res)
	}
	rep, err := s.Close()
	books(t, rep)
	if err != nil || rep.Restored == nil || !rep.Restored.Exact || len(rep.Settings) < 4 {
		t.Errorf("%+v, %+v, %v", rep.Restored, rep.Settings, err)
	}
	if l := r.link(); l.MTU != 1500 || l.RxQueues != 2 {
		t.Errorf("afterwards %+v", l)
	}
	nothingIn(t, cfg.StateDir)
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", dir, left, err)
	}
}

// An Open that fails behind its settings puts them back.
func TestSettingsOfAnOpenThatFails(t *testing.T) {
	r := newRig(t, lab.Config{Queues: 2})
	for name, edit := range map[string]func(*session.Config){
		"geometry":  func(c *session.Config) { c.Frames = 100 },
		"queues":    func(c *session.Config) { c.Queues = 2 }, // of one channel
		"zero-copy": func(c *session.Config) { c.Mode = 2 },
		"settings":  func(c *session.Config) { _ = c.Settings.Change.Add(settings.Ring, "rx=64") },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := session.Config{Settings: set(t)}
			edit(&cfg)
			s, err := r.tryOpen(cfg)
			if err == nil {
				closed(t, s)
				t.Fatal("opened")
			}
			if errors.Is(err, settings.ErrNotRestored) {
				t.Error(err)
			}
			if l := r.link(); l.MTU != 1500 || l.RxQueues != 2 {
				t.Errorf("afterwards %+v", l)
			}
			nothingIn(t, cfg.Settings.StateDir)
		})
	}
}

// What cannot be put back is an error of Close, which names it; the journal stays, and later it can be.
func TestSettingsThatCannotBeRestored(t *testing.T) {
	r := newRig(t, lab.Config{MTU: 9000})
	r.receive(func(c *sink.Config) { c.Count = 0 })
	cfg := settings.Config{Change: settings.Change{settings.MTU: {"": "1400"}}, StateDir: t.TempDir()}
	s := r.open(session.Config{Settings: cfg})
	var in *xdpprog.Program // a native program at one end of a veth takes segmentation from the other one, as long as it is there
	r.at(lab.Receiver, func() error {
		l, err := hw.Lookup(r.lab.Receiver().Interface)
		if err != nil {
			return err
		}
		if err := r.lab.SetEndMTU(lab.Receiver, 1500); err != nil {
			return err
		}
		in, err = xdpprog.Attach(xdpprog.Config{Ifindex: l.Index, Mode: xdpprog.ModeNative})
		return err
	})
	rep, err := s.Close()
	if !errors.Is(err, settings.ErrNotRestored) || rep.Restored == nil || rep.Restored.Exact || !strings.Contains(err.Error(), "segmentation was ") || !strings.Contains(err.Error(), "is off [fixed]") {
		t.Errorf("%v, %+v", err, rep.Restored)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	r.at(lab.Sender, func() error {
		done, err := settings.Recover(t.Context(), cfg.StateDir, "")
		if err != nil || len(done) != 1 || done[0].Err != nil || !done[0].Restored.Exact {
			t.Errorf("%+v, %v", done, err)
		}
		return nil
	})
	if l := r.link(); l.MTU != 9000 {
		t.Errorf("afterwards %+v", l)
	}
	nothingIn(t, cfg.StateDir)
}

// A veth has neither rules nor a table: to steer to some of its queues is refused with both reasons and the remedy, and all of them are bound.
func TestSteer(t *testing.T) {
	r := newRig(t, lab.Config{Queues: 4})
	dir := t.TempDir()
	for _, n := range []int{1, 2} {
		s, err := r.tryOpen(session.Config{Queues: n, Steer: true, Settings: settings.Config{StateDir: dir}})
		if err == nil {
			closed(t, s)
			t.Fatalf("opened with %d queues", n)
		}
		for _, text := range []string{"veth-a: steer answers of 10.77.0.2 to queue", "ntuple: ", "rss: the indirection table can't be read: operation not supported", "leave --queues out: all queues are bound"} {
			if !errors.Is(err, settings.ErrRefused) || !strings.Contains(err.Error(), text) {
				t.Errorf("%d queues: no %q in %v", n, text, err)
			}
		}
		nothingIn(t, dir)
	}
	for n, why := range map[int]string{0: "--queues is not given: all 4 RX queues of veth-a are bound", 4: "veth-a has 4 RX queues, and all are bound"} {
		rc := r.receive(nil)
		s := r.open(session.Config{Queues: n, Steer: true, Settings: settings.Config{StateDir: dir}})
		if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
			t.Error(err)
		}
		if res := <-rc.results; res.SHA256 != sumOf(payload(1, 1<<20)) {
			t.Errorf("%+v", res)
		}
		knobs := s.Knobs()
		if k := knobs[len(knobs)-1]; k.Name != "steer" || k.Requested != "on" || k.Active != "all" || k.Evidence != why || !k.Proved {
			t.Errorf("%d queues: %+v", n, k)
		}
		closed(t, s)
		nothingIn(t, dir)
	}
}

// Where attaching a program takes a feature along, the whole snapshot is on the disk while the session lasts, and is compared at its end. Where that can't be had, it is
// said, and nothing else: nobody asked for it.
func TestWhatAttachingTakesAlong(t *testing.T) {
	r := newRig(t, lab.Config{})
	for name, lro := range map[string][]string{"with": {"rx-lro"}, "control": nil} {
		cfg := session.Config{Settings: settings.Config{StateDir: t.TempDir()}}
		cfg.Along(func(string, int) []string { return lro })
		s := r.open(cfg)
		if list, err := settings.Pending(cfg.Settings.StateDir); err != nil || len(list) != len(lro) {
			t.Errorf("%s: %d journals, %v", name, len(list), err)
		}
		rep, err := s.Close()
		if err != nil || (rep.Restored != nil) != (lro != nil) || lro != nil && !rep.Restored.Exact {
			t.Errorf("%s: %+v, %v", name, rep.Restored, err)
		}
		nothingIn(t, cfg.Settings.StateDir)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said warnings
	cfg := session.Config{Settings: settings.Config{StateDir: file + "/none"}, Warn: said.add}
	cfg.Along(func(string, int) []string { return []string{"rx-lro"} })
	closed(t, r.open(cfg))
	if !strings.Contains(said.String(), "may switch rx-lro off, and nobody will switch it on again: journal") {
		t.Errorf("it said %q", said.String())
	}
}
