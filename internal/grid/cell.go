package grid

import (
	"fmt"
	"time"

	"github.com/xsend/xsend/internal/netem"
)

// Cell is one point of the grid. Its JSON names are stable.
type Cell struct {
	Congestion string        `json:"congestion"`
	Loss       float64       `json:"loss_percent"`
	RTT        time.Duration `json:"rtt_ns"` // of the wire alone
}

func (c Cell) String() string {
	return fmt.Sprintf("%s, loss %g %%, RTT %v", c.Congestion, c.Loss, c.RTT)
}

// Path is the bottleneck of all cells. Its JSON names are stable.
type Path struct {
	Rate     int64 `json:"rate"`      // bits of frame per second
	MinQueue int   `json:"min_queue"` // packets; the queue is a bandwidth-delay product, at least this
}

// frameSize is a full frame on the wire, in bytes, at an MTU of 1500.
const frameSize = 1514

// queue is a bandwidth-delay product in packets.
func (p Path) queue(rtt time.Duration) int {
	return max(p.MinQueue, int(p.Rate*int64(rtt)/int64(time.Second)/8/frameSize))
}

// wire is what a cell asks of the wire. What is acknowledged passes unharmed.
func (p Path) wire(c Cell, seed uint64) netem.Config {
	one := c.RTT / 2
	return netem.Config{
		Seed:    seed,
		Forward: netem.Impairment{Loss: c.Loss, Delay: one, Rate: p.Rate, Queue: p.queue(c.RTT)},
		Reverse: netem.Impairment{Delay: c.RTT - one, Rate: p.Rate},
	}
}

// cells lists the grid, one congestion control after the other.
func cells(congestions []string, losses []float64, rtts []time.Duration) (all []Cell) {
	for _, cc := range congestions {
		for _, loss := range losses {
			for _, rtt := range rtts {
				all = append(all, Cell{cc, loss, rtt})
			}
		}
	}
	return all
}
