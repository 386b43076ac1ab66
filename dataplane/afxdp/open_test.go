package afxdp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

func TestModeNames(t *testing.T) {
	for _, m := range []Mode{ModeAuto, ModeCopy, ModeZeroCopy} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v reads back as %v, %v", m, got, err)
		}
	}
	for _, s := range []string{"", "Copy", "zero-copy", "mode 7"} {
		if m, err := ParseMode(s); err == nil {
			t.Errorf("ParseMode(%q) = %v, want an error", s, m)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	r := newRegion(t, 16)
	for name, cfg := range map[string]Config{
		"no region":               {Ifindex: 1},
		"no interface":            {Region: r},
		"negative queue":          {Region: r, Ifindex: 1, Queue: -1},
		"ring not a power of two": {Region: r, Ifindex: 1, TxRing: 100},
		"negative ring":           {Region: r, Ifindex: 1, RxRing: -2},
		"completion too small":    {Region: r, Ifindex: 1, TxRing: 4096, CompletionRing: 2048},
		"metadata of 8 bytes":     {Region: r, Ifindex: 1, TxMetadataLen: 8},
		"checksum, no metadata":   {Region: r, Ifindex: 1, TxSoftwareChecksum: true},
		"checksum in zero-copy":   {Region: r, Ifindex: 1, TxSoftwareChecksum: true, TxMetadataLen: MetadataLen, Mode: ModeZeroCopy},
		"unknown mode":            {Region: r, Ifindex: 1, Mode: 9},
		"negative timeout":        {Region: r, Ifindex: 1, BindTimeout: -1},
	} {
		if s, err := Open(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, %v, want ErrConfig", name, s, err)
		}
	}
	_, err := Open(t.Context(), Config{Region: r, Ifindex: 1, Mode: ModeZeroCopy, GenericProgram: true})
	if !errors.Is(err, ErrNoZeroCopy) {
		t.Errorf("zero-copy with a generic program: %v, want ErrNoZeroCopy", err)
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{TxRing: 4096}.withDefaults()
	if c.RxRing != 2048 || c.FillRing != 2048 || c.CompletionRing != 4096 || c.TxBudget != 4096 {
		t.Errorf("defaults: %+v", c)
	}
	if c := (Config{TxRing: 64}).withDefaults(); c.CompletionRing != 2048 {
		t.Errorf("completion ring for a small TX ring: %d", c.CompletionRing)
	}
}

// With a generic program zero-copy is not even tried (igb binds, and never sends).
func TestModeAttempts(t *testing.T) {
	const zc, cp = unix.XDP_ZEROCOPY, unix.XDP_COPY
	for _, c := range []struct {
		mode    Mode
		generic bool
		want    []uint16
	}{
		{ModeAuto, false, []uint16{zc, cp}},
		{ModeAuto, true, []uint16{cp}},
		{ModeCopy, false, []uint16{cp}},
		{ModeCopy, true, []uint16{cp}},
		{ModeZeroCopy, false, []uint16{zc}},
	} {
		if got := c.mode.Attempts(c.generic); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v, generic %v: %v, want %v", c.mode, c.generic, got, c.want)
		}
	}
}

func TestOpenAutoFallsBackToCopy(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	s := mustOpen(t, w, Config{Region: r})
	if s.Caps().ZeroCopy {
		t.Error("zero-copy on veth, says the kernel")
	}
	if s.SendBuffer() < 2048*2048 {
		t.Errorf("send buffer of %d bytes does not hold the frames of a completion ring", s.SendBuffer())
	}
	if k := sendOne(s, r, 0, 100); k != dataplane.KickOK {
		t.Errorf("kick: %v", k)
	}
}

// wantRefused checks the parts of an error: what it wraps, and what it says.
func wantRefused(t *testing.T, err error, sentinel error, errno unix.Errno, says ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) || !errors.Is(err, errno) {
		t.Fatalf("%v: want it to wrap %q and %q", err, sentinel, errno)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestOpenRefused(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	_, err := tryOpen(t, w, Config{Region: r, Mode: ModeZeroCopy})
	wantRefused(t, err, ErrNoZeroCopy, unix.EOPNOTSUPP, "near0 queue 0", "driver has no zero-copy", "use copy mode")
	for _, m := range []Mode{ModeAuto, ModeCopy} {
		_, err = tryOpen(t, w, Config{Region: r, Mode: m, Queue: 1})
		wantRefused(t, err, ErrNoQueue, unix.EINVAL, "near0 queue 1", "ethtool -l")
	}
	err = w.Near.Try(func() error {
		_, err := Open(t.Context(), Config{Region: r, Ifindex: 99999})
		return err
	})
	wantRefused(t, err, ErrNoInterface, unix.ENODEV, "interface 99999", "network namespace")
}

func TestOpenQueueBusy(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	first := mustOpen(t, w, Config{Region: r})
	start := time.Now()
	_, err := tryOpen(t, w, Config{Region: r, BindTimeout: 50 * time.Millisecond})
	wantRefused(t, err, ErrQueueBusy, unix.EBUSY, "near0 queue 0", "another AF_XDP socket", "waited 50ms")
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
	if k := sendOne(first, r, 0, 100); k != dataplane.KickOK {
		t.Errorf("the socket that had the queue: %v", k)
	}
}

// A queue that is let go of meanwhile is had, and a context ends the waiting.
func TestOpenWaitsForQueue(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	first := mustOpen(t, w, Config{Region: r})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("second thoughts")) })
	err := w.Near.Try(func() error {
		_, err := Open(ctx, onWire(w, Config{Region: r, BindTimeout: time.Minute}))
		return err
	})
	wantRefused(t, err, ErrQueueBusy, unix.EBUSY, "second thoughts")
	closed := make(chan error)
	time.AfterFunc(20*time.Millisecond, func() { closed <- first.Close() })
	mustOpenDuring(t, w, Config{Region: r, BindTimeout: time.Minute}, closed)
}

// mustOpenDuring opens while another goroutine closes and reports it.
func mustOpenDuring(t *testing.T, w *porttest.Wire, cfg Config, closed <-chan error) {
	t.Helper()
	opened := make(chan error, 1)
	go func() {
		s, err := tryOpen(t, w, cfg)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := errors.Join(<-closed, <-opened); err != nil {
		t.Fatal(err)
	}
}

// Close and Open at once, again and again: the kernel lets go of a queue late.
func TestReopenAtOnce(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	peer, buf := w.Far.NewPeer(t), make([]byte, 4096)
	for i := range 50 {
		s, err := tryOpen(t, w, Config{Region: r, TxRing: 64, RxRing: 64, FillRing: 64, CompletionRing: 64})
		if err != nil {
			t.Fatalf("opening number %d: %v", i, err)
		}
		if k := sendOne(s, r, umem.Frame(i), 100); k != dataplane.KickOK {
			t.Fatalf("opening number %d: kick %v", i, k)
		}
		n := peer.Next(buf, 5*time.Second)
		if seq, err := porttest.CheckFrame(buf[:n]); err != nil || int(seq) != i {
			t.Fatalf("opening number %d: frame %d arrived, %v", i, seq, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The control of the test above: a ring that stays mapped keeps the queue for ever.
func TestMappedRingKeepsTheQueue(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	s := mustOpen(t, w, Config{Region: r})
	ring := s.maps[0]
	s.maps = s.maps[1:]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := tryOpen(t, w, Config{Region: r, BindTimeout: 200 * time.Millisecond})
	wantRefused(t, err, ErrQueueBusy, unix.EBUSY)
	if err := unix.Munmap(ring); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, w, Config{Region: r})
}

// Two queues, each with a socket that registers the same region.
func TestTwoQueuesOneRegion(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{Queues: 2}), newRegion(t, 64)
	m := w.Near.Redirect(t, link.XDPDriverMode)
	peer, buf := w.Far.NewPeer(t), make([]byte, 4096)
	var socks [2]*Socket
	for q := range socks {
		socks[q] = mustOpen(t, w, Config{Region: r, Mode: ModeCopy, Queue: q})
		steer(t, m, socks[q])
		f := umem.Frame(10 + q)
		if k := sendOne(socks[q], r, f, 300); k != dataplane.KickOK {
			t.Fatalf("queue %d: kick %v", q, k)
		}
		n := peer.Next(buf, 5*time.Second)
		if seq, err := porttest.CheckFrame(buf[:n]); err != nil || umem.Frame(seq) != f {
			t.Fatalf("queue %d: frame %d arrived, %v", q, seq, err)
		}
		if got := reapAll(socks[q], 1, time.Second); len(got) != 1 || got[0] != r.Addr(f) {
			t.Fatalf("queue %d: completed %v, want %#x", q, got, r.Addr(f))
		}
		if socks[q].Reap(make([]uint64, 1)) != 0 || socks[1-q] != nil && socks[1-q].Reap(make([]uint64, 1)) != 0 {
			t.Fatalf("queue %d: a completion too many", q)
		}
	}
}

func TestStatsCountsWhatCouldNotBeReceived(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	steer(t, w.Near.Redirect(t, link.XDPDriverMode), s)
	peer := w.Far.NewPeer(t)
	for i := range uint32(3) {
		if err := peer.Send(porttest.PutFrame(make([]byte, 100), i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	var st Stats
	for end := time.Now().Add(5 * time.Second); st.FillRingEmpty < 3; {
		var err error
		if st, err = s.Stats(); err != nil || time.Now().After(end) {
			t.Fatalf("statistics after 3 frames with nothing to receive into: %+v, %v", st, err)
		}
	}
}
