package child

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// grace is how long a child may take to end when it is asked to, before it is killed.
const grace = 8 * time.Second

// Command prepares a program. When ctx ends it gets SIGTERM and, 8 s later, SIGKILL.
func Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}

// Sink is a receiver for one connection while it runs.
type Sink struct {
	out    bytes.Buffer
	cancel context.CancelFunc
	ended  chan error // what Wait returned; taken out and put back
}

// StartSink starts "xsend sink --once --json" with further flags at the receiver's end and returns when it
// listens. What it says is passed on to diagnostics, except that it listens. It outlives ctx, so that a sender
// that is interrupted still has a peer: Stop ends it.
func StartSink(ctx context.Context, path string, l *lab.Lab, diagnostics io.Writer, flags ...string) (*Sink, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sink{cancel: cancel, ended: make(chan error, 1)}
	cmd := Command(life, path, append([]string{"sink", "--once", "--json"}, flags...)...)
	heard := &announcement{rest: diagnostics, heard: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &s.out, heard
	if err := l.Start(lab.Receiver, cmd); err != nil {
		cancel()
		return nil, err
	}
	go func() { s.ended <- cmd.Wait() }()
	select {
	case <-heard.heard:
		return s, nil
	case <-ctx.Done():
		s.Stop()
		return nil, context.Cause(ctx)
	case err := <-s.ended:
		cancel()
		return nil, fmt.Errorf("the receiver doesn't listen: %w", err)
	}
}

// announcement passes on what a receiver says, except that it listens, which it notes.
type announcement struct {
	rest  io.Writer
	heard chan struct{}
	done  bool
}

func (a *announcement) Write(b []byte) (int, error) {
	if !a.done && bytes.HasPrefix(b, []byte("listening on ")) {
		a.done = true
		close(a.heard)
		return len(b), nil
	}
	return a.rest.Write(b)
}

// Stop ends a receiver that is still there.
func (s *Sink) Stop() {
	s.cancel()
	_ = s.wait() // whoever wants to know calls Result
}

func (s *Sink) wait() error {
	err := <-s.ended
	s.ended <- err
	return err
}

// Result waits for the receiver's end and returns its connection, and its report as it printed it.
func (s *Sink) Result() (sink.Result, json.RawMessage, error) {
	if err := s.wait(); err != nil {
		return sink.Result{}, nil, fmt.Errorf("the receiver: %w", err)
	}
	var report sink.Summary
	if err := json.Unmarshal(s.out.Bytes(), &report); err != nil {
		return sink.Result{}, nil, fmt.Errorf("the receiver's report: %w", err)
	}
	if len(report.Streams) != 1 {
		return sink.Result{}, s.out.Bytes(), fmt.Errorf("the receiver's report has %d streams", len(report.Streams))
	}
	return report.Streams[0], s.out.Bytes(), nil
}
