package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/bench"
	"github.com/xsend/xsend/internal/units"
)

func newBench(std stdio) *cobra.Command {
	var cfg bench.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare goodput with the kernel's sendfile() and with the raw dataplane",
		Long: `Compare, on a veth pair and in turn, the goodput of "xsend send", of the kernel's sendfile() with cubic and without
TSO and GSO, and of the raw dataplane: full frames through the AF_XDP socket to a receiver that drops them. Needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd, std, cfg, asJSON) },
	}
	pairedFlags(cmd, &cfg, &asJSON)
	cmd.Flags().IntVar(&cfg.MTU, "mtu", 1500, "MTU of the veth pair in bytes")
	cmd.AddCommand(newBenchWire(std), newBenchHeadroom(std), newBenchFair(std), newBenchJumbo(std), newBenchSendfile(std), newBenchRaw(std), newBenchKernel(std), newBenchBaseline(std))
	return cmd
}

// pairedFlags are those of comparisons in rounds.
func pairedFlags(cmd *cobra.Command, cfg *bench.Config, asJSON *bool) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&cfg.Rounds, "rounds", 5, "turns that each contender has")
	cfg.Bytes = 512 << 20
	size := bytesValue(&cfg.Bytes)
	size.text = "512M"
	flags.VarP(size, "bytes", "n", "size of the file")
	flags.BoolVar(asJSON, "json", false, "print one JSON object at the end")
}

func runBench(cmd *cobra.Command, std stdio, cfg bench.Config, asJSON bool) error {
	in, release, err := prepareBench(cmd, std, &cfg)
	if err != nil {
		return err
	}
	defer release()
	res, err := bench.Compare(in.polite, cfg)
	return concluded(in, std, err, asJSON, res, func() { printBench(std, &res) })
}

func newBenchJumbo(std stdio) *cobra.Command {
	var cfg bench.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "jumbo",
		Short: "Compare packets of 9000 bytes over several frames with those of 1500 in one",
		Long: `Compare, on veth and in turn, the goodput of packets of 9000 bytes, which take several descriptors each, with that of packets
of 1500 bytes in one: of "xsend send", and of the raw dataplane. Needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runJumbo(cmd, std, cfg, asJSON) },
	}
	pairedFlags(cmd, &cfg, &asJSON)
	return cmd
}

func runJumbo(cmd *cobra.Command, std stdio, cfg bench.Config, asJSON bool) error {
	in, release, err := prepareBench(cmd, std, &cfg)
	if err != nil {
		return err
	}
	defer release()
	res, err := bench.CompareJumbo(in.polite, cfg)
	return concluded(in, std, err, asJSON, res, func() {
		fmt.Fprintf(std.out, "9000 over 1500 bytes, medians of %d paired rounds on veth, copy mode: raw %.2f (goal %.1f), over TCP %.2f (goal %.1f): %s\n",
			res.Rounds, res.OverRaw, bench.RawJumboGoal, res.OverTCP, bench.TCPJumboGoal, metOrMissed(res.GoalMet))
	})
}

// concluded is how a measurement ends: interrupted, failed, or with its result as JSON or told to people.
func concluded(in *interruption, std stdio, err error, asJSON bool, result any, tell func()) error {
	switch {
	case in.code() != 0:
		return withCode(in.code(), err)
	case err != nil:
		return failed(err)
	case asJSON:
		return failed(printJSON(std.out, result))
	}
	tell()
	return nil
}

// prepareBench checks and completes what all comparisons take.
func prepareBench(cmd *cobra.Command, std stdio, cfg *bench.Config) (in *interruption, release func(), err error) {
	if cfg.Rounds < 1 || cfg.Bytes < 1 {
		return nil, nil, notStarted(fmt.Errorf("--rounds %d, --bytes %d: must be at least 1", cfg.Rounds, cfg.Bytes))
	}
	if cfg.Self, err = os.Executable(); err != nil {
		return nil, nil, notStarted(fmt.Errorf("find this program: %w", err))
	}
	in, release = catch(cmd.Context())
	cfg.Say = func(text string) { fmt.Fprintf(std.err, "bench: %s\n", text) }
	cfg.Run = func(r bench.Run) {
		fmt.Fprintf(std.err, "round %d  %-10s  %12s  %.2f CPU s/GB  %s\n", r.Round, r.Contender, units.BitRate(r.BitsPerSecond), r.CPUPerGB, r.Congestion)
	}
	return in, release, nil
}

func printBench(std stdio, r *bench.Result) {
	fmt.Fprintf(std.out, "goodput at MTU %d, medians of %d rounds on veth, copy mode\n", r.MTU, len(r.Runs)/3)
	for _, c := range []struct{ name, what string }{
		{bench.Xsend, "xsend send of a file"},
		{bench.Sendfile, "sendfile(), cubic, TSO and GSO off"},
		{bench.Raw, "raw dataplane, receiver dropping"},
	} {
		fmt.Fprintf(std.out, "  %-36s %12s  %.2f CPU s/GB\n", c.what, units.BitRate(r.Median[c.name]), r.CPU[c.name])
	}
	fmt.Fprintf(std.out, "paired ratios: %.2f of sendfile, %.2f of raw; %.2f of the lesser of the two, goal %.2f: %s\n",
		r.OverSendfile, r.OverRaw, r.OverLesser, r.Goal, metOrMissed(r.GoalMet))
}

// newBenchSendfile is a contender, run in the lab by "xsend bench".
func newBenchSendfile(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: "sendfile ADDR:PORT FILE", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := bench.RunSendfile(args[0], args[1])
			if err != nil {
				return failed(err)
			}
			return failed(printJSON(std.out, r))
		},
	}
}

// newBenchRaw is another one.
func newBenchRaw(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: "raw INTERFACE SECONDS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			seconds, err := strconv.ParseFloat(args[1], 64)
			if err != nil {
				return notStarted(fmt.Errorf("seconds: %w", err))
			}
			r, err := bench.RunRaw(cmd.Context(), args[0], seconds)
			if err != nil {
				return failed(err)
			}
			return failed(printJSON(std.out, r))
		},
	}
}
