package faulttest_test

import (
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/simnet"
	"github.com/xsend/xsend/tcp"
)

// Whoever holds frames in each kind of trouble is the one who is said to.
func TestWhoHoldsFrames(t *testing.T) {
	for name, c := range map[string]struct {
		setup
		who   dataplane.Holder
		never []dataplane.Holder
	}{
		"nothing wrong": {who: dataplane.Unacked, never: []dataplane.Holder{dataplane.BehindHole, dataplane.SlowNIC, dataplane.InQuarantine, dataplane.TooEarly}},
		"a segment is lost again and again": {
			setup: setup{lose: theFirst(5)},
			who:   dataplane.BehindHole, never: []dataplane.Holder{dataplane.SlowNIC, dataplane.InQuarantine, dataplane.TooEarly},
		},
		"the NIC completes late": {
			setup: setup{kernel: simnet.KernelConfig{Complete: [2]tcp.Duration{30 * tcp.Millisecond, 40 * tcp.Millisecond}}},
			who:   dataplane.SlowNIC, never: []dataplane.Holder{dataplane.InQuarantine, dataplane.TooEarly},
		},
		"the NIC reads late": {
			setup: setup{kernel: simnet.KernelConfig{Read: [2]tcp.Duration{30 * tcp.Millisecond, 40 * tcp.Millisecond}}},
			who:   dataplane.TCPAndNIC, never: []dataplane.Holder{dataplane.InQuarantine, dataplane.TooEarly},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.setup)
			books := r.run().Books
			if n := r.worst.Frames[c.who]; n < 10 {
				t.Errorf("%v had %d frames at most: %v", c.who, n, r.worst.Frames)
			}
			for _, who := range c.never {
				if n := r.worst.Frames[who]; n != 0 {
					t.Errorf("%v had %d frames", who, n)
				}
			}
			h := &books.Holders
			if n := h.Frames[dataplane.Free] + h.Frames[dataplane.Reserve] + h.Frames[dataplane.ForReceiving]; n != frames || h.Sum() != frames {
				t.Errorf("%d of %d frames came back: %v", n, frames, h.Frames)
			}
		})
	}
}

// A queue that dies and is not opened again keeps what it had.
func TestQuarantineIsAHolder(t *testing.T) {
	r := newRig(t, setup{kernel: simnet.KernelConfig{DiesAt: tcp.Second + 5*tcp.Millisecond}, shut: 3})
	books := r.run().Books
	if n := r.worst.Frames[dataplane.InQuarantine]; n == 0 {
		t.Error("no frame was in quarantine")
	}
	if books.Ledger.Quarantined == 0 {
		t.Errorf("%+v", books.Ledger)
	}
}

// Times add up as the path and the NIC make them.
func TestTimes(t *testing.T) {
	quick := newRig(t, setup{}).run()
	slow := newRig(t, setup{kernel: simnet.KernelConfig{Complete: [2]tcp.Duration{30 * tcp.Millisecond, 30 * tcp.Millisecond}}}).run()
	for s := range dataplane.Stage(dataplane.NumStages) {
		q, l := quick.Times.Summary(s), slow.Times.Summary(s)
		t.Logf("%-6v %+v, slow %+v", s, q, l)
		if q.N != int64(quick.Books.Ledger.Releases) {
			t.Errorf("%v: %d times, %d releases", s, q.N, quick.Books.Ledger.Releases)
		}
		if q.P50 > q.P99 || q.P99 > q.Max || q.Sum > tcp.Duration(q.N)*q.Max {
			t.Errorf("%v: %+v", s, q)
		}
	}
	at := func(b *dataplane.Remains, s dataplane.Stage) dataplane.Summary { return b.Times.Summary(s) }
	// The round trip is 2 ms, and a delayed ACK may add 40.
	if ack := at(&quick, dataplane.ToACK); ack.P50 < 2*tcp.Millisecond || ack.P50 > 50*tcp.Millisecond {
		t.Errorf("ACKs took %+v", ack)
	}
	if nic := at(&quick, dataplane.WithNIC); nic.Max > tcp.Millisecond {
		t.Errorf("a NIC that completes at once took %+v", nic)
	}
	if nic := at(&slow, dataplane.WithNIC); nic.P50 < 29*tcp.Millisecond || nic.P50 > 31*tcp.Millisecond {
		t.Errorf("a NIC that takes 30 ms took %+v", nic)
	}
	if at(&slow, dataplane.HeldWhole).P50 < at(&slow, dataplane.WithNIC).P50 {
		t.Error("held for less than the NIC had it")
	}
}

// theFirst loses the first segment so many times, whenever it comes.
func theFirst(times int) func(frame []byte) bool {
	var seq string
	return func(frame []byte) bool {
		at := string(frame[14+20+4 : 14+20+8])
		if seq == "" {
			seq = at
		}
		times -= map[bool]int{true: 1}[seq == at]
		return seq == at && times >= 0
	}
}
