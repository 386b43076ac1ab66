package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// TestKnobs: what is tuned per run is obeyed, and shows.
func TestKnobs(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, sum := file(t, 4_000_000)
	kicks := map[string]float64{}
	for _, c := range [][]string{{}, {"--budget", "32"}, {"--budget", "64"}, {"--wakeup", "off"}, {"--busy-poll", "20"}} {
		s, to := r.sink("--once")
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--json"}, c...), to, path)...)
		p.want(0)
		received(t, s, 1, 4_000_000, sum)
		rep := p.report()
		name := "default"
		if len(c) > 0 {
			name = c[0][2:] + " " + c[1]
		}
		kicks[name] = rep.number(t, "kicks.again")
	}
	if kicks["budget 32"] < 20 || kicks["budget 32"] < 2*kicks["default"] {
		t.Errorf("doorbells that left something: %v", kicks)
	}
	r.clean()
}

// TestKnobsRefused: what is not to be had is refused before a byte moves, with what would help.
func TestKnobsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, _ := file(t, 1)
	_, to := r.sink()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--budget", "31"}, []string{"--budget 31", "from 32"}},
		{[]string{"--budget", "4096"}, []string{"--budget 4096", "2048"}},
		{[]string{"--budget", "-1"}, []string{"--budget", "negative"}},
		{[]string{"--budget", "64", "--mode", "zerocopy"}, []string{"--budget 64", "copy"}},
		{[]string{"--busy-poll", "2s"}, []string{"--busy-poll 2s", "up to a second"}},
		{[]string{"--busy-poll", "1ns"}, []string{"--busy-poll 1ns", "microseconds"}},
		{[]string{"--wakeup", "maybe"}, []string{"--wakeup", "on, off"}},
		{[]string{"--binding", "asavie", "--budget", "64"}, []string{"--budget", "--binding native"}},
		{[]string{"--binding", "asavie", "--hugepages"}, []string{"--hugepages", "--binding native"}},
		{[]string{"--binding", "asavie", "--busy-poll", "20"}, []string{"--busy-poll", "--binding native"}},
		{[]string{"--binding", "asavie", "--wakeup", "on"}, []string{"--wakeup", "--binding native"}},
		{[]string{"--queues", "2"}, []string{"2 queues: veth-a has 1", "leave --queues out"}},
		{[]string{"--set-channels", "combined=1"}, []string{"veth-a has no combined channels: it has rx, at most ", "and tx, at most ", "choose --set-channels rx=N,tx=N"}},
		{[]string{"--budget", "0"}, []string{"--budget 0", "leave it out"}},
		{[]string{"--queues", "0"}, []string{"--queues 0", "leave it out"}},
		{[]string{"--set-channels", "2", "--set-channels", "rx=1"}, []string{"channels are both 2 and rx=1: choose one"}},
		{[]string{"--mtu", "20000"}, []string{"--mtu 20000", "9216"}},
		{[]string{"--sg", "perhaps"}, []string{"--sg", "auto, off, on"}},
	} {
		r.start(lab.Sender, nil, append(append([]string{"send"}, c.args...), to, path)...).want(2, c.want...)
	}
	if b, _ := os.ReadFile("/proc/sys/vm/nr_hugepages"); strings.TrimSpace(string(b)) == "0" {
		r.start(lab.Sender, nil, "send", "--hugepages", to, path).want(2, "no huge pages", "nr_hugepages")
	}
	r.clean()
}

// TestKnobsAreReported: what was asked for is in the result, with what is active and how that is known.
func TestKnobsAreReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, _ := file(t, 10_000)
	_, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--budget", "64", "--wakeup", "off", "--busy-poll", "20", "--sg", "on", to, path)
	p.want(0)
	rep := p.report()
	got := map[string]string{}
	for i := range 32 {
		name := rep.at(fmt.Sprintf("offload.%d.name", i))
		if name == nil {
			break
		}
		at := func(key string) any { return rep.at(fmt.Sprintf("offload.%d.%s", i, key)) }
		got[fmt.Sprint(name)] = fmt.Sprint(at("requested"), " ", at("active"))
		if at("evidence") == "" || at("proved") != true {
			t.Errorf("%v: %v, %v", name, at("evidence"), at("proved"))
		}
	}
	for name, want := range map[string]string{"queues": "default 1", "mtu": "default 1500", "hugepages": "default off", "steer": "default off", "rx-checksum": "auto trust", "checksum": "sw sw", "sg": "on on", "budget": "64 64", "wakeup": "off off", "busy-poll": "20µs 20µs", "mode": "auto copy", "attach": "auto native"} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	r.clean()
}

// TestAllowFallback: what is refused gives way where that is allowed, and only there; the result labels it.
func TestAllowFallback(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	path, sum := file(t, 100_000)
	cases := map[string][]string{
		"mode": {"--mode", "zerocopy"}, "budget": {"--budget", "64", "--mode", "zerocopy"}, "queues": {"--queues", "5"}, "wakeup": {"--binding", "asavie", "--wakeup", "on"},
		"busy-poll": {"--binding", "asavie", "--busy-poll", "20"}, "sg": {"--binding", "asavie", "--sg", "on"}, "mtu": {"--mtu", "1000"}, "steer": {"--steer", "--queues", "1"},
		"attach": {"--attach", "native", "--set-channels", "rx=1,tx=1"}, // the other end has two TX queues
	}
	if b, _ := os.ReadFile("/proc/sys/vm/nr_hugepages"); strings.TrimSpace(string(b)) == "0" {
		cases["hugepages"] = []string{"--hugepages"}
	}
	for name, args := range cases {
		_, to := r.sink()
		r.start(lab.Sender, nil, append(append([]string{"send"}, args...), to, path)...).want(2)
		s, to := r.sink("--once")
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--json", "--allow-fallback"}, args...), to, path)...)
		p.want(0, map[string]string{"mtu": "set mtu 1000: ", "steer": "steer answers of "}[name])
		if said := p.err.String(); !strings.Contains(said, "--"+name+" is given up") && !strings.Contains(said, "left out") && !strings.Contains(said, "not steered") {
			t.Errorf("%s: said %q", name, said)
		}
		received(t, s, 1, 100_000, sum)
		rep := p.report()
		for i := 0; ; i++ {
			at := func(key string) string { return fmt.Sprint(rep.at(fmt.Sprintf("offload.%d.%s", i, key))) }
			if at("name") == "<nil>" {
				t.Errorf("%s is not in the result", name)
				break
			}
			if at("name") == name {
				if at("requested") == at("active") || at("accepted") != at("active") || !strings.Contains(at("evidence"), "fell back: ") {
					t.Errorf("%s: requested %s, accepted %s, active %s, %s", name, at("requested"), at("accepted"), at("active"), at("evidence"))
				}
				break
			}
		}
	}
	r.clean()
}

// TestAllowFallbackOfSettings: settings of the NIC that are refused are left out and labelled, others are set, and all are as before afterwards.
func TestAllowFallbackOfSettings(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.nic()
	path, sum := file(t, 100_000)
	for name, args := range map[string][]string{
		"no-such-feature": {"--set", "no-such-feature=on"}, "rx-lro": {"--set", "rx-lro=on"}, "channels.combined": {"--set-channels", "combined=1"},
		"ring.rx": {"--set-ring", "rx=64"}, "coalesce.rx-usecs": {"--set-coalesce", "rx-usecs=8"}, "pause.rx": {"--set-pause", "rx=on"},
	} {
		_, to := r.sink()
		r.start(lab.Sender, nil, append(append([]string{"send"}, args...), to, path)...).want(2, "veth-a: set ", "refused")
		s, to := r.sink("--once")
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--json", "--allow-fallback", "--set", "rx-gro=on"}, args...), to, path)...)
		p.want(0, "it is left out")
		received(t, s, 1, 100_000, sum)
		rep := p.report()
		labelled := ""
		for i := range 4 {
			at := func(key string) string { return fmt.Sprint(rep.at(fmt.Sprintf("settings.%d.%s", i, key))) }
			if at("refused") != "<nil>" {
				labelled += at("name") + " " + at("refused")
			}
		}
		if !strings.Contains(labelled, "veth-a: set ") || rep.at("restored.exact") != true {
			t.Errorf("%s: %v, %v", name, rep.at("settings"), rep.at("restored"))
		}
	}
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--allow-fallback", "--set", "rx-lro=on", "--set", "rx-gro=on", to, path)
	p.want(0)
	received(t, s, 1, 100_000, sum)
	if text := "settings    rx-gro on (was off), rx-lro off [fixed]: on was asked for and refused"; !strings.Contains(p.out.String(), text) {
		t.Errorf("no %q in\n%s", text, p.out.String())
	}
	if after := r.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	r.clean()
	empty(t, dir)
}
