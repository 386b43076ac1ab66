package netem

import (
	"fmt"
	"math"
	"time"
)

const (
	// DefaultQueue is the queue, in packets, for a zero Impairment.Queue: that of the kernel's netem.
	DefaultQueue = 1000
	// maxQueue bounds Impairment.Queue, in packets.
	maxQueue = 20_000
	// MaxDelay bounds Impairment.Delay, so that what is on the line fits in memory.
	MaxDelay = time.Second
	// minHold is the least time that a packet is held back.
	minHold = 200 * time.Microsecond
	// maxRate bounds Impairment.Rate, in bits per second: the time of a packet is counted in nanoseconds.
	maxRate = 100_000_000_000
)

// Config is a wire: what it does in each direction.
type Config struct {
	Seed    uint64     `json:"seed"` // 0: Run chooses one
	Forward Impairment `json:"forward"`
	Reverse Impairment `json:"reverse"`
}

// Impairment is what one direction does to packets. The zero value passes them on at once. Rates of
// occurrence are percentages of the numbered packets, in steps of 0.0001.
type Impairment struct {
	Loss      float64       `json:"loss"`      // dropped
	Reorder   float64       `json:"reorder"`   // held back for Hold, so that later ones overtake them
	Duplicate float64       `json:"duplicate"` // sent twice, the copy right behind
	Corrupt   float64       `json:"corrupt"`   // one bit behind the IP header is turned over
	Delay     time.Duration `json:"delay_ns"`  // on top of the bottleneck's
	Jitter    time.Duration `json:"jitter_ns"` // the delay is uniform in Delay ± Jitter; the order is kept
	Hold      time.Duration `json:"hold_ns"`   // 0: a quarter of Delay, at least 200 µs
	Rate      int64         `json:"rate"`      // of the bottleneck, bits of frame per second; 0: no bottleneck, no queue
	Queue     int           `json:"queue"`     // packets that wait for the bottleneck or are in it; the next one is dropped; 0: DefaultQueue
	Mark      int           `json:"mark"`      // packets in the queue with which one that can be told of congestion (ECN) is; 0: none is
	All       bool          `json:"all"`       // number segments without payload too, except SYN
}

// Validate returns what is wrong with a wire, or nil.
func (c Config) Validate() error {
	if err := c.Forward.validate(); err != nil {
		return err
	}
	return c.Reverse.validate()
}

func (m Impairment) validate() error {
	for _, p := range []struct {
		name    string
		percent float64
	}{{"loss", m.Loss}, {"reorder", m.Reorder}, {"duplicate", m.Duplicate}, {"corrupt", m.Corrupt}} {
		if math.IsNaN(p.percent) || p.percent < 0 || p.percent > 100 {
			return fmt.Errorf("%s of %v percent: choose 0 to 100", p.name, p.percent)
		}
	}
	switch {
	case m.Delay < 0 || m.Delay > MaxDelay:
		return fmt.Errorf("delay of %v: choose 0 to %v", m.Delay, MaxDelay)
	case m.Jitter < 0 || m.Jitter > m.Delay:
		return fmt.Errorf("jitter of %v: choose 0 up to the delay, which is %v: no packet can leave before it came", m.Jitter, m.Delay)
	case m.Hold < 0 || m.Hold > MaxDelay:
		return fmt.Errorf("hold of %v: choose 0 to %v", m.Hold, MaxDelay)
	case m.Rate < 0 || m.Rate > maxRate:
		return fmt.Errorf("rate of %d bit/s: choose 0 to %d", m.Rate, int64(maxRate))
	case m.Queue < 0 || m.Queue > maxQueue:
		return fmt.Errorf("queue of %d packets: choose 1 to %d", m.Queue, maxQueue)
	case m.Queue > 0 && m.Rate == 0:
		return fmt.Errorf("queue of %d packets without a rate: nothing would wait in it; give a rate too", m.Queue)
	case m.Mark < 0 || m.Mark > maxQueue:
		return fmt.Errorf("marks from %d packets on: choose 1 to %d", m.Mark, maxQueue)
	case m.Mark > 0 && m.Rate == 0:
		return fmt.Errorf("marks from %d packets on without a rate: nothing would wait; give a rate too", m.Mark)
	}
	return nil
}

// withDefaults puts in what zeroes stand for.
func (m Impairment) withDefaults() Impairment {
	if m.Queue == 0 {
		m.Queue = DefaultQueue
	}
	if m.Hold == 0 {
		m.Hold = max(m.Delay/4, minHold)
	}
	return m
}
