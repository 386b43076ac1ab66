package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// No path that a segment or an ACK takes allocates, nor does any that a peer or a
// network can make us take.
func TestNothingAllocates(t *testing.T) {
	const n = 512
	for name, path := range map[string]func(b *benchFlight, k int){
		"commit, transmit, completion, ACK": func(b *benchFlight, k int) {
			b.ack(n + k - 1)
			b.write()
			b.transmit(false)
		},
		"checksum offload": func(b *benchFlight, k int) {
			b.c.SetChecksum(ChecksumOffload)
			b.ack(n + k - 1)
			b.write()
			b.transmit(false)
		},
		"SACK": func(b *benchFlight, k int) { b.ack(0, [2]int{1, 1 + k}, [2]int{n/2 + k, n/2 + k + 1}) },
		"SACK, retransmission": func(b *benchFlight, k int) {
			b.ack(0, [2]int{2 * k, 2*k + 1})
			b.now += Millisecond
			b.c.Advance(b.now)
			b.transmit(false)
		},
		"duplicate ACK": func(b *benchFlight, _ int) {
			b.c.sackOK = false
			b.ack(0)
			b.transmit(false)
		},
		"timeout": func(b *benchFlight, k int) {
			b.now = max(b.now, b.c.Deadline())
			b.c.Advance(b.now)
			b.transmit(false)
			b.ack(k)
		},
		"timeout, held": func(b *benchFlight, _ int) {
			b.c.q.slots[b.c.q.head].out = 1
			b.now = max(b.now, b.c.Deadline())
			b.c.Advance(b.now)
			b.transmit(false)
		},
		"reneging": func(b *benchFlight, k int) {
			b.ack(k, [2]int{k, k + 10})
			b.now = max(b.now, b.c.Deadline())
			b.c.Advance(b.now)
			b.transmit(false)
		},
		"a cut and a copy": func(b *benchFlight, k int) {
			b.c.SetMTU(1500 - k)
			b.transmit(false)
			b.ack(k)
		},
		"path MTU": func(b *benchFlight, k int) {
			b.c.ReceiveICMP(b.now, &wire.ICMPError{Seq: uint32(b.c.sndUna), Type: 3, Code: 4, MTU: uint32(1500 - k)})
			b.transmit(false)
		},
		"challenge": func(b *benchFlight, _ int) {
			seg := b.seg
			seg.Flags = wire.FlagSYN
			b.c.Receive(b.now, &seg)
			seg.Flags, seg.Seq = wire.FlagRST, 5
			b.c.Receive(b.now, &seg)
			b.transmit(false)
		},
		"payload": func(b *benchFlight, _ int) {
			seg := b.seg
			seg.PayloadLen = 10
			b.c.Receive(b.now, &seg)
			b.seg.Seq += 10
			b.transmit(false)
		},
		"mark and echo": func(b *benchFlight, k int) {
			b.c.ecn = ecnState{agreed: true, capable: true, proved: true, quiet: true}
			seg := b.seg
			seg.PayloadLen, seg.ECN = 10, wire.CE
			b.c.Receive(b.now, &seg)
			b.seg.Seq += 10
			flags := b.seg.Flags
			b.seg.Flags |= wire.FlagECE
			b.ack(n + k - 1)
			b.seg.Flags = flags
			b.write()
			b.transmit(false)
		},
		"zero window": func(b *benchFlight, k int) {
			if k == 1 {
				b.seg.Window = 0
				b.ack(n)
				b.write()
			}
			b.now = max(b.now, b.c.Deadline())
			b.c.Advance(b.now)
			b.transmit(false)
			b.ack(n)
		},
		"stats": func(b *benchFlight, _ int) { _ = b.c.Stats() },
	} {
		for _, cc := range Congestions() {
			t.Run(name+", "+string(cc), func(t *testing.T) {
				b := newBenchFlightWith(t, cc, n, false)
				b.now += Millisecond
				k := 0
				if a := testing.AllocsPerRun(100, func() { k++; path(b, k) }); a != 0 {
					t.Errorf("%v allocations", a)
				}
				if err := b.c.Audit(); err != nil && name != "timeout, held" {
					t.Error(err)
				}
			})
		}
	}
}

// The end of a connection does not either.
func TestAbortDoesNotAllocate(t *testing.T) {
	var flights []*benchFlight
	for range 3 {
		flights = append(flights, newBenchFlight(t, 64, false))
	}
	k := -1
	if a := testing.AllocsPerRun(2, func() {
		k++
		flights[k].c.Abort(flights[k].now)
		flights[k].transmit(false)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}
