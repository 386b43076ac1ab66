package tcp

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/xsend/xsend/internal/wire"
)

// inState is a connection that got to state s, with one segment sent, and ACKed where
// our FIN is.
func inState(t *testing.T, s State) *harness {
	t.Helper()
	if s == Closed {
		return newHarness(t, nil)
	}
	h := newHarness(t, nil)
	h.connect()
	h.advance(Millisecond)
	switch s {
	case SynSent:
	case SynReceived:
		h.syn()
	default:
		h.synAck()
		h.write(100)
		h.reach(s)
	}
	h.out = nil
	h.wantState(s)
	return h
}

// reach goes on from ESTABLISHED.
func (h *harness) reach(s State) {
	h.t.Helper()
	ourFIN := func() {
		h.c.CloseWrite(h.now)
		h.transmit()
	}
	theirFIN := func(acked int) {
		h.inject(h.segment(wire.FlagFIN|wire.FlagACK, acked))
		h.irs++
	}
	switch s {
	case FinWait1:
		ourFIN()
	case FinWait2:
		ourFIN()
		h.ack(101)
	case CloseWait:
		theirFIN(0)
	case Closing:
		ourFIN()
		theirFIN(0)
	case LastAck:
		theirFIN(0)
		ourFIN()
	case TimeWait:
		ourFIN()
		theirFIN(101)
	}
}

// syn is the peer's own SYN, which crosses ours.
func (h *harness) syn() {
	h.t.Helper()
	seg := wire.Segment{Flow: testFlow, Seq: uint32(h.irs), Flags: wire.FlagSYN, Window: h.wnd, Options: h.opts}
	seg.Options.TSVal = h.peerTS
	h.inject(seg)
}

// outcome is what an event did: the state after it (a dot where it is the same), the
// flags of each segment that it brought with the bytes of payload, and the error.
func (h *harness) outcome(before State) string {
	var b strings.Builder
	b.WriteString(h.c.State().String())
	if h.c.State() == before {
		b.Reset()
		b.WriteByte('.')
	}
	for _, s := range h.out {
		b.WriteByte(' ')
		for _, f := range []struct {
			bit  uint8
			name string
		}{{wire.FlagSYN, "S"}, {wire.FlagFIN, "F"}, {wire.FlagRST, "R"}, {wire.FlagACK, "A"}} {
			if s.seg.Flags&f.bit != 0 {
				b.WriteString(f.name)
			}
		}
		if len(s.payload) > 0 {
			fmt.Fprintf(&b, "+%d", len(s.payload))
		}
	}
	for name, err := range map[string]error{"refused": ErrRefused, "reset": ErrReset, "timeout": ErrTimeout,
		"aborted": ErrAborted, "no route": ErrNoRoute} {
		if errors.Is(h.c.Err(), err) {
			b.WriteString(" " + name)
		}
	}
	return b.String()
}

// stateEvents are everything that can happen to a connection, in order of the columns.
var stateEvents = []struct {
	name string
	do   func(h *harness)
}{
	{"ACK of the SYN", func(h *harness) { h.inject(h.segment(wire.FlagACK, 0)) }},
	{"ACK", func(h *harness) { h.inject(h.segment(wire.FlagACK, 100)) }},
	{"ACK of the FIN", func(h *harness) { h.inject(h.segment(wire.FlagACK, 101)) }},
	{"ACK of more", func(h *harness) { h.inject(h.segment(wire.FlagACK, 5000)) }},
	{"no ACK", func(h *harness) { h.inject(h.segment(0, 100)) }},
	{"payload", func(h *harness) { h.payload(10, wire.FlagACK) }},
	{"payload, FIN", func(h *harness) { h.payload(10, wire.FlagACK|wire.FlagFIN) }},
	{"FIN", func(h *harness) { h.inject(h.segment(wire.FlagACK|wire.FlagFIN, 100)) }},
	{"FIN, ACK of ours", func(h *harness) { h.inject(h.segment(wire.FlagACK|wire.FlagFIN, 101)) }},
	{"old FIN", func(h *harness) {
		seg := h.segment(wire.FlagACK|wire.FlagFIN, 101)
		seg.Seq--
		h.inject(seg)
	}},
	{"out of window", func(h *harness) {
		seg := h.segment(wire.FlagACK, 100)
		seg.Seq += 1 << 20
		h.inject(seg)
	}},
	{"SYN", func(h *harness) { h.syn() }},
	{"SYN in window", func(h *harness) {
		seg := h.segment(wire.FlagSYN|wire.FlagACK, 100)
		seg.Seq += 5
		h.inject(seg)
	}},
	{"SYN-ACK", func(h *harness) { h.synAck() }},
	{"RST", func(h *harness) { h.inject(h.segment(wire.FlagRST|wire.FlagACK, 0)) }},
	{"RST in window", func(h *harness) {
		seg := h.segment(wire.FlagRST, 0)
		seg.Seq += 5
		h.inject(seg)
	}},
	{"RST elsewhere", func(h *harness) {
		seg := h.segment(wire.FlagRST, 0)
		seg.Seq -= 5
		h.inject(seg)
	}},
	{"port unreachable", func(h *harness) {
		h.c.ReceiveICMP(h.now, &wire.ICMPError{Flow: testFlow, Seq: uint32(h.c.sndUna), Type: icmp4Unreachable, Code: icmp4CodePort})
		h.transmit()
	}},
	{"write", func(h *harness) {
		f, _ := h.pool.Lend()
		h.pool.Commit(f)
		if !h.c.Queue(f, payloadAt, 10) {
			h.pool.Drop(f)
		}
		h.transmit()
	}},
	{"close", func(h *harness) { h.c.CloseWrite(h.now); h.transmit() }},
	{"abort", func(h *harness) { h.c.Abort(h.now); h.transmit() }},
	{"nothing for 61 s", func(h *harness) { h.advance(61 * Second); h.out = nil }},
	{"nothing for an hour", func(h *harness) { h.advance(3600 * Second); h.out = nil }},
}

func (h *harness) payload(n int, flags uint8) {
	seg := h.segment(flags, 100)
	seg.PayloadLen = n
	h.inject(seg)
}

// TestEveryStateAndEvent compares what each event does in each state with the table in
// testdata, which was read against https://www.rfc-editor.org/rfc/rfc9293#section-3.10.
// What it lacks of that on purpose is among the departures of the package.
func TestEveryStateAndEvent(t *testing.T) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "event")
	for s := Closed; s <= TimeWait; s++ {
		fmt.Fprintf(w, "\t%v", s)
	}
	fmt.Fprintln(w)
	for _, e := range stateEvents {
		fmt.Fprint(w, e.name)
		for s := Closed; s <= TimeWait; s++ {
			h := inState(t, s)
			e.do(h)
			fmt.Fprintf(w, "\t%s", h.outcome(s))
			h.out = nil
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	golden, err := os.ReadFile("testdata/states.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(golden) {
		t.Errorf("testdata/states.txt differs:\n%s", got)
	}
}
