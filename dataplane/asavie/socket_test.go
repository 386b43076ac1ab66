package asavie

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/asavie/xdp"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

// small is a socket with little memory, for tests that open many.
var small = Config{Frames: 64, TxRing: 64, RxRing: 64, FillRing: 64, CompletionRing: 64}

func tryOpen(t testing.TB, w *porttest.Wire, cfg Config) (s *Socket, err error) {
	t.Helper()
	cfg.Ifindex, cfg.Ifname = w.Near.Index, "near0"
	err = w.Near.Try(func() (err error) {
		s, err = Open(t.Context(), cfg)
		return err
	})
	return s, err
}

func mustOpen(t testing.TB, w *porttest.Wire, cfg Config) *Socket {
	t.Helper()
	s, err := tryOpen(t, w, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), s.Free()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func conformance(mode link.XDPAttachFlags) porttest.Open {
	return func(t testing.TB, shape porttest.Shape) *porttest.Rig {
		w := porttest.NewWire(t, porttest.WireConfig{})
		m := w.Near.Redirect(t, mode)
		s := mustOpen(t, w, Config{
			Frames: shape.Frames, Mode: afxdp.ModeCopy, GenericProgram: mode == link.XDPGenericMode,
			TxRing: shape.TxRing, RxRing: shape.RxRing, FillRing: shape.FillRing, CompletionRing: shape.Completion,
		})
		if err := m.Put(uint32(0), uint32(s.FD())); err != nil {
			t.Fatal(err)
		}
		return porttest.WireRig(t, w, s, s.Region())
	}
}

func TestConformanceNativeProgram(t *testing.T) {
	porttest.Run(t, conformance(link.XDPDriverMode))
}

func TestConformanceGenericProgram(t *testing.T) {
	porttest.Run(t, conformance(link.XDPGenericMode))
}

func TestConfigRefused(t *testing.T) {
	with := func(change func(*Config)) Config {
		c := Config{Ifindex: 1, Frames: 64}
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  Config
		want error
		says string
	}{
		"scatter-gather":       {with(func(c *Config) { c.SG = true }), ErrUnsupported, "scatter-gather"},
		"metadata":             {with(func(c *Config) { c.TxMetadataLen = 24 }), ErrUnsupported, "metadata"},
		"budget":               {with(func(c *Config) { c.TxBudget = 512 }), ErrUnsupported, "budget"},
		"huge pages":           {with(func(c *Config) { c.HugePages = true }), ErrUnsupported, "huge pages"},
		"4 GiB":                {with(func(c *Config) { c.Frames = 2 << 20 }), ErrUnsupported, "4 GiB"},
		"generic zero-copy":    {with(func(c *Config) { c.Mode, c.GenericProgram = afxdp.ModeZeroCopy, true }), afxdp.ErrNoZeroCopy, "generic"},
		"no interface":         {with(func(c *Config) { c.Ifindex = 0 }), ErrConfig, ""},
		"no frames":            {with(func(c *Config) { c.Frames = 0 }), ErrConfig, ""},
		"odd chunk":            {with(func(c *Config) { c.ChunkSize = 3000 }), ErrConfig, ""},
		"odd ring":             {with(func(c *Config) { c.RxRing = 100 }), ErrConfig, ""},
		"negative ring":        {with(func(c *Config) { c.FillRing = -4 }), ErrConfig, ""},
		"completion too small": {with(func(c *Config) { c.TxRing, c.CompletionRing = 64, 32 }), ErrConfig, ""},
	} {
		s, err := Open(t.Context(), c.cfg)
		if s != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.want, c.says)
		}
	}
	if storesInOrder("arm64") || !storesInOrder("amd64") {
		t.Error("arm64 reorders stores, amd64 does not")
	}
}

func TestOpenRefused(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{Queues: 2})
	first := mustOpen(t, w, small)
	for _, c := range []struct {
		change func(*Config)
		want   error
		errno  unix.Errno
	}{
		{func(c *Config) {}, afxdp.ErrQueueBusy, unix.EBUSY},
		{func(c *Config) { c.Queue = 3 }, afxdp.ErrNoQueue, unix.EINVAL},
		{func(c *Config) { c.Mode, c.Queue = afxdp.ModeZeroCopy, 1 }, afxdp.ErrNoZeroCopy, unix.EOPNOTSUPP},
	} {
		cfg := small
		cfg.BindTimeout = 20 * time.Millisecond
		c.change(&cfg)
		if _, err := tryOpen(t, w, cfg); !errors.Is(err, c.want) || !errors.Is(err, c.errno) {
			t.Errorf("%v, want %v and %v", err, c.want, c.errno)
		}
	}
	if xdp.DefaultSocketFlags != 0 {
		t.Errorf("the library's global flags are left at %d", xdp.DefaultSocketFlags)
	}
	if rings, err := ringMappings(); err != nil || len(rings) != 1 {
		t.Errorf("%d sockets have rings mapped (%v), want the one that is open", len(rings), err)
	}
	if first.Caps().ZeroCopy {
		t.Error("zero-copy on veth, says the kernel")
	}
}

// Control of the sweeping: the library alone leaves the rings of a failed NewSocket
// mapped.
func TestLibraryLeavesRingsMapped(t *testing.T) {
	porttest.NeedRoot(t)
	before, err := ringMappings()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xdp.NewSocket(1<<30, 0, nil); err == nil {
		t.Fatal("a socket on an interface that does not exist")
	}
	after, err := ringMappings()
	if err != nil || len(after) != len(before)+1 {
		t.Fatalf("%d sockets with rings before, %d after (%v): the library does not leak any more, and rings.go can go", len(before), len(after), err)
	}
	if err := unmapOrphans(before); err != nil {
		t.Fatal(err)
	}
	if after, err = ringMappings(); err != nil || len(after) != len(before) {
		t.Errorf("%d sockets with rings after sweeping, want %d (%v)", len(after), len(before), err)
	}
}

func TestReopenAtOnce(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{})
	peer, buf := w.Far.NewPeer(t), make([]byte, 4096)
	for i := range 50 {
		s, err := tryOpen(t, w, small)
		if err != nil {
			t.Fatalf("opening number %d: %v", i, err)
		}
		porttest.PutFrame(s.Region().Bytes(0), uint32(i), 100)
		s.Tx([]umem.Desc{{Len: 100}})
		if k := s.Kick(); k != dataplane.KickOK {
			t.Fatalf("opening number %d: kick %v", i, k)
		}
		n := peer.Next(buf, 5*time.Second)
		if seq, err := porttest.CheckFrame(buf[:n]); err != nil || int(seq) != i {
			t.Fatalf("opening number %d: frame %d arrived, %v", i, seq, err)
		}
		if err := errors.Join(s.Close(), s.Free()); err != nil {
			t.Fatal(err)
		}
	}
	if rings, err := ringMappings(); err != nil || len(rings) != 0 {
		t.Errorf("%d sockets have rings mapped after 50 were closed (%v)", len(rings), err)
	}
}

// A writer who is late writes into memory that is still there.
func TestRegionOutlivesClose(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{})
	s := mustOpen(t, w, small)
	late := s.Region().Bytes(5)
	if err := s.Free(); err == nil {
		t.Error("Free of an open socket did not refuse")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range late {
		late[i] = 0xAA
	}
	if !bytes.Equal(s.Region().Bytes(5), late) {
		t.Error("the region is not what the writer wrote")
	}
	mustOpen(t, w, small) // the queue is free although the region is there
}

func TestTwoQueues(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{Queues: 2})
	peer, buf := w.Far.NewPeer(t), make([]byte, 4096)
	for q := range 2 {
		cfg := small
		cfg.Queue = q
		s := mustOpen(t, w, cfg)
		porttest.PutFrame(s.Region().Bytes(3), uint32(q), 100)
		s.Tx([]umem.Desc{{Addr: s.Region().Addr(3), Len: 100}})
		n := peer.Next(buf, 5*time.Second)
		if seq, err := porttest.CheckFrame(buf[:n]); err != nil || int(seq) != q {
			t.Fatalf("queue %d: frame %d arrived, %v", q, seq, err)
		}
	}
}

// The panics of the library become answers.
func TestPanicsBecomeKicks(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{})
	s := mustOpen(t, w, small)
	w.Near.Up(t, false)
	s.Tx([]umem.Desc{{Len: 100}})
	if k := s.Kick(); k != dataplane.KickDown || s.Counters().Last != unix.ENETDOWN || s.Corrupt() {
		t.Errorf("interface down: %v, %+v, corrupt %v", k, s.Counters(), s.Corrupt())
	}
	w.Near.Delete(t)
	if k := s.Kick(); k != dataplane.KickDead || s.Counters().Last != unix.ENXIO || s.Corrupt() {
		t.Errorf("interface deleted: %v, %+v, corrupt %v", k, s.Counters(), s.Corrupt())
	}
	s.Tx([]umem.Desc{{Addr: 1 << 40, Len: 100}}) // the library looks it up in a slice
	if k := s.Kick(); k != dataplane.KickDead || !s.Corrupt() {
		t.Errorf("descriptor outside the UMEM: %v, corrupt %v", k, s.Corrupt())
	}
}

func TestPanickedWithAnythingElse(t *testing.T) {
	for _, p := range []any{"text", 7, errors.New("sendto failed"), errors.New("sendto failed with rc=1 and errno=x")} {
		s := &Socket{}
		if k := s.panicked(p); k != dataplane.KickDead || !s.corrupt {
			t.Errorf("panic(%v): %v, corrupt %v", p, k, s.corrupt)
		}
	}
}

func TestStats(t *testing.T) {
	w := porttest.NewWire(t, porttest.WireConfig{})
	s := mustOpen(t, w, small)
	s.Tx(make([]umem.Desc, 3)) // invalid: no length
	st, err := s.Stats()
	if err != nil || st.KernelStats.Tx_invalid_descs == 0 {
		t.Errorf("%+v, %v: want invalid descriptors", st, err)
	}
}
