package afxdp

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// The rows of the errno table that a veth pair can show, each by its cause.

// queue publishes n small frames without a kick.
func queue(s *Socket, r *umem.Region, n int) {
	for i := range n {
		f := umem.Frame(i % r.Frames())
		porttest.PutFrame(r.Bytes(f), uint32(f), 64)
		s.Tx([]umem.Desc{{Addr: r.Addr(f), Len: 64}})
	}
}

func wantKick(t *testing.T, s *Socket, want dataplane.Kick, unsent int) {
	t.Helper()
	if k := s.Kick(); k != want || s.TxUnsent() != unsent {
		t.Fatalf("kick: %v with %d unsent, want %v with %d (%+v)", k, s.TxUnsent(), want, unsent, s.Counters())
	}
}

func TestKickAgainWhenBudgetIsUsedUp(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 128)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, TxBudget: 32})
	if s.Budget() != 32 {
		t.Fatalf("budget %d, asked for 32", s.Budget())
	}
	queue(s, r, 80)
	wantKick(t, s, dataplane.KickAgain, 48)
	wantKick(t, s, dataplane.KickAgain, 16)
	wantKick(t, s, dataplane.KickOK, 0)
	wantKick(t, s, dataplane.KickIdle, 0)
	if c := s.Counters(); c.Again != 2 || c.OK != 1 || c.Idle != 1 || c.Last != 0 {
		t.Errorf("counters: %+v", c)
	}
}

// The control of the test above: the largest budget takes all of it at once.
func TestKickWithFullBudget(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 128)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, TxRing: 1024})
	if s.Budget() == defaultBudget {
		t.Skip("needs a kernel with XDP_MAX_TX_SKB_BUDGET")
	}
	queue(s, r, 1024)
	wantKick(t, s, dataplane.KickOK, 0)
	if n := s.Counters().Calls(); n != 1 {
		t.Errorf("%d system calls for one full ring, want 1", n)
	}
}

func TestKickAgainWhenCompletionRingIsFull(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 128)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, TxRing: 64, CompletionRing: 64})
	queue(s, r, 64)
	wantKick(t, s, dataplane.KickOK, 0)
	queue(s, r, 64)
	wantKick(t, s, dataplane.KickAgain, 64)
	wantKick(t, s, dataplane.KickAgain, 64)
	if n := len(reapAll(s, 64, time.Second)); n != 64 {
		t.Fatalf("%d completed, want 64", n)
	}
	wantKick(t, s, dataplane.KickOK, 0)
}

func TestKickDroppedAboveMTU(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	peer := w.Far.NewPeer(t)
	if k := sendOne(s, r, 0, 2000); k != dataplane.KickDropped {
		t.Fatalf("2000 bytes at MTU 1500: %v, want dropped", k)
	}
	if got := reapAll(s, 1, time.Second); len(got) != 1 || got[0] != r.Addr(0) {
		t.Errorf("completed %v, want the dropped frame", got)
	}
	if n := peer.Next(make([]byte, 4096), 20*time.Millisecond); n != 0 {
		t.Errorf("%d bytes arrived", n)
	}
	if c := s.Counters(); c.Dropped != 1 || c.Last != unix.EBUSY {
		t.Errorf("counters: %+v", c)
	}
}

func TestKickDroppedWhenPeerIsDown(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	w.Far.Up(t, false)
	if k := sendOne(s, r, 0, 200); k != dataplane.KickDropped {
		t.Fatalf("peer down: %v, want dropped", k)
	}
	if got := reapAll(s, 1, time.Second); len(got) != 1 {
		t.Errorf("%d completed, want 1", len(got))
	}
}

func TestKickDownThenUp(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	peer := w.Far.NewPeer(t)
	w.Near.Up(t, false)
	if k := sendOne(s, r, 3, 200); k != dataplane.KickDown || s.TxUnsent() != 1 {
		t.Fatalf("interface down: %v with %d unsent, want down with 1", k, s.TxUnsent())
	}
	w.Near.Up(t, true)
	buf := make([]byte, 4096)
	n := 0
	for end := time.Now().Add(5 * time.Second); n == 0 && time.Now().Before(end); {
		if s.Kick() == dataplane.KickDropped { // the carrier is a little later than up: a loss
			sendOne(s, r, 3, 200)
		}
		n = peer.Next(buf, 10*time.Millisecond)
	}
	if seq, err := porttest.CheckFrame(buf[:n]); err != nil || seq != 3 {
		t.Errorf("frame %d arrived after up (%v), want 3", seq, err)
	}
}

// Bad metadata poisons the head of the TX ring: nothing behind it ever leaves.
func TestKickDeadByBadMetadata(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, TxMetadataLen: MetadataLen})
	if !s.Caps().TxMetadata {
		t.Fatalf("caps: %+v", s.Caps())
	}
	const head = 64
	porttest.PutFrame(r.Bytes(0)[head:], 0, 200)
	r.Bytes(0)[head-MetadataLen] = 0x80 // a flag that no kernel knows
	s.Tx([]umem.Desc{{Addr: r.Addr(0) + head, Len: 200, Options: unix.XDP_TX_METADATA}})
	for range 3 {
		wantKick(t, s, dataplane.KickDead, 1)
	}
	if c := s.Counters(); c.Dead != 3 || c.Last != unix.EINVAL {
		t.Errorf("counters: %+v", c)
	}
}

// The control of the test above: good metadata goes out.
func TestKickWithMetadata(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, TxMetadataLen: MetadataLen})
	peer := w.Far.NewPeer(t)
	const head = 64
	porttest.PutFrame(r.Bytes(0)[head:], 0, 200)
	s.Tx([]umem.Desc{{Addr: r.Addr(0) + head, Len: 200, Options: unix.XDP_TX_METADATA}})
	wantKick(t, s, dataplane.KickOK, 0)
	buf := make([]byte, 4096)
	n := peer.Next(buf, 5*time.Second)
	if _, err := porttest.CheckFrame(buf[:n]); err != nil {
		t.Error(err)
	}
}

// A checksum that is asked for on a veth with tx-checksum on leaves as its seed, and nobody
// computes it; with TxSoftwareChecksum the kernel does, in its copy: the frame stays as it is.
func TestKernelComputesChecksum(t *testing.T) {
	for _, kernel := range []bool{false, true} {
		w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
		s := mustOpen(t, w, Config{Region: r, TxMetadataLen: MetadataLen, TxSoftwareChecksum: kernel})
		if s.Caps().ZeroCopy || !s.Caps().TxMetadata {
			t.Fatalf("%+v", s.Caps())
		}
		peer := w.Far.NewPeer(t)
		const head, size, start, offset = 64, 200, 34, 16
		sent := porttest.PutFrame(r.Bytes(0)[head:], 0, size)
		binary.BigEndian.PutUint16(sent[start+offset:], 0x1234) // the seed
		m := r.Bytes(0)[head-MetadataLen : head]
		binary.NativeEndian.PutUint64(m, 1<<1) // XDP_TXMD_FLAGS_CHECKSUM
		binary.NativeEndian.PutUint16(m[8:], start)
		binary.NativeEndian.PutUint16(m[10:], offset)
		want := bytes.Clone(sent)
		if kernel {
			wire.Complete(want, start, offset)
		}
		before := bytes.Clone(r.Bytes(0))
		s.Tx([]umem.Desc{{Addr: r.Addr(0) + head, Len: size, Options: unix.XDP_TX_METADATA}})
		wantKick(t, s, dataplane.KickOK, 0)
		buf := make([]byte, 4096)
		if n := peer.Next(buf, 5*time.Second); !bytes.Equal(buf[:n], want) {
			t.Errorf("kernel %v: %d bytes with checksum % x, want % x", kernel, n, buf[start+offset:start+offset+2], want[start+offset:start+offset+2])
		}
		if !bytes.Equal(before, r.Bytes(0)) {
			t.Errorf("kernel %v: the frame was written to", kernel)
		}
	}
}

// An interface that is deleted takes the binding along: ENXIO, for ever.
func TestKickDeadWhenInterfaceIsDeleted(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	w.Near.Delete(t)
	if k := sendOne(s, r, 0, 200); k != dataplane.KickDead {
		t.Fatalf("interface deleted: %v, want dead (%+v)", k, s.Counters())
	}
	if c := s.Counters(); c.Last != unix.ENXIO {
		t.Errorf("answer of an unbound socket: %v, want ENXIO", c.Last)
	}
	start := time.Now()
	s.Wait(20 * time.Millisecond)
	if time.Since(start) < 10*time.Millisecond {
		t.Error("Wait on a dead socket returns at once")
	}
}

// An invalid descriptor comes back as completed, word for word, and is counted:
// this is why addresses from the completion ring are input.
func TestInvalidDescriptorComesBack(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy})
	const nowhere = 1 << 30
	s.Tx([]umem.Desc{{Addr: nowhere, Len: 200}})
	s.Kick()
	got := reapAll(s, 1, 200*time.Millisecond)
	st, err := s.Stats()
	if err != nil || st.TxInvalid != 1 {
		t.Errorf("statistics after an invalid descriptor: %+v, %v", st, err)
	}
	if len(got) == 1 && got[0] != nowhere || len(got) > 1 {
		t.Errorf("completed %#x, want %#x or, on older kernels, nothing", got, nowhere)
	}
	if s.Corrupt() {
		t.Error("an address that is nonsense is not a ring index that is")
	}
}

func TestSGPacketOfTwoDescriptors(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 64)
	s := mustOpen(t, w, Config{Region: r, Mode: ModeCopy, SG: true})
	if c := s.Caps(); !c.SG || c.MaxSegs != copyMaxSegs {
		t.Fatalf("caps: %+v", c)
	}
	peer := w.Far.NewPeer(t)
	whole := porttest.PutFrame(make([]byte, 1514), 5, 1514)
	copy(r.Bytes(1), whole[:54])
	copy(r.Bytes(2), whole[54:])
	s.Tx([]umem.Desc{{Addr: r.Addr(1), Len: 54, Options: unix.XDP_PKT_CONTD}, {Addr: r.Addr(2), Len: 1460}})
	wantKick(t, s, dataplane.KickOK, 0)
	buf := make([]byte, 4096)
	n := peer.Next(buf, 5*time.Second)
	if seq, err := porttest.CheckFrame(buf[:n]); err != nil || seq != 5 {
		t.Errorf("frame %d: %v", seq, err)
	}
	if got := reapAll(s, 2, time.Second); len(got) != 2 {
		t.Errorf("%d completed, want both descriptors", len(got))
	}
}
