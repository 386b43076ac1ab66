package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/sink"
)

// stage is a world in which children, the receiver and the clock are functions.
type stage struct {
	t   *testing.T
	cfg Config
	now time.Time

	log     []string                                       // the rows that ran, in order
	child   func(args []string, n int) (ended, error)      // n is how many children ran before
	verdict func(local netip.AddrPort, n int) sink.Verdict // of the child that ran last
	told    []Progress
	set     []string // what was done to TSO and MTU
	fixed   bool     // TSO can't be switched on
	nor     bool     // nor off, and GSO is on
	stuck   bool     // or not put back

	bytes int64 // that the last child claims
}

const receiver = "192.0.2.7:9000"

func newStage(t *testing.T) *stage {
	s := &stage{t: t, now: time.Unix(1000, 0)}
	s.cfg = Config{
		Self: "self", Version: "v1", Interface: "eth9", Target: receiver, Checksums: []string{"sw"}, SGs: []string{"off", "on"},
		Modes: []string{"copy"}, Attaches: []string{"native"}, Time: time.Second, Turns: 3, Done: func(p Progress) { s.told = append(s.told, p) },
	}
	s.child = func(args []string, n int) (ended, error) { return s.sent(args, 1_000_000_000, nil), nil }
	s.verdict = func(local netip.AddrPort, _ int) sink.Verdict {
		return sink.Verdict{Remote: local, State: sink.StateEnded, Bytes: s.bytes, Seconds: 2, Comparison: sink.Comparison{FirstWrong: -1}}
	}
	return s
}

// value is what stands behind a flag.
func value(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 {
		return args[i+1]
	}
	return ""
}

// sent is a child that did as it was told.
func (s *stage) sent(args []string, bytes int64, offload []Knob) ended {
	s.bytes = bytes
	r := map[string]any{
		"seconds": 2, "bytes": bytes, "segments": 1_000_000, "retransmits": 7, "mss": 1448, "mtu": 1500, "mode": value(args, "--mode"),
		"attach": value(args, "--attach"), "sg": value(args, "--sg"), "checksum": "sw", "cpu_utilization": map[string]any{"host_user": 25, "host_system": 50},
		"kicks": map[string]any{"ok": 10_000, "again": 10_000}, "streams": []any{map[string]any{"local": "192.0.2.1:40000"}},
	}
	if offload != nil {
		r["offload"] = offload
	}
	out, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return ended{out: out}
}

func (s *stage) world() world {
	return world{
		lookup: func(name string) (hw.Interface, error) {
			return hw.Interface{Name: name, MTU: 1500, Up: true, Ethernet: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Driver: "test"}, nil
		},
		resolve: func(context.Context, string, string) (netip.AddrPort, error) {
			return netip.MustParseAddrPort(receiver), nil
		},
		run: func(ctx context.Context, _ string, args []string) (ended, error) {
			n := len(s.log)
			s.log = append(s.log, row(args))
			s.now = s.now.Add(3 * time.Second)
			return s.child(args, n)
		},
		ask: func(_ context.Context, _ string, of []netip.AddrPort) (v []sink.Verdict, _ error) {
			for _, c := range of {
				v = append(v, s.verdict(c, len(s.log)))
			}
			return v, nil
		},
		set:    s.change,
		uneven: func(string) bool { return s.nor },
		now:    func() time.Time { return s.now },
		pause:  func(_ context.Context, d time.Duration) error { s.now = s.now.Add(d); return nil },
	}
}

func (s *stage) change(_ context.Context, c settings.Change) (func() error, error) {
	on := c[settings.Feature]["tx-generic-segmentation"]
	if on == "on" && s.fixed {
		return nil, errors.New("eth9: the kernel kept tso off")
	}
	if on == "off" && s.nor {
		return nil, errors.New("eth9: the kernel kept gso on")
	}
	s.set = append(s.set, strings.TrimSpace(on+" "+c[settings.MTU].String()))
	return func() error {
		s.set = append(s.set, "back")
		if s.stuck {
			return settings.ErrNotRestored
		}
		return nil
	}, nil
}

// row names what a child's arguments ask for.
func row(args []string) string {
	if args[0] == "bench" {
		return args[2]
	}
	return strings.Join([]string{value(args, "--checksum"), value(args, "--sg"), value(args, "--mode"), value(args, "--attach"), value(args, "--mtu")}, " ")
}

func (s *stage) measure() (Result, error) { return measure(s.t.Context(), s.cfg, s.world()) }

func (s *stage) must() Result {
	s.t.Helper()
	r, err := s.measure()
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestRowsAreInterleaved(t *testing.T) {
	s := newStage(t)
	r := s.must()
	turn := []string{"sw off copy native ", "sw on copy native ", "send", "sendfile", "zerocopy", "send", "sendfile", "zerocopy"}
	back := slices.Clone(turn)
	slices.Reverse(back)
	if want := slices.Concat(turn, back, turn); !slices.Equal(s.log, want) {
		t.Errorf("ran %q, want %q", s.log, want)
	}
	if len(r.Rows) != 8 || r.Done != 8 || r.Impossible+r.Failed+r.Wrong != 0 || r.Rows[7].Number != 8 {
		t.Errorf("%+v", r)
	}
	// Nothing is left set, whatever was set.
	if len(s.set) != 36 || s.set[0] != "on" || s.set[1] != "back" || s.set[35] != "back" {
		t.Errorf("TSO: %q", s.set)
	}
}

// TestFigures: 1e9 bytes in 2 s at the receiver, 2 s of a sender at 25 and 50 percent of a processor.
func TestFigures(t *testing.T) {
	s := newStage(t)
	r := s.must().Rows[0]
	for name, f := range map[string]struct{ got, want float64 }{
		"goodput": {r.BitsPerSecond.Median, 4e9}, "packets": {r.Packets.Median, 500_000}, "user": {r.UserPerGB.Median, 0.5}, "system": {r.SystemPerGB.Median, 1},
		"kicks": {r.Kicks.Median, 0.02}, "retransmits": {r.Retransmits.Median, 7}, "verified": {float64(r.Bytes), 3e9}, "n": {float64(r.N), 3}, "first wrong": {float64(r.FirstWrong), -1},
	} {
		if f.got != f.want {
			t.Errorf("%s: %v, want %v", name, f.got, f.want)
		}
	}
	if k := s.must().Rows[7].Kicks; k != nil {
		t.Errorf("the kernel's TCP has no doorbell of ours: %+v", k)
	}
}

func TestMediansAndIntervals(t *testing.T) {
	s := newStage(t)
	s.cfg.Turns = 5
	s.verdict = func(local netip.AddrPort, n int) sink.Verdict { // five runs of each row, faster from turn to turn
		return sink.Verdict{Remote: local, State: sink.StateEnded, Bytes: s.bytes, Seconds: float64(6 - (n+7)/8), Comparison: sink.Comparison{FirstWrong: -1}}
	}
	for _, r := range s.must().Rows {
		if f := r.BitsPerSecond; f.Median != 8e9/3 || f.Low != 8e9/5 || f.High != 8e9 || f.Coverage != 0.9375 {
			t.Errorf("%+v", f)
		}
	}
}

func TestRefusalsAreRows(t *testing.T) {
	s := newStage(t)
	s.cfg.Checksums, s.cfg.MTUs, s.cfg.Turns = []string{"sw", "hw"}, []int{1500, 9000}, 2
	s.fixed = true
	s.child = func(args []string, _ int) (ended, error) {
		switch {
		case value(args, "--checksum") == "hw":
			return ended{code: 2, errors: []byte("xsend send: unknown flag: --checksum\nSee \"xsend send --help\".\n")}, nil
		case value(args, "--mtu") == "9000":
			return ended{code: 2, errors: []byte("xsend send: eth9: MTU 9000:\nxsend send: too large\n")}, nil
		}
		return s.sent(args, 1e9, nil), nil
	}
	r := s.must()
	reasons := map[string]int{}
	for _, row := range r.Rows {
		if row.Outcome == Impossible {
			reasons[row.Reason]++
			if row.N != 0 || row.Refused != 2 {
				t.Errorf("%+v", row)
			}
		}
	}
	want := map[string]int{"unknown flag: --checksum": 4, "eth9: MTU 9000:; too large": 2, "eth9: the kernel kept tso off": 6}
	for reason, n := range want {
		if reasons[reason] != n {
			t.Errorf("%q: %d rows, want %d; all: %v", reason, reasons[reason], n, reasons)
		}
	}
	if len(r.Rows) != 8+12 || r.Impossible != 4+2+6 || r.Done != 2+6 || s.set[0] != "off" || s.set[6] != "off 9000" {
		t.Errorf("%d rows, %d impossible, %d done", len(r.Rows), r.Impossible, r.Done)
	}
}

// TestTSOAsItIs: where it can be neither on nor off, there is a row of each call with what there is.
func TestTSOAsItIs(t *testing.T) {
	s := newStage(t)
	s.fixed, s.nor = true, true
	r := s.must()
	if len(r.Rows) != 2+9 || r.Done != 2+3 || r.Impossible != 6 || len(s.set) != 0 {
		t.Fatalf("%d rows, %d done; set %q", len(r.Rows), r.Done, s.set)
	}
	for _, row := range r.Rows[8:] {
		if row.TSO != asIs || row.Outcome != Done || row.N != 3 {
			t.Errorf("%+v", row)
		}
	}
	s = newStage(t)
	s.nor = true // and it can be on
	if r := s.must(); len(r.Rows) != 8 || r.Done != 5 || s.set[0] != "on" || s.set[1] != "back" {
		t.Errorf("%d rows, %d done; set %q", len(r.Rows), r.Done, s.set)
	}
}

// TestACellThatFailsInTheMiddle takes no other along.
func TestACellThatFailsInTheMiddle(t *testing.T) {
	for name, c := range map[string]struct {
		child   func(s *stage, args []string) (ended, error)
		verdict func(s *stage, v sink.Verdict) sink.Verdict
		outcome string
		reason  string
	}{
		"exit code 1": {child: func(*stage, []string) (ended, error) {
			return ended{code: 1, errors: []byte("xsend send: reset by peer\n")}, nil
		}, outcome: Failed, reason: "reset by peer"},
		"killed":       {child: func(*stage, []string) (ended, error) { return ended{}, errors.New("signal: killed") }, outcome: Failed, reason: "signal: killed"},
		"no report":    {child: func(*stage, []string) (ended, error) { return ended{out: []byte("{")}, nil }, outcome: Failed, reason: "can't be read"},
		"no stream":    {child: func(*stage, []string) (ended, error) { return ended{out: []byte("{}")}, nil }, outcome: Failed, reason: "0 connections"},
		"another knob": {child: func(s *stage, args []string) (ended, error) { return s.sent([]string{"--sg", "off"}, 1e9, nil), nil }, outcome: Failed, reason: "sg was off instead of on"},
		"wrong bytes": {verdict: func(_ *stage, v sink.Verdict) sink.Verdict {
			v.Comparison = sink.Comparison{WrongBytes: 3, FirstWrong: 17}
			return v
		}, outcome: Wrong, reason: "3 bytes are wrong, the first at offset 17"},
		"missing bytes": {verdict: func(_ *stage, v sink.Verdict) sink.Verdict { v.Bytes--; return v }, outcome: Failed, reason: "999999999 bytes arrived of 1000000000"},
		"reset there":   {verdict: func(_ *stage, v sink.Verdict) sink.Verdict { v.Err = "reset"; return v }, outcome: Failed, reason: "the receiver: reset"},
		"unknown there": {verdict: func(_ *stage, v sink.Verdict) sink.Verdict { v.State = sink.StateUnknown; return v }, outcome: Failed, reason: "not verified: 192.0.2.7:9000 says that the connection from 192.0.2.1:40000 is unknown"},
		"nothing":       {child: func(s *stage, args []string) (ended, error) { return s.sent(args, 0, nil), nil }, outcome: Failed, reason: "give more --time"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			const bad = 2 // the second row, in the first turn
			good, right := s.child, s.verdict
			s.child = func(args []string, n int) (ended, error) {
				if n == bad-1 && c.child != nil {
					return c.child(s, args)
				}
				return good(args, n)
			}
			s.verdict = func(local netip.AddrPort, n int) sink.Verdict {
				if n == bad && c.verdict != nil {
					return c.verdict(s, right(local, n))
				}
				return right(local, n)
			}
			r := s.must()
			row := r.Rows[bad-1]
			if row.Outcome != c.outcome || !strings.Contains(row.Reason, c.reason) || r.Done != 7 || len(s.log) != 24 {
				t.Errorf("%+v; %d done, %d children", row, r.Done, len(s.log))
			}
			wantN := 2
			if c.outcome == Wrong {
				wantN = 3
			}
			if row.N != wantN || row.FirstWrong >= 0 != (c.outcome == Wrong) {
				t.Errorf("%+v", row)
			}
		})
	}
}

func TestGoesOnWhereItWasInterrupted(t *testing.T) {
	whole := newStage(t)
	want := whole.must()
	state := filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupted")
	s := newStage(t)
	s.cfg.State = state
	s.child = func(args []string, n int) (ended, error) {
		if n == 11 {
			cancel(stop)
		}
		return s.sent(args, 1e9, nil), nil
	}
	if _, err := measure(ctx, s.cfg, s.world()); !errors.Is(err, stop) || NotBegun(err) {
		t.Fatal(err)
	}
	first := s.log[:11] // the twelfth doesn't count
	if n := len(s.set); n%2 != 0 || s.set[n-1] != "back" {
		t.Errorf("TSO: %q", s.set)
	}
	again := newStage(t)
	again.cfg.State = state
	got := again.must()
	if log := slices.Concat(first, again.log); !slices.Equal(log, whole.log) {
		t.Errorf("ran %q, want %q", log, whole.log)
	}
	if p := again.told[0]; p.Count != 12 || p.All != 24 {
		t.Errorf("%+v", p)
	}
	want.Time, got.Time = time.Time{}, time.Time{}
	if a, b := toJSON(t, got), toJSON(t, want); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	once := newStage(t)
	once.cfg.State = state
	if r := once.must(); len(once.log) != 0 || r.Done != 8 {
		t.Errorf("ran %q again", once.log)
	}
	// More turns, or other rows, go on with it; another time per run doesn't.
	once.cfg.Turns = 4
	if once.must(); len(once.log) != 8 {
		t.Errorf("a turn more: %q", once.log)
	}
	once.cfg.Time = 2 * time.Second
	if _, err := once.measure(); !errors.Is(err, ErrOtherState) || !NotBegun(err) {
		t.Errorf("another time: %v", err)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestETA: rows that were refused once are thought to be refused again, at no cost.
func TestETA(t *testing.T) {
	s := newStage(t)
	w := s.world()
	run := w.run
	w.run = func(ctx context.Context, self string, args []string) (ended, error) {
		if value(args, "--sg") == "on" {
			s.log = append(s.log, row(args))
			return ended{code: 2, errors: []byte("no")}, nil
		}
		return run(ctx, self, args)
	}
	if _, err := measure(t.Context(), s.cfg, w); err != nil {
		t.Fatal(err)
	}
	left := func(i int) time.Duration { return s.told[i].Left }
	// After the first run all others are thought to take as long. After the second one, which took nothing: two more of
	// the first row, nothing for the second, and 18 of which nobody knows more than the mean. After the first turn
	// everything is known.
	for i, want := range map[int]int{0: 23 * 3, 1: 2*3 + 18*3/2, 7: 2 * 7 * 3, 23: 0} {
		if left(i) != time.Duration(want)*time.Second {
			t.Errorf("after run %d: %v, want %d s", i+1, left(i), want)
		}
	}
	for i, p := range s.told {
		if p.Count != i+1 || p.All != 24 {
			t.Errorf("%+v", p)
		}
	}
}

func TestWhatCannotBePutBackEndsIt(t *testing.T) {
	s := newStage(t)
	s.stuck = true
	if _, err := s.measure(); !errors.Is(err, settings.ErrNotRestored) || len(s.log) != 3 {
		t.Errorf("%v after %q", err, s.log)
	}
}

func TestArguments(t *testing.T) {
	to := netip.MustParseAddrPort("[fe80::7%eth9]:9000")
	cfg := Config{Interface: "eth9", Time: 1500 * time.Millisecond, Knows: func(string) bool { return false }}
	x := Cell{Sender: Xsend, Checksum: "sw", SG: "on", Mode: "copy", Attach: "generic", MTU: 1500}
	want := "send --json -i 0 --pattern -t 1.5 -I eth9 --sg on --mode copy --attach generic [fe80::7%eth9]:9000"
	if got := strings.Join(cfg.arguments(x, to, 1500), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	cfg.Knows = func(flag string) bool { return flag == "checksum" }
	x.MTU = 9000
	want = "send --json -i 0 --pattern -t 1.5 -I eth9 --sg on --mode copy --attach generic --checksum sw --mtu 9000 [fe80::7%eth9]:9000"
	if got := strings.Join(cfg.arguments(x, to, 1500), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	cfg.Force = true
	if got := cfg.arguments(x, to, 1500); got[len(got)-2] != "--force" {
		t.Errorf("%q", got)
	}
	want = "bench baseline sendfile [fe80::7%eth9]:9000 eth9 1.5"
	if got := strings.Join(cfg.arguments(Cell{Sender: Linux, Call: "sendfile"}, to, 1500), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestChange: a row of the kernel's TCP sets what differs from the interface, and of segmentation what the peer's family needs.
func TestChange(t *testing.T) {
	for want, got := range map[string]settings.Change{
		"":         Cell{TSO: asIs, MTU: 1500}.change(1500, false),
		"mtu 9000": Cell{TSO: asIs, MTU: 9000}.change(1500, false),
		"feature tx-generic-segmentation=on,tx-tcp-segmentation=on":           Cell{TSO: "on", MTU: 1500}.change(1500, false),
		"feature tx-generic-segmentation=on,tx-tcp6-segmentation=on mtu 9000": Cell{TSO: "on", MTU: 9000}.change(1500, true),
		"feature tx-generic-segmentation=off,tx-tcp-ecn-segmentation=off,tx-tcp-mangleid-segmentation=off,tx-tcp-segmentation=off,tx-tcp6-segmentation=off": Cell{
			TSO: "off", MTU: 1500}.change(1500, true),
	} {
		var parts []string
		for _, g := range []settings.Group{settings.Feature, settings.MTU} {
			if v, ok := got[g]; ok {
				parts = append(parts, string(g)+" "+v.String())
			}
		}
		if text := strings.Join(parts, " "); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// TestKnobs: the list of the report, whatever its values are, and what it leaves out from the report's other names.
func TestKnobs(t *testing.T) {
	var r report
	if err := json.Unmarshal([]byte(`{"mode":"copy","attach":"native","sg":"on","checksum":"sw","mtu":1500,"offload":[
		{"name":"checksum","requested":"hw","accepted":true,"active":"nic-or-kernel","evidence":null},{"name":"wakeup","requested":"on","extra":1}]}`), &r); err != nil {
		t.Fatal(err)
	}
	got := r.knobs(Cell{Sender: Xsend, Checksum: "hw", SG: "on", Mode: "copy", Attach: "native", MTU: 1500})
	want := []Knob{
		{"checksum", "hw", "true", "nic-or-kernel", ""}, {"wakeup", "on", "", "", ""}, {"sg", "on", "", "on", ""}, {"mode", "copy", "", "copy", ""},
		{"attach", "native", "", "native", ""}, {"mtu", "1500", "", "1500", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestBadConfigs(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--checksum best: choose from sw, hw, kernel": func(c *Config) { c.Checksums = []string{"sw", "best"} },
		"--sg maybe":             func(c *Config) { c.SGs = []string{"maybe"} },
		"--mode auto":            func(c *Config) { c.Modes = []string{"auto"} },
		"--attach auto":          func(c *Config) { c.Attaches = []string{"auto"} },
		"--attach native: given": func(c *Config) { c.Attaches = []string{"native", "native"} },
		"--mode: the list is empty: leave the flag out": func(c *Config) { c.Modes = []string{} },
		"--mtu 20: choose from 68 to 65535":             func(c *Config) { c.MTUs = []int{20} },
		"--mtu 1500: given twice":                       func(c *Config) { c.MTUs = []int{1500, 1500} },
		"--time 1ms: choose from 100ms to 1h":           func(c *Config) { c.Time = time.Millisecond },
		"--turns -1: choose from 1 to 1000":             func(c *Config) { c.Turns = -1 },
		"no interface":                                  func(c *Config) { c.Interface = "" },
	} {
		s := newStage(t)
		change(&s.cfg)
		if _, err := s.measure(); err == nil || !strings.Contains(err.Error(), want) || !NotBegun(err) || len(s.log) > 0 {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestPrice(t *testing.T) {
	s := newStage(t)
	s.cfg.MTUs = []int{1500, 9000}
	s.cfg.setDefaults()
	link, _ := s.world().lookup("eth9")
	p := price(&s.cfg, link)
	if p.Rows != 16 || p.Xsend != 4 || p.Linux != 12 || p.Seconds != 16*3*2 {
		t.Errorf("%+v", p)
	}
	for i, want := range []string{"each of 12 runs", "MTU is set to 9000 for 24 runs, and put back to 1500", "for 36 runs of its own TCP"} {
		if !strings.Contains(p.Changes[i], want) {
			t.Errorf("%q, want %q", p.Changes[i], want)
		}
	}
	if _, err := os.Stat("/sys/class/net/none-such"); err == nil {
		t.Skip("there is an interface none-such")
	}
	if _, err := Ask(Config{Interface: "none-such", Target: receiver}); !errors.Is(err, hw.ErrNoInterface) {
		t.Errorf("%v", err)
	}
	if _, err := Ask(Config{Interface: "lo", Target: "x"}); err == nil || !strings.Contains(err.Error(), "give HOST:PORT") {
		t.Errorf("%v", err)
	}
}

// TestLimited: a row whose segments are smaller than its MTU says so, and why.
func TestLimited(t *testing.T) {
	for _, c := range []struct {
		local          string
		mtu, mss, path int
		want           string
	}{
		{"192.0.2.1:4000", 9000, 1448, 0, "segments carry 1448 of 8948 bytes: peer's MSS 1460, with timestamps"},
		{"192.0.2.1:4000", 9000, 1448, 9000, "segments carry 1448 of 8948 bytes: peer's MSS 1460, with timestamps"},
		{"192.0.2.1:4000", 9000, 1348, 1400, "segments carry 1348 of 8948 bytes: path MTU 1400"},
		{"192.0.2.1:4000", 9000, 8948, 0, ""},
		{"192.0.2.1:4000", 1500, 1460, 0, ""}, // no timestamps
		{"[2001:db8::1]:4000", 1500, 1428, 0, ""},
		{"[2001:db8::1]:4000", 1500, 1408, 0, "segments carry 1408 of 1428 bytes: peer's MSS 1420, with timestamps"},
	} {
		r := report{MSS: c.mss, Streams: []LocalStream{{netip.MustParseAddrPort(c.local), c.path}}}
		if got := r.limited(Cell{MTU: c.mtu}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	s := newStage(t)
	s.cfg.MTUs = []int{1500, 9000}
	child := s.child
	s.child = func(args []string, n int) (ended, error) {
		e, err := child(args, n)
		if value(args, "--mtu") == "9000" {
			e.out = bytes.Replace(e.out, []byte(`"mtu":1500`), []byte(`"mtu":9000`), 1)
		}
		return e, err
	}
	res := s.must()
	for _, row := range res.Rows {
		if (row.Limited != "") != (row.MTU == 9000) || row.Outcome != Done {
			t.Errorf("%v: %s, %q", row.Cell, row.Outcome, row.Limited)
		}
	}
	if want := len(res.Rows) / 2; res.Limited != want {
		t.Errorf("%d limited rows, want %d", res.Limited, want)
	}
}
