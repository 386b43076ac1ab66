package netem

import "time"

// Status is a wire while it runs. Its JSON names are stable.
type Status struct {
	PID      int       `json:"pid"`
	RealTime bool      `json:"real_time"` // runs with real-time priority
	Config   Config    `json:"config"`    // with the seed in force
	Forward  Direction `json:"forward"`
	Reverse  Direction `json:"reverse"`
}

// Unintended is the number of packets lost in either direction that nobody asked to lose.
func (s Status) Unintended() uint64 { return s.Forward.Unintended() + s.Reverse.Unintended() }

// Direction counts one direction's packets since the wire was made or last set. Its JSON names are stable.
type Direction struct {
	Packets      uint64 `json:"packets"`       // that came
	Bytes        uint64 `json:"bytes"`         // of frames that came
	Numbered     uint64 `json:"numbered"`      // of Packets: judged by their number
	Lost         uint64 `json:"lost"`          // dropped because of their number
	QueueDropped uint64 `json:"queue_dropped"` // dropped because the queue was full
	QueuePeak    int    `json:"queue_peak"`    // most packets in the queue at a time
	Marked       uint64 `json:"marked"`        // told of congestion
	Reordered    uint64 `json:"reordered"`     // held back
	Duplicated   uint64 `json:"duplicated"`
	Corrupted    uint64 `json:"corrupted"`
	Sent         uint64 `json:"sent"` // copies included, and what the interface refused
	SentBytes    uint64 `json:"sent_bytes"`
	Pending      int    `json:"pending"` // under way

	// What must not happen: packets lost although nobody asked for it.
	KernelDrops uint64 `json:"kernel_drops"` // came too fast for the packet socket
	Truncated   uint64 `json:"truncated"`    // larger than any frame should be
	Overflow    uint64 `json:"overflow"`     // more under way than the wire holds
	SendErrors  uint64 `json:"send_errors"`  // refused by the interface

	// How late packets left, in microseconds.
	LateMean float64 `json:"late_mean_us"`
	LateMax  float64 `json:"late_max_us"`
	Late     uint64  `json:"late"` // packets more than LateLimit late

	lateSum Time
	lateMax Time
}

// LateLimit is how late a packet may leave without being counted.
const LateLimit = 250 * time.Microsecond

// Unintended is the number of packets lost that nobody asked to lose.
func (d Direction) Unintended() uint64 {
	return d.KernelDrops + d.Truncated + d.Overflow + d.SendErrors
}

// Drops is the number of packets lost on request: by number and by a full queue.
func (d Direction) Drops() uint64 { return d.Lost + d.QueueDropped }

func (d *Direction) sent(size int, late Time) {
	d.Sent++
	d.SentBytes += uint64(size)
	d.lateSum += late
	d.lateMax = max(d.lateMax, late)
	if late > Time(LateLimit) {
		d.Late++
	}
}

// summary is the direction with its averages worked out.
func (l *line) summary() Direction {
	d := l.count
	d.Pending = l.pending.len()
	if d.Sent > 0 {
		d.LateMean = float64(d.lateSum) / float64(d.Sent) / 1e3
	}
	d.LateMax = float64(d.lateMax) / 1e3
	return d
}
