package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes; 128 + n stands for signal n.
const (
	exitFailed     = 1
	exitNotStarted = 2
	exitSignal     = 128
)

// stdio is where a command reads and writes.
type stdio struct {
	in       *os.File
	out, err io.Writer
}

// exitError ends the program with a code. Its text is printed unless it is empty: what ran has said all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// failed and notStarted give an error its exit code; nil stays nil.
func failed(err error) error     { return withCode(exitFailed, err) }
func notStarted(err error) error { return withCode(exitNotStarted, err) }

func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// silent ends the program with a code that needs no words.
func silent(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, std stdio, args []string) int {
	root := newRoot(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) { // cobra's own: unknown flags, wrong arguments
		fmt.Fprintf(std.err, "%s: %v\nSee %q.\n", cmd.CommandPath(), err, cmd.CommandPath()+" --help")
		return exitNotStarted
	}
	if exit.err != nil {
		for line := range strings.Lines(strings.TrimSpace(exit.err.Error())) {
			fmt.Fprintf(std.err, "%s: %s\n", cmd.CommandPath(), strings.TrimSuffix(line, "\n"))
		}
	}
	return exit.code
}

func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "xsend",
		Short: "Send bulk data over TCP from memory that the NIC reads directly",
		Long: `xsend sends bulk data over TCP from memory that the NIC reads directly (AF_XDP). Each piece of that
memory is used again only when the peer has ACKed it and the NIC has let go of every transmission of it.`,
		Example: `  xsend demo                                  everything on this machine, in two network namespaces
  xsend sink --listen :9000 --once            on the receiver: a kernel TCP socket
  xsend send 192.0.2.7:9000 big.iso           on the sender: root, or the capabilities it asks for`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddCommand(newSend(std), newSink(std), newDemo(std), newLab(std), newBench(std), newProbe(std), newMatrix(std), newRace(std), newRestore(std), newGuard(std), newTrap(), newKeep(std), newTrace(std), newVersion(std))
	return root
}
