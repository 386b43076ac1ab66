package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/lifecycle"
)

func newTrace(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Check, show or export what xsend send --trace wrote",
		Long: `Check, show or export a lifecycle trace: what "xsend send --trace FILE" wrote of each frame and connection.
docs/trace.md has the format, and what a check proves.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTraceCheck(std), newTraceShow(std), newTraceExport(std))
	return cmd
}

func newTraceCheck(std stdio) *cobra.Command {
	var capture string
	var lines int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [flags] FILE",
		Short: "Decide anew about every release",
		Long: `Decide anew, by a model that shares nothing with the sender, whether every frame was given back rightly: every byte of it
ACKed, every descriptor of it completed, each commit released once, no frame in two hands, and submitted = completed +
quarantined + out at the end. With a capture taken at the peer (pcap or pcapng, begun before the connection, whole packets):
each release's ACK was sent by the peer, and every retransmission carried the bytes of the first transmission.

Exit codes: 0 legal; 1 not legal: each transition is printed; 2 not decidable (events are lost, or the end is missing), or not a trace.`,
		Example: `  xsend send --trace run.trace 192.0.2.7:9000 big.iso && xsend trace check run.trace
  tcpdump -i eth0 -s 0 -w peer.pcap tcp port 9000      on the receiver, before; then: xsend trace check --pcap peer.pcap run.trace`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := checkTrace(args[0], capture)
			if err != nil {
				return notStarted(err)
			}
			if asJSON {
				err = json.NewEncoder(std.out).Encode(r)
			} else {
				err = r.Print(std.out, lines)
			}
			if err != nil {
				return failed(err)
			}
			return silent(r.ExitCode())
		},
	}
	cmd.Flags().StringVar(&capture, "pcap", "", "compare with this capture of the peer's side (pcap or pcapng `FILE`)")
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "print at most so many illegal transitions")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func checkTrace(path, capture string) (r lifecycle.Result, err error) {
	var seen *lifecycle.Capture
	if capture != "" {
		f, err := os.Open(capture)
		if err != nil {
			return r, err
		}
		defer f.Close() //nolint:errcheck // only read
		if seen, err = lifecycle.ReadCapture(f); err != nil {
			return r, fmt.Errorf("%s: %w", capture, err)
		}
	}
	err = withTrace(path, func(t *trace.Reader) error {
		r, err = lifecycle.Check(t, seen)
		return err
	})
	return r, err
}

// withTrace opens a trace and names it in errors.
func withTrace(path string, do func(*trace.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	t, err := trace.NewReader(f)
	if err == nil {
		err = do(t)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func newTraceShow(std stdio) *cobra.Command {
	sel := lifecycle.Select{Queue: -1, Frame: -1}
	cmd := &cobra.Command{
		Use:   "show [flags] FILE",
		Short: "Print the life of a frame or a connection, or what there is",
		Example: `  xsend trace show run.trace                 what it has
  xsend trace show --frame 17 run.trace      one frame: lent, committed, submitted, completed, released
  xsend trace show --conn 1 --json run.trace | jq -c 'select(.kind == "submit")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			frame, conn := cmd.Flags().Changed("frame"), cmd.Flags().Changed("conn")
			switch {
			case frame && conn:
				return notStarted(errors.New("both --frame and --conn: choose one"))
			case frame && sel.Frame < 0 || conn && sel.Conn < 1:
				return notStarted(errors.New("frames are numbered from 0, connections from 1"))
			}
			return notStarted(withTrace(args[0], func(t *trace.Reader) error {
				if frame || conn {
					return lifecycle.Show(std.out, t, sel)
				}
				return summarize(std.out, t, sel.JSON)
			}))
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&sel.Frame, "frame", -1, "the life of this frame")
	flags.IntVar(&sel.Conn, "conn", 0, "the life of this connection, by its number in the trace")
	flags.IntVar(&sel.Queue, "queue", -1, "of this queue only")
	flags.BoolVar(&sel.JSON, "json", false, "print a JSON object, or one on a line of its own for each event")
	return cmd
}

func summarize(w io.Writer, t *trace.Reader, asJSON bool) error {
	s, err := lifecycle.Summarize(t)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	return s.Print(w)
}
