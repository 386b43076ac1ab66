package simnet

import (
	"reflect"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

// tally adds up what happened in all trials of a scenario.
type tally struct {
	kernel        KernelStats
	forward, back LinkStats
	tcp           tcp.Stats
	poller        dataplane.Counters

	unparsed                      uint64 // packets refused by either side
	parts, ticks, updates, shrunk uint64 // what the peers did
	noSACK, noStamps, noScale     uint64 // streams without these
	agreed, gaveUp                uint64 // streams with ECN, and those that did without in the end
	told, echoes                  uint64 // reductions that peers were told of, and those of their own
	streams                       uint64 // most of them at a time
	bloat, stretch                uint64 // largest smoothed over least RTT, largest segments per ACK
	dry                           uint64 // trials in which no frame but the reserve was free at some moment
	rttvar                        tcp.Duration
}

func (t *tally) add(r *Run) {
	for _, k := range r.Kernels {
		addUp(&t.kernel, k.Stats())
	}
	addUp(&t.forward, r.Forward.Stats())
	addUp(&t.back, r.Back.Stats())
	for _, s := range r.Streams {
		t.stream(s.StatsNow())
	}
	t.dry += one(r.dry)
	c := r.Poller.CountersNow()
	addUp(&t.poller, c)
	t.unparsed += r.Peer.Unparsed + c.RxChecksum + c.RxBad
	t.parts += r.Peer.Parts
	t.ticks += r.Peer.Ticks
	t.updates += r.Peer.Updates
	t.shrunk += r.Peer.Shrunk
	t.told += r.Peer.Told
	t.echoes += r.Peer.Echoes
	t.streams = max(t.streams, uint64(len(r.Streams)))
	for _, c := range r.Peer.Conns() {
		t.noSACK += one(!c.sack)
		t.noStamps += one(!c.ts)
		t.noScale += one(!c.scaled)
	}
}

func (t *tally) stream(st tcp.Stats) {
	addUp(&t.tcp, st)
	t.agreed += one(st.ECN)
	t.gaveUp += one(st.ECNGivenUp)
	t.rttvar = max(t.rttvar, st.RTTVar)
	if st.MinRTT > 0 && st.MinRTT != tcp.Never {
		t.bloat = max(t.bloat, uint64(st.SRTT/st.MinRTT))
	}
	if st.SegmentsIn > 0 {
		t.stretch = max(t.stretch, st.SegmentsOut/st.SegmentsIn)
	}
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// addUp adds the counters of a struct, and keeps the largest of what is signed: times and sizes.
func addUp[T any](sum *T, more T) {
	s, m := reflect.ValueOf(sum).Elem(), reflect.ValueOf(more)
	for i := range s.NumField() {
		addField(s.Field(i), m.Field(i))
	}
}

func addField(s, m reflect.Value) {
	switch {
	case s.Kind() == reflect.Array:
		for i := range s.Len() {
			addField(s.Index(i), m.Index(i))
		}
	case s.CanUint():
		s.SetUint(s.Uint() + m.Uint())
	case s.CanInt():
		s.SetInt(max(s.Int(), m.Int()))
	}
}

func missing(n uint64, what string) string {
	if n == 0 {
		return what
	}
	return ""
}
