package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/race"
	"github.com/xsend/xsend/internal/units"
)

// raceFlags are those of "xsend race" that aren't race.Config's own.
type raceFlags struct {
	cfg    race.Config
	short  bool
	asJSON bool
	html   string
}

func newRace(std stdio) *cobra.Command {
	f := &raceFlags{}
	cmd := &cobra.Command{
		Use:   "race [flags] [IFACE HOST:PORT]",
		Short: "Show what becomes of bytes whose writer changes his buffer as soon as he is told that he may",
		Long: `A writer sends rounds of known bytes and rewrites its buffer the moment that its API says "yours again"; the receiver counts
bytes that are not what was promised. One table for the kernel's send(), sendfile(), splice(), MSG_ZEROCOPY and io_uring
SEND_ZC and for xsend, in its right mode and in those that are wrong on purpose: the same path, losses and sizes, in one run.

Without arguments it makes two pairs of network namespaces, one that loses nothing and one that loses 1 %, and removes them;
that takes less than 40 s and needs root. With an interface and the address of an "xsend sink --verify" it runs there.

Exit codes: 0 the references and --release ack corrupted nothing, sendfile() did, and where 1 % or more is lost xsend's wrong
modes did, too; 1 it showed anything else, or failed; 2 not started; 130, 143 ended by SIGINT, SIGTERM.`,
		Example: `  xsend race
  xsend race --html race.html
  xsend race --short
  xsend race --rows sendfile,zerocopy-notified,ack --loss 0.1,3 --round 1M
  xsend sink --verify --no-hash                          on the receiver
  xsend race eth1 192.0.2.7:9000 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fmt.Errorf("%d arguments: give an interface and HOST:PORT, or neither", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.cfg.Rows, "rows", race.Names(), "rows of the table")
	flags.BoolVar(&f.short, "short", false, "send, sendfile, completion and ack only, with 1 % loss, in less than 10 s")
	flags.Float64SliceVar(&f.cfg.Losses, "loss", race.DefaultLosses, "percent of packets that the namespaces lose, a block of the table each")
	flags.IntVar(&f.cfg.MTU, "mtu", 0, "MTU of the namespaces in bytes (default: 1500)")
	f.cfg.RTT = race.DefaultRTT
	flags.Var(timeValue(&f.cfg.RTT, time.Millisecond), "rtt", "RTT between the namespaces, which a wire makes, in milliseconds or as a duration; 0: they are joined directly")
	flags.Var(rateValue(&f.cfg.Rate), "rate", "with --rtt: what the wire passes, in bits per second (default: as much as it can)")
	number := func(at *int64, to int64, text, name, short, usage string) {
		*at = to
		v := bytesValue(at)
		v.text = text
		flags.VarP(v, name, short, usage)
	}
	number(&f.cfg.Bytes, race.DefaultBytes, "8M", "bytes", "n", "that each row sends in a block, over all turns")
	number(&f.cfg.Round, race.DefaultRound, "64K", "round", "", "bytes of a round, which is a buffer: a multiple of 4K")
	flags.IntVar(&f.cfg.Buffers, "buffers", race.DefaultBuffers, "buffers of each writer")
	flags.IntVar(&f.cfg.Turns, "turns", race.DefaultTurns, "runs of each row, in an order that changes")
	flags.Uint64Var(&f.cfg.Seed, "seed", 1, "of the order, and of which packets are lost")
	f.cfg.Late = race.DefaultLate
	flags.Var(timeValue(&f.cfg.Late, time.Millisecond), "late", "in the rows with late completions: how late they are handed on at most, in milliseconds or as a duration")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object at the end")
	flags.StringVar(&f.html, "html", "", "write a page that explains the race to this `FILE`, which needs no other")
	cmd.AddCommand(newRaceWriter(std), newRaceOther(std))
	return cmd
}

func (f *raceFlags) run(cmd *cobra.Command, std stdio, args []string) (err error) {
	if err := f.config(cmd, args); err != nil {
		return notStarted(err)
	}
	if f.cfg.Self, err = os.Executable(); err != nil {
		return notStarted(fmt.Errorf("find this program: %w", err))
	}
	if err := tryFile("page", f.html); err != nil {
		return notStarted(err)
	}
	f.cfg.Version, f.cfg.Err = version, std.err
	f.cfg.Say = func(text string) { fmt.Fprintf(std.err, "race: %s\n", text) }
	f.cfg.Done = func(p race.Progress) { printHeat(std.err, &p) }
	in, release := catch(cmd.Context())
	defer release()
	res, err := race.Run(in.polite, f.cfg)
	switch {
	case in.code() != 0 && err != nil:
		return withCode(in.code(), err)
	case errors.Is(err, race.ErrNotStarted):
		return notStarted(err)
	case err != nil:
		return failed(err)
	}
	if err := f.print(std, &res); err != nil {
		return failed(err)
	}
	return failed(raceVerdict(&res))
}

// config completes race.Config.
func (f *raceFlags) config(cmd *cobra.Command, args []string) error {
	changed := cmd.Flags().Changed
	if len(args) == 2 {
		f.cfg.Interface, f.cfg.Target = args[0], args[1]
		if !changed("loss") {
			f.cfg.Losses = nil
		}
		if !changed("rtt") {
			f.cfg.RTT = 0
		}
	}
	if f.short {
		for _, name := range []string{"rows", "loss", "rtt", "turns"} {
			if changed(name) {
				return fmt.Errorf("both --short and --%s: choose one", name)
			}
		}
		if len(args) > 0 {
			return errors.New("--short is for namespaces of its own: leave out the flag, or the destination")
		}
		f.cfg.Short()
	}
	for _, name := range []string{"bytes", "round", "buffers", "turns", "late", "seed"} {
		if flag := cmd.Flags().Lookup(name); isZero(flag.Value.String()) {
			return fmt.Errorf("--%s %s: must be more than 0", name, flag.Value)
		}
	}
	return f.cfg.Validate()
}

// isZero tells whether the text of a number, or of a number with a unit, says 0.
func isZero(text string) bool {
	for _, c := range text {
		if c >= '1' && c <= '9' {
			return false
		}
	}
	return true
}

// tryFile finds out whether a file can be written, before it costs anything.
func tryFile(what, name string) error {
	if name == "" {
		return nil
	}
	_, missing := os.Stat(name)
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("%s: %w: give another file", what, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if missing != nil {
		return os.Remove(name)
	}
	return nil
}

func (f *raceFlags) print(std stdio, r *race.Result) error {
	if f.html != "" {
		out, err := os.Create(f.html)
		if err != nil {
			return fmt.Errorf("page: %w", err)
		}
		if err := errors.Join(r.WriteHTML(out), out.Close()); err != nil {
			return fmt.Errorf("page %s: %w", f.html, err)
		}
	}
	if f.asJSON {
		return printJSON(std.out, r)
	}
	r.WriteText(std.out)
	return nil
}

// raceVerdict is the error of a race that did not show what it is about.
func raceVerdict(r *race.Result) error {
	var errs []error
	for _, reason := range r.Verdict.Reasons {
		errs = append(errs, errors.New(reason))
	}
	return errors.Join(errs...)
}

// printHeat says what a run came to.
func printHeat(w io.Writer, p *race.Progress) {
	loss := "the path's own loss"
	if p.Loss != nil {
		loss = fmt.Sprintf("%g %% loss", *p.Loss)
	}
	what := p.Reason
	if what == "" {
		what = fmt.Sprintf("%d of %s corrupted", p.Corrupted, units.Bytes(p.Bytes))
	}
	fmt.Fprintf(w, "%*d/%d  turn %d, %s, %s, %s: %s\n", len(strconv.Itoa(p.All)), p.Count, p.All, p.Turn, loss, p.Sender.Call, p.Sender.When, what)
}

// newRaceWriter is a writer, run by "xsend race".
func newRaceWriter(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: race.WriterCommand + " JSON", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var cfg race.WriterConfig
			if err := json.Unmarshal([]byte(args[0]), &cfg); err != nil {
				return notStarted(fmt.Errorf("configuration: %w", err))
			}
			// A signal ends it at once: what it has of the NIC and of the kernel ends with it.
			r, err := race.RunWriter(cmd.Context(), cfg)
			if err != nil {
				return failed(err)
			}
			return failed(json.NewEncoder(std.out).Encode(r))
		},
	}
}

// newRaceOther is the other process that writes the file.
func newRaceOther(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: race.OtherCommand + " BYTES", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			round, err := strconv.Atoi(args[0])
			if err != nil {
				return notStarted(fmt.Errorf("bytes: %w", err))
			}
			return failed(race.RunOther(round, std.in, std.out))
		},
	}
}
