package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// TestPutSeed completes the seed as a device does: sum everything from the TCP header on, store the complement. It
// must be what Put computes; a poisoned seed must not pass.
func TestPutSeed(t *testing.T) {
	for seed := range uint64(2000) {
		r := newRandom(seed)
		var tmpl wire.Template
		tmpl.Init(r.flow(seed&1 == 1), r.path())
		opts, _ := r.options()
		h := wire.Header{Seq: r.Uint32(), Ack: r.Uint32(), Flags: uint8(r.Uint32()), Window: uint16(r.Uint32()), ID: uint16(r.Uint32()), ECN: uint8(r.IntN(4)), Options: opts}
		payload := r.bytes(r.IntN(1500))
		soft, hard := r.bytes(wire.MaxHeaderLen), r.bytes(wire.MaxHeaderLen)
		n := tmpl.Put(soft, &h, len(payload), wire.Sum(payload, 0))
		if m := tmpl.PutSeed(hard, &h, len(payload)); m != n {
			t.Fatalf("seed %d: PutSeed wrote %d bytes, Put %d", seed, m, n)
		}
		want := append(soft[len(soft)-n:], payload...)
		got := append(hard[len(hard)-n:], payload...)
		at := tmpl.L2Len() + tmpl.L3Len()
		poisoned := bytes.Clone(got)
		poisoned[at+16] ^= 1
		complete(got, at)
		complete(poisoned, at)
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: offloaded\n% x\nin software\n% x", seed, got, want)
		}
		var s wire.Segment
		if err := wire.Parse(poisoned, true, &s); err != wire.ErrChecksum {
			t.Fatalf("seed %d: a poisoned seed passed: %v", seed, err)
		}
	}
}

func complete(frame []byte, at int) {
	binary.BigEndian.PutUint16(frame[at+16:], ^slowSum(frame[at:], 0))
}

// TestPutSums feeds the payload's sum in every form that the contract allows, and a wrong one.
func TestPutSums(t *testing.T) {
	r := newRandom(3)
	payload := r.bytes(1447)
	a, b := wire.Sum(payload[:333], 0), wire.SumSwap(wire.Sum(payload[333:], 0))
	var tmpl wire.Template
	tmpl.Init(flow6, wire.Path{})
	for sum, want := range map[uint32]error{
		wire.Sum(payload, 0): nil, a + b: nil, a<<16 | b: nil, wire.Sum(payload, 0) + 1: wire.ErrChecksum,
	} {
		buf := make([]byte, 100)
		n := tmpl.Put(buf, &wire.Header{Seq: r.Uint32()}, len(payload), sum)
		var s wire.Segment
		if err := wire.Parse(append(buf[100-n:], payload...), true, &s); err != want {
			t.Errorf("sum %#x: %v, want %v", sum, err, want)
		}
	}
}

func TestTemplateLengths(t *testing.T) {
	for _, row := range []struct {
		flow       wire.Flow
		tagged     bool
		vlan       uint16
		l2, l3, l4 int
	}{
		{flow4, false, 0, 14, 20, 54}, {flow4, false, 5, 14, 20, 54}, {flow4, true, 0, 18, 20, 58}, {flow4, true, 5, 18, 20, 58},
		{flow6, false, 0, 14, 40, 74}, {flow6, true, 5, 18, 40, 78},
	} {
		var tmpl wire.Template
		tmpl.Init(row.flow, wire.Path{Tagged: row.tagged, VLAN: row.vlan})
		if tmpl.L2Len() != row.l2 || tmpl.L3Len() != row.l3 || tmpl.HeaderLen(0) != row.l4 || tmpl.HeaderLen(12) != row.l4+12 {
			t.Errorf("%v: %d %d %d", row, tmpl.L2Len(), tmpl.L3Len(), tmpl.HeaderLen(0))
		}
		if tmpl.HeaderLen(wire.MaxOptionLen) > wire.MaxHeaderLen {
			t.Errorf("%v: %d bytes, more than MaxHeaderLen", row, tmpl.HeaderLen(wire.MaxOptionLen))
		}
	}
}

// TestPutDefaultsAndBounds: TTL 0 is 64; the bytes before the headers stay; the largest packet passes.
func TestPutDefaultsAndBounds(t *testing.T) {
	var tmpl wire.Template
	tmpl.Init(flow4, wire.Path{})
	buf := bytes.Repeat([]byte{0xa5}, 100)
	n := tmpl.Put(buf, &wire.Header{}, 65535-40, 0)
	if buf[100-n+14+8] != wire.DefaultTTL {
		t.Errorf("TTL %d", buf[100-n+14+8])
	}
	if !bytes.Equal(buf[:100-n], bytes.Repeat([]byte{0xa5}, 100-n)) {
		t.Error("Put wrote before its headers")
	}
	if got := binary.BigEndian.Uint16(buf[100-n+16:]); got != 65535 {
		t.Errorf("total length %d", got)
	}
}

func TestPutPanicsOnCallersMistakes(t *testing.T) {
	var tmpl wire.Template
	tmpl.Init(flow4, wire.Path{})
	for name, put := range map[string]func(){
		"options of 3 bytes":     func() { tmpl.Put(make([]byte, 200), &wire.Header{Options: make([]byte, 3)}, 0, 0) },
		"options of 44 bytes":    func() { tmpl.Put(make([]byte, 200), &wire.Header{Options: make([]byte, 44)}, 0, 0) },
		"packet of 65536 bytes":  func() { tmpl.PutSeed(make([]byte, 200), &wire.Header{}, 65536-40) },
		"negative payload":       func() { tmpl.PutSeed(make([]byte, 200), &wire.Header{}, -1) },
		"buffer one byte short":  func() { tmpl.Put(make([]byte, 53), &wire.Header{}, 0, 0) },
		"no buffer":              func() { tmpl.Put(nil, &wire.Header{}, 0, 0) },
		"options of 40 + 1 byte": func() { tmpl.Put(make([]byte, 200), &wire.Header{Options: make([]byte, 41)}, 0, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s went out", name)
				}
			}()
			put()
		}()
	}
}

func TestNoAllocation(t *testing.T) {
	frame, _, _ := peerFrame(t, 2)
	bad, _, at := peerFrame(t, 4)
	bad[at] ^= 1
	icmp, _ := icmpFrame(t, 2)
	var tmpl wire.Template
	buf := make([]byte, wire.MaxHeaderLen)
	blocks := make([]wire.SACKBlock, 4)
	var sink uint32
	for name, f := range map[string]func(){
		"Sum":  func() { sink += wire.Sum(frame, sink) + wire.SumSwap(sink) },
		"Init": func() { tmpl.Init(flow4, wire.Path{Tagged: true, VLAN: 7}) },
		"Put": func() {
			var array [wire.MaxOptionLen]byte
			opts := wire.PutSACK(wire.PutTimestamps(array[:0], 1, 2), blocks)
			h := wire.Header{Options: opts}
			tmpl.Put(buf, &h, 1, 2)
			tmpl.PutSeed(buf, &h, 1)
		},
		"SYN options": func() {
			var array [wire.MaxOptionLen]byte
			opts := wire.PutWScale(wire.PutTimestamps(wire.PutSACKPermitted(wire.PutMSS(array[:0], 1460)), 1, 2), 7)
			tmpl.Put(buf, &wire.Header{Options: opts}, 0, 0)
		},
		"Parse": func() {
			var s wire.Segment
			if wire.Parse(frame, true, &s) != nil || wire.Parse(bad, true, &s) != wire.ErrChecksum {
				t.Error("Parse went wrong")
			}
		},
		"ParseICMP": func() {
			var e wire.ICMPError
			if wire.ParseICMP(icmp, true, &e) != nil || wire.ParseICMP(frame, true, &e) != wire.ErrNotTCP {
				t.Error("ParseICMP went wrong")
			}
		},
	} {
		tmpl.Init(flow4, wire.Path{})
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
