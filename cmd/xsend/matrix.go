package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/matrix"
	"github.com/xsend/xsend/internal/units"
)

// matrixFlags are those of "xsend matrix" that aren't matrix.Config's own.
type matrixFlags struct {
	cfg    matrix.Config
	dry    bool
	asJSON bool
	asCSV  bool
	html   string
}

func newMatrix(std stdio) *cobra.Command {
	f := &matrixFlags{}
	cmd := &cobra.Command{
		Use:   "matrix [flags] IFACE HOST:PORT",
		Short: "Measure what each offload setting does on a real path, beside the kernel's TCP",
		Long: `Run "xsend send --pattern" from an interface to an "xsend sink --verify" with each checksum, scatter-gather, mode, attach and
MTU, and beside it the kernel's own TCP (send, sendfile, MSG_ZEROCOPY; cubic) with the same bytes, with TSO and GSO on and
off where they may be set. Every row has its turn before the next turn begins. Goodput is what the receiver has compared
with the pattern; what is impossible is a row with the reason. Needs what "xsend send" needs.

Everything that is set is put back after each run, and when the matrix is killed. --dry-run says how many rows there are, how long it takes and what
will be changed.

Exit codes: 0 every row was measured or is impossible; 1 a run failed, or bytes were wrong; 2 not started; 130, 143 ended by
SIGINT, SIGTERM.`,
		Example: `  xsend sink --verify --no-hash                                           on the receiver
  xsend matrix eth1 192.0.2.7:9000 --dry-run
  xsend matrix eth1 192.0.2.7:9000 --state m.jsonl --html matrix.html
  xsend matrix eth1 192.0.2.7:9000 --mode zerocopy --sg off --mtu 1500,9000 --turns 6 --csv`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.cfg.Checksums, "checksum", matrix.Checksums, "who computes checksums")
	flags.StringSliceVar(&f.cfg.SGs, "sg", matrix.SGs, "packets of several descriptors")
	flags.StringSliceVar(&f.cfg.Modes, "mode", matrix.Modes, "how the kernel takes frames")
	flags.StringSliceVar(&f.cfg.Attaches, "attach", matrix.Attaches, "how the XDP program is attached")
	flags.IntSliceVar(&f.cfg.MTUs, "mtu", nil, "MTUs in bytes (default: the one that the interface has)")
	f.cfg.Time = matrix.DefaultTime
	flags.VarP(timeValue(&f.cfg.Time, time.Second), "time", "t", "how long each run sends, in seconds or as a duration")
	flags.IntVar(&f.cfg.Turns, "turns", matrix.DefaultTurns, "runs of each row")
	flags.BoolVar(&f.cfg.Force, "force", false, "set MTUs also of the interface that this machine is reached by")
	flags.StringVar(&f.cfg.State, "state", "", "keep the runs in this `FILE`, and go on with what it has")
	flags.BoolVar(&f.dry, "dry-run", false, "say what it costs and what will be changed, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object at the end")
	flags.BoolVar(&f.asCSV, "csv", false, "print a line for each row, with commas between values")
	flags.StringVar(&f.html, "html", "", "write a page with plots to this `FILE`, which needs no other")
	return cmd
}

func (f *matrixFlags) run(cmd *cobra.Command, std stdio, args []string) error {
	f.cfg.Interface, f.cfg.Target, f.cfg.Version = args[0], args[1], version
	f.cfg.Self = "/proc/self/exe"
	f.cfg.Guardian = []string{f.cfg.Self, guardCommand}
	if err := f.check(cmd); err != nil {
		return notStarted(err)
	}
	if f.dry {
		return f.price(std)
	}
	if err := f.tryPage(); err != nil {
		return notStarted(err)
	}
	send := newSend(std).Flags()
	f.cfg.Knows = func(flag string) bool { return send.Lookup(flag) != nil }
	f.cfg.Done = func(p matrix.Progress) { printProgress(std, p) }
	in, release := catch(cmd.Context())
	defer release()
	r, err := matrix.Measure(in.polite, f.cfg)
	switch {
	case in.code() != 0 && err != nil:
		return withCode(in.code(), err)
	case matrix.NotBegun(err):
		return notStarted(err)
	case err != nil:
		return failed(err)
	}
	if err := f.print(std, &r); err != nil {
		return failed(err)
	}
	if r.Wrong+r.Failed > 0 {
		return failed(fmt.Errorf("%d rows with wrong bytes, %d that failed", r.Wrong, r.Failed))
	}
	return nil
}

// check refuses what matrix.Config would take for a default.
func (f *matrixFlags) check(cmd *cobra.Command) error {
	switch {
	case f.cfg.Time == 0:
		return errors.New("--time 0: choose from 100ms to 1h")
	case f.cfg.Turns == 0:
		return errors.New("--turns 0: choose from 1 to 1000")
	case f.asJSON && f.asCSV:
		return errors.New("both --json and --csv: choose one; --html FILE goes with either")
	case cmd.Flags().Changed("mtu") && len(f.cfg.MTUs) == 0:
		return errors.New("--mtu: the list is empty: leave the flag out for the interface's own")
	}
	return nil
}

// tryPage finds out before the first run whether the page can be written.
func (f *matrixFlags) tryPage() error {
	if f.html == "" {
		return nil
	}
	_, missing := os.Stat(f.html)
	out, err := os.OpenFile(f.html, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("page: %w: give another file", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	if missing != nil {
		return os.Remove(f.html)
	}
	return nil
}

func (f *matrixFlags) price(std stdio) error {
	p, err := matrix.Ask(f.cfg)
	switch {
	case err != nil:
		return notStarted(err)
	case f.asJSON:
		return failed(printJSON(std.out, p))
	}
	fmt.Fprintf(std.out, "%d rows (%d of xsend, %d of the kernel's TCP), %d turns of %g s each: %d runs, about %.1f minutes, less where rows are refused\n",
		p.Rows, p.Xsend, p.Linux, p.Turns, p.Time, p.Rows*p.Turns, p.Seconds/60)
	for _, c := range p.Changes {
		fmt.Fprintln(std.out, c)
	}
	return nil
}

func (f *matrixFlags) print(std stdio, r *matrix.Result) error {
	if f.html != "" {
		out, err := os.Create(f.html)
		if err != nil {
			return fmt.Errorf("page: %w", err)
		}
		if err := errors.Join(r.WriteHTML(out), out.Close()); err != nil {
			return fmt.Errorf("page %s: %w", f.html, err)
		}
	}
	switch {
	case f.asJSON:
		return printJSON(std.out, r)
	case f.asCSV:
		return r.WriteCSV(std.out)
	}
	printMatrix(std.out, r)
	return nil
}

// printProgress says what a run came to, and how long the rest will take.
func printProgress(std stdio, p matrix.Progress) {
	r := &p.Run
	figures := r.Outcome + ": " + r.Reason
	if r.Outcome == matrix.Done {
		figures = fmt.Sprintf("%s, %.2f CPU s/GB, %d sent again", units.BitRate(r.BitsPerSecond), r.UserPerGB+r.SystemPerGB, r.Retransmits)
		if r.Limited != "" {
			figures += ", " + r.Limited
		}
	}
	fmt.Fprintf(std.err, "%*d/%d  %v, turn %d  %s  ETA %v\n", len(strconv.Itoa(p.All)), p.Count, p.All, r.Cell, r.Turn, figures, p.Left.Round(time.Second))
}

func printMatrix(w io.Writer, r *matrix.Result) {
	fmt.Fprintf(w, "%s (%s, MTU %d) to %s; %d turns of %g s, interleaved; medians; xsend %s, Linux %s\n",
		r.Interface, r.Driver, r.MTU, r.Target, r.Turns, r.Seconds, r.Version, r.Kernel)
	if r.Turns < 3 {
		fmt.Fprintln(w, "COARSE: too few turns to judge by")
	}
	fmt.Fprintf(w, "%3s %-6s %-8s %-3s %-8s %-9s %5s %5s  %13s  %-29s %2s %9s %6s %6s %7s %7s %11s %6s\n", "row", "sender", "checksum", "sg", "mode", "attach", "mtu", "mss",
		"goodput", "interval", "n", "packets/s", "user", "system", "kicks", "resent", "verified", "wrong")
	for i := range r.Rows {
		printMatrixRow(w, &r.Rows[i])
	}
	fmt.Fprintln(w, "mss: payload in a full segment; user, system: processor seconds of the sender per GB; kicks: of the doorbell per packet; verified: compared by the receiver, wrong: bytes of it")
	for _, e := range r.Evidence() {
		fmt.Fprintf(w, "evidence: %v (rows %s)\n", e.Knob, e.Span())
	}
	limited := ""
	if r.Limited > 0 {
		limited = fmt.Sprintf("; %d with smaller segments than their MTU allows", r.Limited)
	}
	fmt.Fprintf(w, "%d rows done, %d impossible, %d failed, %d with wrong bytes%s\n", r.Done, r.Impossible, r.Failed, r.Wrong, limited)
}

func printMatrixRow(w io.Writer, r *matrix.Row) {
	what := fmt.Sprintf("%-8s %-3s %-8s %-7s", r.Checksum, r.SG, r.Mode, r.Attach)
	if r.Sender == matrix.Linux {
		what = fmt.Sprintf("%-8s cubic, TSO, GSO %-5s", r.Call, r.TSO)
	}
	fmt.Fprintf(w, "%3d %-6s %-31s %5d ", r.Number, r.Sender, what, r.MTU)
	if r.N == 0 {
		fmt.Fprintf(w, "%5s  %s: %s\n", "-", r.Outcome, r.Reason)
		return
	}
	kicks := "-"
	if r.Kicks != nil {
		kicks = fmt.Sprintf("%.4f", r.Kicks.Median)
	}
	interval := fmt.Sprintf("%s … %s", units.BitRate(r.BitsPerSecond.Low), units.BitRate(r.BitsPerSecond.High))
	fmt.Fprintf(w, "%5d  %13s  %-29s %2d %9.0f %6.2f %6.2f %7s %7.0f %11s %6d", r.MSS, units.BitRate(r.BitsPerSecond.Median), interval, r.N, r.Packets.Median,
		r.UserPerGB.Median, r.SystemPerGB.Median, kicks, r.Retransmits.Median, units.Bytes(r.Bytes), r.WrongBytes)
	if r.Limited != "" {
		fmt.Fprintf(w, "  LIMITED: %s", r.Limited)
	}
	if r.Reason != "" {
		fmt.Fprintf(w, "  %s: %s (%d refused, %d failed)", r.Outcome, r.Reason, r.Refused, r.Failed)
	}
	fmt.Fprintln(w)
}

// newBenchBaseline is the kernel's TCP, run by "xsend matrix".
func newBenchBaseline(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: "baseline CALL ADDR:PORT INTERFACE SECONDS", Hidden: true, Args: cobra.ExactArgs(4),
		RunE: func(_ *cobra.Command, args []string) error {
			seconds, err := strconv.ParseFloat(args[3], 64)
			if err != nil {
				return notStarted(fmt.Errorf("seconds: %w", err))
			}
			r, err := matrix.Baseline(args[0], args[1], args[2], seconds)
			if err != nil {
				return failed(err)
			}
			return failed(printJSON(std.out, r))
		},
	}
}
