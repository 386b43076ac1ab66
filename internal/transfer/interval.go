package transfer

import (
	"math"

	"github.com/xsend/xsend/tcp"
)

// Span is a part of the run and what was sent in it, with iperf3's names. Times are in seconds since its begin.
type Span struct {
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Seconds       float64 `json:"seconds"`
	Bytes         int64   `json:"bytes"` // handed back in it
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   uint64  `json:"retransmits"`
	Omitted       bool    `json:"omitted"`
	Sender        bool    `json:"sender"` // always: iperf3 has it for its other direction
}

// Interval is a sample of the run: the sum over all streams, and each of them.
type Interval struct {
	Span
	Streams []StreamInterval `json:"streams"`
}

// StreamInterval is one connection in an Interval: what happened in it, and where TCP stood at its end.
type StreamInterval struct {
	ID     int `json:"id"`     // from 1
	Socket int `json:"socket"` // the same, by iperf3's name
	Span
	Losses
	Moment
}

// Losses are counts of what went wrong and what was done about it.
type Losses struct {
	Lost         uint64 `json:"lost"`             // segments marked lost
	Held         uint64 `json:"retransmits_held"` // put off because the kernel held the last transmission
	Recoveries   uint64 `json:"recoveries"`       // fast recoveries
	Timeouts     uint64 `json:"timeouts"`         // retransmission timeouts
	TimeoutsHeld uint64 `json:"timeouts_held"`    // put off because the kernel held the segment
	TailProbes   uint64 `json:"tail_probes"`      // sent because the ACK of the last segments was late
	TailLosses   uint64 `json:"tail_losses"`      // losses that one of those repaired
	DSACKs       uint64 `json:"dsacks"`           // told by the peer: it had that already
	CWRs         uint64 `json:"cwrs"`             // times that the window was reduced for marks of congestion
	ECEs         uint64 `json:"eces"`             // ACKs that told of one
	CEs          uint64 `json:"ces"`              // segments from the peer that bore one
}

func lossesOf(st *tcp.Stats) Losses {
	return Losses{
		Lost: st.Lost, Held: st.RetransmitsHeld, Recoveries: st.Recoveries, Timeouts: st.Timeouts, TimeoutsHeld: st.TimeoutsHeld,
		TailProbes: st.TailProbes, TailLosses: st.TailLosses, DSACKs: st.DSACKs,
		CWRs: st.CWRReductions, ECEs: st.ECEs, CEs: st.CEs,
	}
}

// since is what came on top of an earlier count.
func (l Losses) since(then Losses) Losses {
	return Losses{
		Lost: l.Lost - then.Lost, Held: l.Held - then.Held, Recoveries: l.Recoveries - then.Recoveries,
		Timeouts: l.Timeouts - then.Timeouts, TimeoutsHeld: l.TimeoutsHeld - then.TimeoutsHeld,
		TailProbes: l.TailProbes - then.TailProbes, TailLosses: l.TailLosses - then.TailLosses, DSACKs: l.DSACKs - then.DSACKs,
		CWRs: l.CWRs - then.CWRs, ECEs: l.ECEs - then.ECEs, CEs: l.CEs - then.CEs,
	}
}

// Moment is where TCP stands. Times are in microseconds, as iperf3 has them, and rates in bits per second of
// payload, as ss prints them.
type Moment struct {
	BytesAcked   uint64  `json:"bytes_acked"` // so far
	InFlight     int     `json:"in_flight"`   // bytes sent that are neither ACKed, SACKed nor lost
	Cwnd         int     `json:"snd_cwnd"`    // bytes
	Ssthresh     int     `json:"ssthresh"`    // bytes; 0: not limited yet
	SendWindow   int     `json:"snd_wnd"`     // the peer's, bytes
	MSS          int     `json:"mss"`
	PathMTU      int     `json:"pmtu"` // learnt from ICMP; 0: never
	RTT          float64 `json:"rtt"`  // smoothed
	RTTVar       float64 `json:"rttvar"`
	MinRTT       float64 `json:"min_rtt"` // of the last five minutes
	RTO          float64 `json:"rto"`
	PacingRate   float64 `json:"pacing_rate"`   // 0: not paced
	DeliveryRate float64 `json:"delivery_rate"` // the last sample that says something about the path
	Reorder      int     `json:"reorder"`       // segments; 3: none was seen, as in Linux

	Congestion      string `json:"congestion"`
	CongestionState string `json:"congestion_state"`
	Recovery        string `json:"ca_state"` // of loss recovery: open, recovery, loss; cwr: slowing down for a mark of congestion
	ECN             string `json:"ecn"`      // off, on, given-up
	State           string `json:"state"`
}

func momentOf(st *tcp.Stats) Moment {
	us := func(d tcp.Duration) float64 { return float64(d) / float64(tcp.Microsecond) }
	m := Moment{
		BytesAcked: st.BytesAcked, InFlight: st.InFlight, Cwnd: st.Cwnd, Ssthresh: st.Ssthresh, SendWindow: st.SendWindow, MSS: st.MSS,
		PathMTU: st.PathMTU, RTT: us(st.SRTT), RTTVar: us(st.RTTVar), MinRTT: us(st.MinRTT), RTO: us(st.RTO), Reorder: st.Reordering,
		PacingRate: float64(st.PacingRate) * 8, DeliveryRate: float64(st.Rate) * 8,
		Congestion: string(st.Congestion), CongestionState: st.CongestionState, Recovery: st.Phase, ECN: "off", State: st.State.String(),
	}
	switch {
	case st.ECNGivenUp:
		m.ECN = "given-up"
	case st.ECN:
		m.ECN = "on"
	}
	if st.Ssthresh == math.MaxInt {
		m.Ssthresh = 0
	}
	return m
}
