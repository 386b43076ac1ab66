package tcp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// withOffload asks for checksums instead of computing them.
func withOffload(cfg *Config, _ *harness) { cfg.Checksum = ChecksumOffload }

// Every packet that the engine makes bears its request, from the SYN to the FIN, and is
// right once that is carried out. Without offload none does.
func TestOffloadAsksForEveryPacket(t *testing.T) {
	for name, edit := range map[string]func(*Config, *harness){
		"IPv4":   withOffload,
		"tagged": func(cfg *Config, h *harness) { withOffload(cfg, h); cfg.Path = wire.Path{Tagged: true, VLAN: 7} },
		"engine": func(cfg *Config, _ *harness) { cfg.Checksum = ChecksumSoftware },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, edit)
			h.hold = true
			wants := func(seq, n int, flags uint8) {
				t.Helper()
				if s := h.want(seq, n, flags); s.tx.Metadata != (name != "engine") {
					t.Errorf("metadata %v", s.tx.Metadata)
				}
				h.complete()
			}
			h.connect()
			wants(0, 0, wire.FlagSYN)
			h.advance(Millisecond)
			h.synAck()
			wants(1, 0, wire.FlagACK)
			h.write(mss)
			wants(1, mss, wire.FlagACK)
			h.advance(h.c.Deadline() - h.now)
			wants(1, mss, wire.FlagACK)
			h.ack(mss)
			h.writeFrame(Headroom+3, 33) // copied
			h.transmit()
			wants(mss+1, 33, wire.FlagACK)
			h.ack(mss + 33)
			h.c.CloseWrite(h.now)
			h.transmit()
			wants(mss+34, 0, wire.FlagACK|wire.FlagFIN)
			h.ack(mss + 34)
		})
	}
}

// The metadata fits in front of the largest headers.
func TestOffloadFitsBeforeTheHeaders(t *testing.T) {
	h := newHarness(t, func(cfg *Config, h *harness) {
		withOffload(cfg, h)
		cfg.Flow = wire.FlowOf(netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:80"))
		cfg.Path = wire.Path{Tagged: true}
	})
	var tx Tx
	f, _ := h.pool.Alloc()
	h.c.put(&tx, f, Headroom, 0, &wire.Header{Flags: wire.FlagACK, Options: make([]byte, wire.MaxOptionLen)}, 0)
	if at := tx.Addr - h.region.Addr(f); at < MetadataLen || at != Headroom-118 {
		t.Fatalf("headers at %d", at)
	}
	h.take(tx)
	h.out = nil
}

// What the kernel's documents say of it (https://docs.kernel.org/networking/xsk-tx-metadata.html), byte by byte, over
// whatever lay there.
func TestOffloadRequest(t *testing.T) {
	b := bytes.Repeat([]byte{0xff}, 40)
	putRequest(b, 0x1234)
	want := make([]byte, 24)
	binary.NativeEndian.PutUint64(want, 1<<1)
	binary.NativeEndian.PutUint16(want[8:], 0x1234)
	binary.NativeEndian.PutUint16(want[10:], 16)
	if !bytes.Equal(b[16:], want) || !bytes.Equal(b[:16], bytes.Repeat([]byte{0xff}, 16)) {
		t.Errorf("% x", b)
	}
}

// With offload no payload is summed; without, a retransmission does not sum again, unless
// the connection is told to. Either can be changed on the way.
func TestSumsAreTakenOnce(t *testing.T) {
	h := established(t, withOffload)
	h.write(2 * mss)
	h.wantData(0, 2*mss)
	if s := &h.c.q.slots[h.c.q.head]; s.has(slotSummed) {
		t.Error("the payload was summed")
	}
	h.c.SetChecksum(ChecksumSoftware)
	h.advance(400 * Millisecond)
	if s := h.want(mss+1, mss, wire.FlagACK); s.tx.Metadata { // the tail loss probe
		t.Error("offload is still on")
	}
	h.want(1, mss, wire.FlagACK)
	s := &h.c.q.slots[h.c.q.head]
	if !s.has(slotSummed) {
		t.Fatal("the payload was not summed")
	}
	flat := s.sum
	h.c.SetChecksum(ChecksumOffload)
	h.advance(600 * Millisecond)
	if s := h.want(1, mss, wire.FlagACK); !s.tx.Metadata {
		t.Error("offload is still off")
	}
	if s.sum != flat {
		t.Error("summed again")
	}
	h.ack(2 * mss)
}

// slotSum is the sum of a segment, flat, byte by byte from its frames.
func slotSum(h *harness, s *slot) uint32 {
	var flat []byte
	for _, p := range s.spans[:s.nspans] {
		flat = append(flat, h.region.Bytes(p.frame)[p.off:p.off+p.length]...)
	}
	return wire.Sum(flat, 0)
}

// Random frames, cut at random bytes, at an odd offset too: the sums of the parts, those at
// an odd offset swapped (https://www.rfc-editor.org/rfc/rfc1071#section-2), are the sum of the flat
// bytes, before and after each transmission. The control forgets to swap.
func TestSumsOfRandomCuts(t *testing.T) {
	control := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := established(t, func(cfg *Config, _ *harness) { cfg.Checksum = ChecksumSoftware })
		h.next = byte(r.Uint32())
		var lengths []int
		for range 1 + r.IntN(maxSpans) {
			lengths = append(lengths, 1+r.IntN(mss/maxSpans))
		}
		i := gathered(h, lengths...)
		h.c.q.fresh = i
		whole := slotSum(h, &h.c.q.slots[i])
		for range r.IntN(5) {
			for k := i; k != none && r.IntN(3) > 0; k = h.c.q.slots[k].next {
				if n := int(h.c.q.slots[k].length); n > 1 {
					h.c.cut(k, 1+r.IntN(n-1))
				}
			}
		}
		h.transmit()
		h.out = nil // each was parsed, and its checksum verified
		var sum, unswapped uint32
		for k := i; k != none; k = h.c.q.slots[k].next {
			s := &h.c.q.slots[k]
			if !s.has(slotSummed) || s.sum != slotSum(h, s) {
				t.Fatalf("seed %d: a segment of %d bytes has the sum %#x", seed, s.length, s.sum)
			}
			unswapped += s.sum
			part := s.sum
			if s.seq.Sub(testISS+1)&1 == 1 {
				part = wire.SumSwap(part)
			}
			sum += part
		}
		if uint32(wire.Fold(sum)) != whole {
			t.Fatalf("seed %d: the parts make %#x, the whole is %#x", seed, wire.Fold(sum), whole)
		}
		if uint32(wire.Fold(unswapped)) != whole {
			control++
		}
		h.ack(h.c.sndEnd.Sub(testISS + 1))
	}
	if control == 0 {
		t.Error("no cut at an odd offset mattered: the test tests nothing")
	}
}
