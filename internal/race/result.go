package race

import (
	"slices"
	"time"
)

// Schema names the shape of Result.
const Schema = "xsend.race/1"

// Outcomes of a row.
const (
	Done    = "done"
	Lacking = "lacking" // this kernel hasn't got it
	Failed  = "failed"  // it was begun and failed, or the stream was short or broken
)

// Result is a race. Its JSON names are stable.
type Result struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"version"`
	Time      time.Time `json:"time"`
	Kernel    string    `json:"kernel"`
	Interface string    `json:"interface"` // "" in namespaces of its own
	Target    string    `json:"target"`
	MTU       int       `json:"mtu"`         // of the lab; 0 with an interface
	RTTMS     float64   `json:"rtt_ms"`      // of the lab's wire; 0: none
	Rate      int64     `json:"rate"`        // of the lab's wire, bits per second; 0: none
	Bytes     int64     `json:"bytes"`       // that each row sends in a block
	Round     int64     `json:"round_bytes"` // of a buffer
	Buffers   int       `json:"buffers"`     // of each writer
	Turns     int       `json:"turns"`       // runs of each row
	Seed      uint64    `json:"seed"`        // of the order, and of what is lost
	LateMS    float64   `json:"late_ms"`     // how late completions are handed on, at most, in the rows with late ones
	Seconds   float64   `json:"seconds"`     // that it all took
	Blocks    []Block   `json:"blocks"`      // one for each loss
	Verdict   Verdict   `json:"verdict"`     // on the whole
}

// Block is the rows at one loss.
type Block struct {
	Loss    *float64 `json:"loss_percent"` // null: the path's own
	Dropped int64    `json:"dropped"`      // packets that the lab has dropped
	Rows    []Row    `json:"rows"`
}

// Row is what came out for a sender. Its JSON names are stable.
type Row struct {
	Sender
	Outcome string `json:"outcome"` // done, lacking, failed
	Reason  string `json:"reason,omitempty"`
	N       int    `json:"n"` // runs that the figures are from

	Bytes         int64   `json:"bytes"` // compared by the receiver
	Corrupted     int64   `json:"corrupted_bytes"`
	Rounds        int64   `json:"rounds"`
	RoundsHit     int64   `json:"rounds_hit"`      // with a corrupted byte
	BitsPerSecond float64 `json:"bits_per_second"` // that the receiver has compared, from its first byte to its last
	CPU           float64 `json:"cpu_s_per_gb"`    // of the sending process for 1e9 bytes
	Retransmits   uint64  `json:"retransmits"`
	Hold          Hold    `json:"hold_us"`

	Notified          *uint64 `json:"notified,omitempty"`
	Copied            *uint64 `json:"copied,omitempty"`
	RewrittenInFlight *uint64 `json:"rewritten_in_flight,omitempty"`
	LentWhileHeld     *uint64 `json:"lent_while_held,omitempty"`

	Remark  string   `json:"remark,omitempty"`
	Example *Example `json:"example,omitempty"` // the first round that was hit

	holds   []int64 // of all rounds, nanoseconds
	cpu     float64 // seconds
	seconds float64
}

// Hold is how long an API kept a buffer, from the moment it got it until it said "yours again", in microseconds.
type Hold struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Example is a round that was hit. Its JSON names are stable. Times are in microseconds since the writer handed the buffer
// over; the receiver's is by its own clock.
type Example struct {
	Round     int64      `json:"round"`           // its number in the run, from 0
	At        int64      `json:"at"`              // the first wrong byte, counted from the round's begin
	Promised  string     `json:"promised"`        // hexadecimal: what was promised from there on
	Arrived   string     `json:"arrived"`         // hexadecimal: what came
	Whose     string     `json:"whose,omitempty"` // what came: the marker, or bytes of another round; "" where that isn't known
	Extents   [][2]int64 `json:"extents"`         // wrong bytes: the first, and the one behind the last, counted from the round's begin
	Back      float64    `json:"back_us"`         // the API said "yours again"
	Rewritten float64    `json:"rewritten_us"`    // every byte was overwritten
	Seen      float64    `json:"seen_us"`         // the receiver has read the first wrong byte
}

// add takes over a run.
func (r *Row) add(run *measured) {
	switch {
	case run.lacking != "":
		r.Outcome, r.Reason = Lacking, run.lacking
		return
	case run.failed != "":
		r.Outcome, r.Reason = Failed, run.failed
		return
	}
	rep, v := &run.report, &run.verdict
	r.N++
	r.Bytes += v.Bytes
	r.Corrupted += v.WrongBytes
	r.Rounds += v.Rounds.All
	r.RoundsHit += v.Rounds.Hit
	r.Retransmits += rep.Retransmits
	r.cpu += rep.CPU
	r.seconds += v.Seconds
	for _, m := range rep.Rounds {
		r.holds = append(r.holds, m.Back-m.Handed)
	}
	sum(&r.Notified, rep.Notified)
	sum(&r.Copied, rep.Copied)
	sum(&r.RewrittenInFlight, rep.RewrittenInFlight)
	sum(&r.LentWhileHeld, rep.LentWhileHeld)
	if r.Example == nil {
		r.Example = run.example()
	}
}

// sum adds a count that not every sender has.
func sum(at **uint64, n *uint64) {
	if n == nil {
		return
	}
	if *at == nil {
		*at = new(uint64)
	}
	**at += *n
}

// conclude works out the row's figures.
func (r *Row) conclude(loss *float64) {
	if r.Outcome == "" {
		r.Outcome = Done
	}
	if r.seconds > 0 {
		r.BitsPerSecond = float64(r.Bytes) * 8 / r.seconds
	}
	if r.Bytes > 0 {
		r.CPU = r.cpu / float64(r.Bytes) * 1e9
	}
	slices.Sort(r.holds)
	if n := len(r.holds); n > 0 {
		at := func(q float64) float64 { return float64(r.holds[min(n-1, int(q*float64(n)))]) / 1e3 }
		r.Hold = Hold{at(0.5), at(0.99), float64(r.holds[n-1]) / 1e3}
	}
	r.Remark = r.remark(loss)
}

// remark is what a reader has to know of a row that is done.
func (r *Row) remark(loss *float64) string {
	lossless := loss != nil && *loss == 0
	switch {
	case r.Outcome != Done:
		return ""
	case r.Name == Completion && lossless && r.Corrupted == 0:
		return "0 by construction: AF_XDP copies here before it completes, and nothing is sent again"
	case r.Name == Submit && lossless && r.Corrupted == 0:
		return "0 where the doorbell copies whatever is submitted, and nothing is sent again"
	case r.Name == Acked:
		return "the receiver has every byte before it is rewritten; what is wrong is on the wire: see rewritten in flight"
	}
	return ""
}
