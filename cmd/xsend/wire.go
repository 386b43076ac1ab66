package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
	"github.com/xsend/xsend/internal/units"
)

// wireRate is the most that the wire's bottleneck passes, in bits per second: what is shown to work with room
// to spare.
const wireRate = 200_000_000

// wireFlags are those of "xsend lab up" that ask for a wire.
type wireFlags struct {
	delay, jitter               time.Duration
	reorder, duplicate, corrupt float64
	rate                        int64
	queue, mark                 int
}

func (f *wireFlags) add(flags *pflag.FlagSet) {
	flags.Var(timeValue(&f.delay, time.Millisecond), "delay", "time that a packet takes, in each direction, in milliseconds or as a duration: the RTT is twice that")
	flags.Var(timeValue(&f.jitter, time.Millisecond), "jitter", "the delay is random in --delay ± this; the order of packets stays")
	flags.Float64Var(&f.reorder, "reorder", 0, "percent of the packets that are held back for a quarter of the delay, at least 0.2 ms")
	flags.Float64Var(&f.duplicate, "duplicate", 0, "percent of the packets that arrive twice")
	flags.Float64Var(&f.corrupt, "corrupt", 0, "percent of the packets that arrive with one bit turned over")
	rate := rateValue(&f.rate)
	flags.Var(rate, "rate", "what the bottleneck passes, at most 200M (also the default of a wire)")
	flags.IntVar(&f.queue, "queue", 0, fmt.Sprintf("packets that wait for the bottleneck; the next one is dropped (default of a wire: %d)", netem.DefaultQueue))
	flags.IntVar(&f.mark, "mark", 0, "packets in the queue with which those are marked that can be (ECN), instead of waiting for the queue to be full; 0: none")
}

// into puts a wire into a lab's configuration if one of its flags was given. It loses what the lab's loss
// program would.
func (f *wireFlags) into(cfg *lab.Config, flags *pflag.FlagSet) error {
	asked := false
	for _, name := range []string{"delay", "jitter", "reorder", "duplicate", "corrupt", "rate", "queue", "mark"} {
		asked = asked || flags.Changed(name)
	}
	if !asked {
		return nil
	}
	switch {
	case flags.Changed("rate") && (f.rate < 1 || f.rate > wireRate):
		return fmt.Errorf("--rate %s: choose up to 200M: the wire is not known to carry more; without wire flags the veth pair has no limit", flags.Lookup("rate").Value)
	case flags.Changed("queue") && f.queue < 1:
		return fmt.Errorf("--queue %d: choose 1 packet or more", f.queue)
	case flags.Changed("mark") && f.mark < 1:
		return fmt.Errorf("--mark %d: choose 1 packet or more", f.mark)
	}
	if f.rate == 0 {
		f.rate = wireRate
	}
	both := netem.Impairment{Delay: f.delay, Jitter: f.jitter}
	cfg.Wire = &netem.Config{Seed: cfg.LossSeed, Forward: both, Reverse: both}
	cfg.Wire.Reverse.Rate = wireRate
	forward := &cfg.Wire.Forward
	forward.Loss, forward.Reorder, forward.Duplicate, forward.Corrupt = cfg.Loss, f.reorder, f.duplicate, f.corrupt
	forward.Rate, forward.Queue, forward.Mark = f.rate, f.queue, f.mark
	cfg.Loss, cfg.LossSeed = 0, 0
	return nil
}

// printWire says what a wire does and has done.
func printWire(w io.Writer, name string, s *lab.WireStatus) {
	m, c := s.Status.Config.Forward, s.Status.Forward
	fmt.Fprintf(w, "lab %s: wire of %s, delay %v ± %v each way, loss %g %%, reorder %g %%, duplicate %g %%, corrupt %g %%, seed %d\n", name,
		units.BitRate(float64(m.Rate)), m.Delay, m.Jitter, m.Loss, m.Reorder, m.Duplicate, m.Corrupt, s.Status.Config.Seed)
	fmt.Fprintf(w, "  %-12s forward: %d packets, %d lost, %d dropped by the queue (at most %d in it), %d marked, %d reordered, %d duplicated, %d corrupted\n",
		s.Namespace, c.Packets, c.Lost, c.QueueDropped, c.QueuePeak, c.Marked, c.Reordered, c.Duplicated, c.Corrupted)
	fmt.Fprintf(w, "  %-12s reverse: %d packets; worst lateness %.0f µs; %d packets lost that nobody asked to lose\n", "",
		s.Status.Reverse.Packets, max(c.LateMax, s.Status.Reverse.LateMax), s.Unintended())
}
