package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/grid"
	"github.com/xsend/xsend/internal/units"
)

// gridFlags are those of "xsend bench wire" that aren't grid.Config's own.
type gridFlags struct {
	cfg    grid.Config
	coarse bool
	asJSON bool
	drops  int64
}

// The coarse grid: 36 cells, two runs of at most 6 s each, in less than ten minutes.
const (
	coarseTurns = 1
	coarseDrops = 100
	coarseTime  = 6 * time.Second
)

func newBenchWire(std stdio) *cobra.Command {
	f := &gridFlags{}
	cmd := &cobra.Command{
		Use:   "wire",
		Short: "Compare goodput with the kernel's TCP over losses, RTTs and congestion controls",
		Long: `Compare, on the lab's wire and in turn, the goodput of "xsend send" with that of the kernel's TCP: the same congestion
control, the same receiver, the same packets lost. A run ends after 300 lost packets or 20 s. The whole grid takes about
80 minutes and can be gone on with (--state); --coarse takes less than 10. --refine then runs cells with a median below
0.9 again, in 9 turns of 60 s. Needs root.`,
		Example: `  xsend bench wire --coarse --congestion reno
  xsend bench wire --state grid.jsonl
  xsend bench wire --state grid.jsonl --refine`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, std) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.coarse, "coarse", false, "one turn of at most 6 s or 100 lost packets in each cell")
	flags.BoolVar(&f.cfg.Refine, "refine", false, "then run cells below 0.9 again, longer")
	flags.StringVar(&f.cfg.State, "state", "", "keep the turns in this `FILE`, and go on with what it has")
	flags.StringSliceVar(&f.cfg.Congestions, "congestion", []string{"cubic", "reno", "bbr"}, "congestion controls; one that xsend hasn't got is skipped")
	flags.Float64SliceVar(&f.cfg.Losses, "loss", []float64{0, 0.1, 1, 3}, "percent of packets lost")
	flags.DurationSliceVar(&f.cfg.RTTs, "rtt", []time.Duration{time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond}, "RTTs of the wire")
	flags.IntVar(&f.cfg.Turns, "turns", 3, "turns of each cell")
	flags.DurationVar(&f.cfg.Limits.Time, "time", 20*time.Second, "longest run")
	flags.Int64Var(&f.drops, "drops", 300, "lost packets that end a run; 0: none does")
	f.cfg.Path.Rate = grid.MaxRate
	rate := rateValue(&f.cfg.Path.Rate)
	rate.text = "200M"
	flags.Var(rate, "rate", "what the bottleneck passes")
	flags.IntVar(&f.cfg.Path.MinQueue, "queue", 100, "least queue in packets; it is a bandwidth-delay product where that is more")
	flags.BoolVar(&f.cfg.RealTime, "realtime", true, "senders and receiver have real-time priority, so that other work on the machine isn't measured")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

func (f *gridFlags) run(cmd *cobra.Command, std stdio) (err error) {
	if f.drops < 0 || f.cfg.Limits.Time <= 0 || f.cfg.Turns < 1 {
		return notStarted(fmt.Errorf("--drops %d, --time %v, --turns %d: must be more than 0 (--drops may be 0)", f.drops, f.cfg.Limits.Time, f.cfg.Turns))
	}
	f.cfg.Limits.Drops = uint64(f.drops)
	if err := f.cfg.Validate(); err != nil {
		return notStarted(err)
	}
	if f.coarse {
		f.cfg.Turns, f.cfg.Limits = coarseTurns, grid.Limits{Drops: coarseDrops, Time: coarseTime}
	}
	if f.cfg.Self, err = os.Executable(); err != nil {
		return notStarted(fmt.Errorf("find this program: %w", err))
	}
	f.cfg.Version = version
	f.cfg.Say = func(text string) { fmt.Fprintf(std.err, "grid: %s\n", text) }
	f.cfg.Turn = func(t grid.Turn) { printTurn(std, t) }
	in, release := catch(cmd.Context())
	defer release()
	res, err := grid.Measure(in.polite, f.cfg)
	if in.code() == 0 && errors.Is(err, grid.ErrOtherState) {
		return notStarted(err)
	}
	return concluded(in, std, err, f.asJSON, res, func() { printGrid(std, &res) })
}

func printTurn(std stdio, t grid.Turn) {
	fmt.Fprintf(std.err, "%-30v turn %d ", t.Cell, t.Number)
	for _, r := range t.Runs {
		fmt.Fprintf(std.err, "  %s %s in %.1f s (%d lost, %d queue, %d sent again)", r.Contender, units.BitRate(r.BitsPerSecond), r.Seconds, r.Lost, r.QueueDropped, r.Sender.Retransmits)
	}
	fmt.Fprintf(std.err, "  ratio %.2f\n", t.Ratio())
}

func printGrid(std stdio, r *grid.Result) {
	w := std.out
	fmt.Fprintf(w, "goodput of xsend over the kernel's TCP on a wire of %s, a queue of a bandwidth-delay product, at least %d packets\n", units.BitRate(float64(r.Path.Rate)), r.Path.MinQueue)
	fmt.Fprintf(w, "a run: %d lost packets or %v; %d turns, medians of ratios within a turn; xsend %s\n", r.Limits.Drops, r.Limits.Time, r.Turns, r.Version)
	if r.RealTime {
		fmt.Fprintln(w, "senders and receiver have real-time priority")
	}
	if r.Turns < 3 {
		fmt.Fprintln(w, "COARSE: too few turns to judge by")
	}
	fmt.Fprintf(w, "%-7s %6s %6s  %6s %15s %4s  %13s %13s  %13s %15s %6s %8s\n", "control", "loss %", "RTT ms", "ratio", "interval", "n", "xsend", "linux", "lost", "queue", "idle %", "late ms")
	for _, c := range r.Cells {
		fmt.Fprintf(w, "%-7s %6g %6g  %6.2f %6.2f … %6.2f %4d  %13s %13s  %6d %6d %7d %7d %6.0f %8.1f %s\n", c.Cell.Congestion, c.Cell.Loss, float64(c.Cell.RTT)/1e6, c.Ratio,
			c.Interval.Low, c.Interval.High, c.N, units.BitRate(c.Xsend), units.BitRate(c.Linux), c.Lost[0], c.Lost[1], c.QueueDropped[0], c.QueueDropped[1], c.Idle, c.LateMax/1e3, remark(c))
	}
	for _, c := range r.Skipped {
		fmt.Fprintf(w, "%-7s %6g %6g  SKIPPED: xsend has no congestion control %s\n", c.Congestion, c.Loss, float64(c.RTT)/1e6, c.Congestion)
	}
	fmt.Fprintf(w, "median of all cells %.2f\n", r.Median)
	for _, v := range r.Congestions {
		fmt.Fprintf(w, "%-7s median of %d cells %.2f (goal %.2f), least %.2f (goal %.1f), %d missed, %d to be refined: %s\n", v.Congestion, v.Judged, v.Median, grid.Goal, v.Least, grid.CellGoal, v.Missed, v.Weak, metOrMissed(v.Met))
	}
}

func remark(c grid.CellResult) string {
	switch {
	case c.Missed:
		return "MISSED"
	case c.Weak:
		return "weak: run with --refine"
	case c.Refined > 0:
		return "refined"
	}
	return ""
}

// newBenchKernel is a contender, run in the lab by "xsend bench wire".
func newBenchKernel(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: "kernel ADDR:PORT CONGESTION", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := grid.RunKernel(args[0], args[1])
			if err != nil {
				return failed(err)
			}
			return failed(printJSON(std.out, r))
		},
	}
}

func newBenchHeadroom(std stdio) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "headroom",
		Short: "Show what the lab's wire carries without losing a packet by itself",
		Long: `Send frames of 1514 bytes through the lab's wire at rising rates, two seconds each, until it loses one, falls behind by
a millisecond on average, or the machine can't send more. "xsend bench wire" asks at most 200 Mbit/s of it. Needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return notStarted(fmt.Errorf("find this program: %w", err))
			}
			in, release := catch(cmd.Context())
			defer release()
			h, err := grid.MeasureHeadroom(in.polite, self, func(s grid.Step) { printStep(std, s) })
			return concluded(in, std, err, asJSON, h, func() { printHeadroom(std, &h) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

func printHeadroom(std stdio, h *grid.Headroom) {
	fmt.Fprintf(std.out, "the wire carries %s of full frames without a loss: %.1f times the %s asked of it, goal %d: %s\n",
		units.BitRate(h.Carried), h.Factor, units.BitRate(grid.MaxRate), grid.HeadroomGoal, metOrMissed(h.Met))
	fmt.Fprintf(std.out, "the kernel's TCP without a bottleneck, sender and receiver on the same machine: %s, %d packets lost by the wire\n",
		units.BitRate(h.TCP.BitsPerSecond), h.TCP.Unintended)
}

func printStep(std stdio, s grid.Step) {
	fmt.Fprintf(std.err, "asked %12s  offered %12s  %8d frames  %d missing  late %.0f µs, at worst %.0f µs\n",
		units.BitRate(s.Asked), units.BitRate(s.BitsPerSecond), s.Frames, s.Missing, s.LateMean, s.LateMax)
}

func metOrMissed(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func newBenchFair(std stdio) *cobra.Command {
	var cfg grid.FairConfig
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fair",
		Short: "Share a bottleneck with the kernel's TCP",
		Long: `Let one flow of xsend and one of the kernel's TCP, with the same congestion control, share a bottleneck, and then two flows
of xsend; print the shares. The goal is that neither has less than 35 % over 30 s. Needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFair(cmd, std, cfg, asJSON) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&cfg.Congestion, "congestion", "", "congestion control of both flows (default: cubic)")
	cfg.Rate = 100_000_000
	rate := rateValue(&cfg.Rate)
	rate.text = "100M"
	flags.Var(rate, "rate", "what the bottleneck passes")
	flags.DurationVar(&cfg.RTT, "rtt", 20*time.Millisecond, "RTT of the wire")
	flags.IntVar(&cfg.Queue, "queue", 0, "packets that wait for the bottleneck (default: a bandwidth-delay product, at least 100)")
	flags.DurationVar(&cfg.Time, "time", 30*time.Second, "how long both flows send")
	flags.IntVar(&cfg.Rounds, "rounds", 3, "races of each kind")
	flags.BoolVar(&cfg.RealTime, "realtime", true, "senders and receiver have real-time priority, so that other work on the machine isn't measured")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

func runFair(cmd *cobra.Command, std stdio, cfg grid.FairConfig, asJSON bool) (err error) {
	if err := cfg.Validate(); err != nil {
		return notStarted(err)
	}
	if cfg.Self, err = os.Executable(); err != nil {
		return notStarted(fmt.Errorf("find this program: %w", err))
	}
	cfg.Race = func(r grid.Race) {
		fmt.Fprintf(std.err, "round %d  %s %s, %s %s: %.0f : %.0f\n", r.Round, r.Flows[0], units.BitRate(r.Rates[0]), r.Flows[1], units.BitRate(r.Rates[1]), r.Share*100, 100-r.Share*100)
	}
	in, release := catch(cmd.Context())
	defer release()
	r, err := grid.Fair(in.polite, cfg)
	return concluded(in, std, err, asJSON, r, func() { printFair(std, &r) })
}

func printFair(std stdio, r *grid.FairResult) {
	fmt.Fprintf(std.out, "two %s flows through %s, RTT %v, a queue of %d packets, %v; medians of %d rounds\n", r.Congestion, units.BitRate(float64(r.Rate)), r.RTT, r.Queue, r.Time, len(r.Races)/2)
	fmt.Fprintf(std.out, "xsend beside linux   %.0f : %.0f\n", r.Mixed*100, 100-r.Mixed*100)
	fmt.Fprintf(std.out, "xsend beside xsend   %.0f : %.0f\n", r.Own*100, 100-r.Own*100)
	fmt.Fprintf(std.out, "goal: within %.0f : %.0f: %s\n", r.Goal*100, 100-r.Goal*100, metOrMissed(r.Met))
}
