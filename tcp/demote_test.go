package tcp

import (
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/umem"
)

func testArena(tb testing.TB, bytes int) *umem.Arena {
	tb.Helper()
	a, err := umem.MapArena(bytes)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = a.Close() })
	return a
}

// stopped is a connection whose n bytes wait for a peer with a closed window, in the arena.
func stopped(t *testing.T, n int, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := established(t, func(c *Config, h *harness) {
		c.Hold, c.Arena = Hold{Policy: HoldDemote, Time: 100 * Millisecond}, testArena(t, 1<<20)
		c.InitialCwnd = 100
		if edit != nil {
			edit(c, h)
		}
	})
	h.wnd = 0
	h.ack(0)
	for left, size := n, min(h.c.MSS(), 2048-payloadAt); left > 0; left -= size {
		size = min(size, left)
		h.writeFrame(payloadAt, size)
	}
	h.transmit()
	h.wantNothing()
	h.advance(100 * Millisecond)
	for h.c.Demoting() {
		h.c.Demote(h.now, 1)
		h.check()
	}
	if bytes, _ := h.c.Demoted(); bytes != n || !h.c.Stopped() {
		t.Fatalf("%d of %d bytes are demoted, stopped %v", bytes, n, h.c.Stopped())
	}
	h.out = nil // probes
	return h
}

// The kernel completes nothing: the copies that are out have a bound, whatever the window allows, and the reserve's other half
// stays.
func TestArenaSendsFewAtATime(t *testing.T) {
	const segments = 40
	h := stopped(t, segments*1448, nil)
	h.hold = true
	h.wnd = 65535
	h.ack(0)
	descs := 0
	for _, s := range h.out {
		descs += 1 + s.tx.Parts
	}
	if descs > arenaOut || descs < arenaOut-MaxDescs || h.c.hold.out != descs {
		t.Errorf("%d descriptors are out, counted %d, the most are %d", descs, h.c.hold.out, arenaOut)
	}
	for at := 0; at < segments*1448; {
		n := len(h.out)
		if n == 0 {
			t.Fatalf("nothing is sent from byte %d on", at)
		}
		h.wantData(at, at+n*1448)
		at += n * 1448
		h.complete()
	}
	h.ack(segments * 1448)
	h.complete()
	if bytes, commits := h.c.Demoted(); bytes != 0 || commits != 0 || h.c.hold.out != 0 || h.c.cfg.Arena.Used() != 0 {
		t.Errorf("%d bytes, %d commits, %d descriptors, %d bytes of the arena are left", bytes, commits, h.c.hold.out, h.c.cfg.Arena.Used())
	}
}

// A jumbo segment lies over frames, then over blocks, and is sent over frames of the engine's; with metadata before each
// there is room for it.
func TestArenaSendsJumbo(t *testing.T) {
	if testSegs <= 1 {
		t.Skip("it is about packets of several descriptors")
	}
	const mtu = 5900
	h := stopped(t, 3*(mtu-52), func(c *Config, h *harness) { c.MTU, h.opts.MSS = mtu, mtu-40 })
	h.hold = true
	h.wnd = 65535
	h.ack(0)
	for _, s := range h.out {
		for _, p := range s.tx.Rest[:s.tx.Parts] {
			if p.Addr%2048 != metadataRoom || p.Len > 2048-metadataRoom || h.pool.InKernel(p.Frame) != 1 {
				t.Errorf("part %+v", p)
			}
		}
	}
	h.wantData(0, 2*(mtu-52))
	h.complete()
	h.wantData(2*(mtu-52), 3*(mtu-52))
	h.ack(3 * (mtu - 52))
	h.complete()
}

// What an ACK covers in part stays whole, and its frames' commits are counted as gone with it.
func TestDemotedCommits(t *testing.T) {
	h := stopped(t, 4*1448, nil)
	per := h.c.slotsPerCommit()
	if _, commits := h.c.Demoted(); commits != (4+per-1)/per {
		t.Errorf("%d commits", commits)
	}
	h.wnd = 65535
	h.ack(0)
	h.wantData(0, 4*1448)
	h.ack(1448 + 1)
	if bytes, _ := h.c.Demoted(); bytes != 3*1448 || h.c.BytesAcked() != 1449 || h.c.Stopped() {
		t.Errorf("%d bytes, %d ACKed, stopped %v", bytes, h.c.BytesAcked(), h.c.Stopped())
	}
	h.out = nil
	h.ack(4 * 1448)
}

// Each way to end by a limit says its numbers and what helps.
func TestHoldErrorText(t *testing.T) {
	e := HoldError{Waited: 12 * Second, Limit: 10 * Second, Held: 1000, Demoted: 2000, ArenaSize: 4096, ArenaUsed: 4095}
	for cause, wants := range map[HoldCause][]string{
		HoldTimeOver:  {"12.0 s", "1000", "2000", "10.0 s", "longer hold time"},
		HoldAbortOver: {"12.0 s", "10.0 s", "hold abort time"},
		HoldArenaFull: {"4096", "4095", "larger"},
		HoldNoArena:   {"no arena"},
		HoldQueueFull: {"send queue", "longer"},
	} {
		e.Cause = cause
		for _, want := range wants {
			if !strings.Contains(e.Error(), want) {
				t.Errorf("cause %d: %q lacks %q", cause, e.Error(), want)
			}
		}
	}
	if !errors.Is(&e, ErrHoldLimit) {
		t.Error("it is no ErrHoldLimit")
	}
}

func TestHoldRefused(t *testing.T) {
	h := newHarness(t, nil)
	tight, err := umem.NewPool(h.region, 0, 64, leastReserve-1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		hold  Hold
		resum bool
		pool  *umem.Pool
	}{
		"policy":         {hold: Hold{Policy: "never"}},
		"bytes":          {hold: Hold{Bytes: -1}},
		"time":           {hold: Hold{Time: -1}},
		"long":           {hold: Hold{Time: maxSpan + 1}},
		"long abort":     {hold: Hold{Abort: maxSpan + 1}},
		"order":          {hold: Hold{Policy: HoldDemote, Time: 2 * Second, Abort: Second}},
		"wrong mode":     {hold: Hold{Policy: HoldDemote}, resum: true},
		"wrong, abort":   {hold: Hold{Policy: HoldAbort}, resum: true},
		"little reserve": {hold: Hold{Policy: HoldDemote}, pool: tight},
	} {
		pool := h.pool
		if c.pool != nil {
			pool = c.pool
		}
		if _, err := New(Config{Flow: testFlow, MTU: 1500, Hold: c.hold, Resum: c.resum, Arena: testArena(t, 4096)}, pool); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, hold := range map[string]Hold{"defaults": {Policy: HoldDemote}, "long first": {Policy: HoldDemote, Time: 2 * DefaultHoldAbort}, "never": {Policy: HoldDemote, Abort: -1}} {
		if _, err := New(Config{Flow: testFlow, MTU: 1500, Hold: hold}, h.pool); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// In every disorder that the random events make, demotion keeps the books, and what is sent is what was written although released
// frames are cleared.
func TestRandomEventsWithDemotion(t *testing.T) {
	runs := uint64(1000)
	if testing.Short() {
		runs = 200
	}
	arena := testArena(t, 64<<10)
	demoted := 0
	for seed := range runs {
		_, err := runEventsWith(randomEvents(seed+9000, 200+int(seed%7)*300), func(cfg *Config) {
			cfg.Hold, cfg.Arena = Hold{Policy: HoldDemote, Time: Millisecond << (seed % 12), Abort: Second << (seed % 4)}, arena
			cfg.UserTimeout = 0
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if arena.Used() != 0 || arena.Audit() != nil {
			t.Fatalf("seed %d: %d bytes of the arena are left: %v", seed, arena.Used(), arena.Audit())
		}
		if arena.Peak() > 0 {
			demoted++
		}
	}
	if demoted == 0 {
		t.Error("nothing was ever demoted")
	}
}

// Neither demotion nor sending from the arena allocates, nor does the end by a limit.
func TestDemotionDoesNotAllocate(t *testing.T) {
	h := stopped(t, 60*1448, nil)
	var txs [32]Tx
	h.c.sndWnd = 65535
	n := 0
	if a := testing.AllocsPerRun(20, func() {
		for _, tx := range txs[:h.c.Transmit(h.now, txs[:])] {
			completeAll(h.pool, h.c, h.now, &tx)
			n++
		}
		h.now += Millisecond
		h.c.Advance(h.now)
	}); a != 0 || n == 0 {
		t.Errorf("%v allocations, %d packets", a, n)
	}
	h.out = nil
	k := -1
	var all []*harness
	for range 4 {
		g := established(t, func(c *Config, _ *harness) {
			c.Hold, c.Arena = Hold{Policy: HoldDemote, Time: Millisecond}, testArena(t, 4*umem.BlockSize)
		})
		g.wnd = 0
		g.ack(0)
		g.write(60 * 1448)
		g.now += Millisecond
		all = append(all, g)
	}
	if a := testing.AllocsPerRun(2, func() {
		k++
		g := all[k]
		g.c.Advance(g.now)
		for g.c.Demoting() {
			g.c.Demote(g.now, 5000)
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
	for _, g := range all[:k+1] {
		var e *HoldError
		if !errors.As(g.c.Err(), &e) || e.Cause != HoldArenaFull {
			t.Errorf("ended with %v", g.c.Err())
		}
		g.transmit()
		g.out = nil
	}
}
