package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/lifecycle"
)

func newTraceExport(stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "pcapng FILE OUT",
		Short: "Write the packets of a trace as pcapng, each with a comment: which frame, which commit, why it was sent",
		Long: `Write the packets of a trace as pcapng for Wireshark or tcpdump, each with a comment that says which frame and commit it is
of and why it was sent. Only headers are there, made from the trace: payload is cut, options are padding, checksums and windows
are not those that were sent. Of what was received there is an ACK for each advance of the cumulative ACK.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return notStarted(withTrace(args[0], func(t *trace.Reader) error { return exportTrace(t, args[1]) }))
		},
	}
}

// exportTrace makes a new file: a name that is there already may be the trace's own.
func exportTrace(t *trace.Reader, path string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(lifecycle.Export(out, t, "xsend "+version), out.Close())
}
