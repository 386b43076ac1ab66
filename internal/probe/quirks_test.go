package probe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/umem"
)

// TestQuirks: what every kernel from 6.12 on shows alike, and of the rest that it is answered.
func TestQuirks(t *testing.T) {
	onPair(t, func(r *rig) {
		list := tryQuirks(t.Context())
		want(t, list, map[string]string{
			"metadata_checksum": "yes|wrong with a wrong one", "software_checksum": "yes|wrong with a wrong one",
			"tx_budget_default": "yes", "max_fragments": "yes", "lost_frame_completed": "yes|EBUSY",
		})
		if f := list.Named("tx_budget_default"); f.Value != 32 || f.Unit != "descriptors" {
			t.Errorf("a doorbell takes %d %s", f.Value, f.Unit)
		}
		if f := list.Named("tx_budget_raised"); (f.Found == Yes) != (f.Value == burst) || f.Value < 32 {
			t.Errorf("%+v", f)
		}
		if f := list.Named("max_fragments"); f.Value < 16 || f.Value > 46 { // CONFIG_MAX_SKB_FRAGS is 17 to 45
			t.Errorf("%d descriptors in a packet", f.Value)
		}
		for _, f := range list {
			if f.Found == Untried {
				t.Errorf("%+v", f)
			}
		}
	})
}

// TestInterruptedQuirks are not tried, and say so.
func TestInterruptedQuirks(t *testing.T) {
	onPair(t, func(r *rig) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("second thoughts"))
		for _, f := range tryQuirks(ctx) {
			if f.Found != Untried || !strings.Contains(f.Reason, "second thoughts") {
				t.Errorf("%+v", f)
			}
		}
	})
}

// TestChecksumControls: a device that claims to sum and doesn't leaves a wrong one; without a request nothing is summed.
func TestChecksumControls(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.setChecksum(true))
		var f Finding
		r.ok(r.tryOn(t.Context(), afxdp.Config{TxMetadataLen: afxdp.MetadataLen}, f.checksum))
		if f.Found != No || !strings.Contains(f.Reason, "wrong sum") {
			t.Errorf("veth's own checksum: %+v", f)
		}
		r.ok(r.setChecksum(false))
		r.ok(r.tryOn(t.Context(), afxdp.Config{TxMetadataLen: afxdp.MetadataLen}, func(s *trial) error {
			s.send(s.put(0, quirkLen))
			if got := s.receive(arrival); len(got) != quirkLen || summed(got) {
				t.Errorf("without a request: %d bytes, the sum is right: %v", len(got), summed(got))
			}
			return nil
		}))
	})
}

// TestGoodDescriptorsShowNothing: what the quirks are told by doesn't happen with good ones.
func TestGoodDescriptorsShowNothing(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.tryOn(t.Context(), afxdp.Config{TxMetadataLen: afxdp.MetadataLen}, func(s *trial) error {
			wedged, completed := s.wedgedBy(0) // metadata that asks for nothing
			st, err := s.socket.Stats()
			if wedged || completed != 1 || st.TxInvalid != 0 || s.lastErrno() != 0 || err != nil {
				t.Errorf("wedged %v, %d completed, %+v, %v, %v", wedged, completed, st, s.lastErrno(), err)
			}
			return nil
		}))
	})
}

// TestComesBack: with the interface down the kernel takes nothing and returns nothing.
func TestComesBack(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.tryOn(t.Context(), afxdp.Config{}, func(s *trial) error {
			if !s.comesBack(s.put(0, quirkLen)) {
				t.Error("a good descriptor doesn't come back")
			}
			r.ok(netlink.LinkSetDown(r.near))
			if s.comesBack(s.put(1, quirkLen)) {
				t.Error("one that the kernel didn't take comes back")
			}
			return nil
		}))
	})
}

// TestPacketOf: one descriptor more than the most doesn't arrive, and what comes after does.
func TestPacketOf(t *testing.T) {
	onPair(t, func(r *rig) {
		var f Finding
		r.ok(tryFragments(t.Context(), r.pair, &f))
		r.ok(r.tryOn(t.Context(), afxdp.Config{SG: true}, func(s *trial) error {
			for _, c := range []struct {
				n    int
				want bool
			}{{1, true}, {f.Value, true}, {f.Value + 1, false}, {2, true}} {
				if got := s.packetOf(c.n); got != c.want {
					t.Errorf("%d descriptors arrive: %v, want %v", c.n, got, c.want)
				}
			}
			return nil
		}))
	})
}

// TestFrameThatFitsArrives is the control of the one that doesn't.
func TestFrameThatFitsArrives(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.tryOn(t.Context(), afxdp.Config{}, func(s *trial) error {
			s.send(s.put(0, pairMTU+ethLen))
			if got := s.receive(arrival); len(got) != pairMTU+ethLen || s.lastErrno() != 0 {
				t.Errorf("%d bytes arrived, %v", len(got), s.lastErrno())
			}
			return nil
		}))
	})
}

// TestReopenWaitsOnlyWhereBusy: a queue that nobody had is bound at once.
func TestReopenWaitsOnlyWhereBusy(t *testing.T) {
	onPair(t, func(r *rig) {
		region, err := umem.Map(umem.Config{Frames: tryFrames, ChunkSize: umem.MaxChunk})
		r.ok(err)
		defer region.Close()
		begin := time.Now()
		waited, err := r.reopen(t.Context(), region)
		if err != nil || waited > time.Since(begin) {
			t.Errorf("waited %v, %v", waited, err)
		}
		second, err := r.open(t.Context(), region, afxdp.Config{})
		r.ok(err)
		if third, err := r.open(t.Context(), region, afxdp.Config{BindTimeout: time.Nanosecond}); !errors.Is(err, afxdp.ErrQueueBusy) {
			t.Errorf("a queue in use: %v, %v", third, err)
		}
		r.ok(second.Close())
	})
}

func TestDeferred(t *testing.T) {
	var never, some Finding
	never.deferred(0, 10, 0)
	some.deferred(3, 10, 2*time.Millisecond+1)
	if never.Found != No || never.Value != 0 || some.Found != Yes || some.Value != 3 || some.Reason != "in use 3 of 10 times" {
		t.Errorf("never: %+v, sometimes: %+v", never, some)
	}
}

// TestSumming: only a right seed that is right and a wrong one that is wrong prove anything.
func TestSumming(t *testing.T) {
	for _, c := range []struct {
		good, poisoned bool
		want           string
	}{{true, false, Yes}, {true, true, No}, {false, false, No}, {false, true, No}} {
		var f Finding
		if f.summing(c.good, c.poisoned); f.Found != c.want || f.Reason == "" {
			t.Errorf("%+v: %+v", c, f)
		}
	}
}

func TestSummed(t *testing.T) {
	good := make([]byte, ethLen+4)
	good[ethLen], good[ethLen+1], good[ethLen+2], good[ethLen+3] = 0x12, 0x34, 0xed, 0xcb
	bad := slices.Clone(good)
	bad[ethLen+3]--
	if !summed(good) || summed(bad) || summed(nil) || summed(good[:ethLen]) {
		t.Errorf("good %v, bad %v, none %v, empty %v", summed(good), summed(bad), summed(nil), summed(good[:ethLen]))
	}
}
