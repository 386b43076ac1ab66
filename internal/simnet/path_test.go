package simnet

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// arrivals is a link alone: what arrives, named by its first byte, and when, in ms.
type arrivals struct {
	w    *World
	l    *Link
	name []byte
	at   []tcp.Time
}

func newArrivals(cfg LinkConfig) *arrivals {
	a := &arrivals{w: New(1)}
	a.l = a.w.NewLink(cfg, func(b []byte) {
		a.name = append(a.name, b[0])
		a.at = append(a.at, (a.w.Now()-tcp.Second)/ms)
	})
	return a
}

func (a *arrivals) send(name byte, n int) { a.l.Send(append([]byte{name}, make([]byte, n-1)...)) }

func (a *arrivals) want(t *testing.T, name string, at ...tcp.Time) {
	t.Helper()
	a.w.pass(10 * tcp.Second)
	if string(a.name) != name || !slices.Equal(a.at, at) {
		t.Fatalf("%q at %v, want %q at %v; %+v", a.name, a.at, name, at, a.l.Stats())
	}
}

func TestShorterWayOvertakes(t *testing.T) {
	a := newArrivals(LinkConfig{Delay: 50 * ms})
	a.send('a', 100)
	a.l.SetDelay(10 * ms)
	a.send('b', 100)
	a.want(t, "ba", 10, 50)
	if a.l.Stats().Changed != 1 {
		t.Fatalf("%+v", a.l.Stats())
	}
}

func TestRateChanges(t *testing.T) {
	a := newArrivals(LinkConfig{Rate: 100_000})
	a.send('a', 1000)
	a.l.SetRate(1_000_000)
	a.send('b', 1000)
	a.want(t, "ab", 10, 11)
}

// A route takes along what is on it; what is sent before there is another is lost too.
func TestRouteGoesAway(t *testing.T) {
	a := newArrivals(LinkConfig{Delay: 50 * ms})
	a.send('a', 100)
	a.w.pass(10 * ms)
	a.l.Reroute(20*ms, 5*ms)
	a.send('b', 100)
	a.w.pass(20 * ms)
	a.send('c', 100)
	a.want(t, "c", 35)
	if st := a.l.Stats(); st.CutOff != 1 || st.Lost != 1 {
		t.Fatalf("%+v", st)
	}
}

// A policer lets a burst through, then no more than its rate, and delays nothing.
func TestPolicerDropsWhatIsTooFast(t *testing.T) {
	a := newArrivals(LinkConfig{Police: 100_000, Allow: 2000}) // 1000 bytes: 10 ms
	for _, name := range []byte("abc") {
		a.send(name, 1000)
	}
	a.w.pass(10 * ms)
	a.send('d', 1000)
	a.send('e', 1000)
	a.want(t, "abd", 0, 0, 10)
	if st := a.l.Stats(); st.Policed != 2 {
		t.Fatalf("%+v", st)
	}
}

func TestArrivalsAreGathered(t *testing.T) {
	a := newArrivals(LinkConfig{Delay: 3 * ms, Gather: 10 * ms}) // the world begins at a multiple
	a.send('a', 100)
	a.w.pass(5 * ms)
	a.send('b', 100)
	a.w.pass(5 * ms)
	a.send('c', 100)
	a.want(t, "abc", 10, 10, 20)
	if st := a.l.Stats(); st.Gathered != 1 {
		t.Fatalf("%+v", st)
	}
}

// Only pure ACKs of the same connection give way, and only to later ones.
func TestAcksAreThinned(t *testing.T) {
	var acks []uint32
	w := New(1)
	l := w.NewLink(LinkConfig{Delay: ms, Thin: 1}, func(b []byte) {
		var seg wire.Segment
		if err := wire.Parse(b, true, &seg); err != nil {
			t.Fatal(err)
		}
		acks = append(acks, seg.Ack)
	})
	send := func(from string, ack uint32, flags uint8, payload int) {
		var tmpl wire.Template
		tmpl.Init(wire.FlowOf(addrPort(from), addrPort("10.0.0.1:4000")), wire.Path{})
		n := tmpl.HeaderLen(0)
		frame := make([]byte, n+payload)
		tmpl.Put(frame[:n], &wire.Header{Ack: ack, Flags: flags}, payload, 0)
		l.Send(frame)
	}
	const here, there = "10.0.0.2:80", "10.0.0.2:81"
	send(here, 10, wire.FlagACK, 0) // gives way
	send(here, 20, wire.FlagACK, 0)
	send(there, 30, wire.FlagACK, 0)
	send(here, 40, wire.FlagACK, 0)
	send(here, 35, wire.FlagACK, 0) // older than the one before
	send(here, 50, wire.FlagACK, 8)
	send(here, 60, wire.FlagACK|wire.FlagFIN, 0)
	w.pass(ms)
	send(here, 70, wire.FlagACK, 0) // nothing is under way
	w.pass(ms)
	if want := []uint32{20, 30, 40, 35, 50, 60, 70}; !slices.Equal(acks, want) || l.Stats().Thinned != 1 {
		t.Fatalf("%v, want %v; %+v", acks, want, l.Stats())
	}
}
