package grid

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
)

// The contenders.
const (
	Xsend = "xsend"
	Linux = "linux"
)

// forever is longer than any run: it is the receiver that ends it.
const forever = time.Hour

// Sender is what a sender says of itself after a run: for the reader, no figure is computed from it. Its JSON
// names are stable; times are in microseconds.
type Sender struct {
	Congestion  string  `json:"congestion"` // as it was in force
	Retransmits uint64  `json:"retransmits"`
	Timeouts    uint64  `json:"timeouts,omitempty"` // of xsend only
	MinRTT      float64 `json:"min_rtt"`
}

// process is a sender while it runs.
type process struct {
	cmd         *exec.Cmd
	who         string
	out, errors bytes.Buffer
	ended       chan error
}

// arguments are those of the program that is the contender. xsend gets nothing that a user wouldn't give.
func arguments(who, congestion, target string, streams int) []string {
	if who == Linux {
		return []string{"bench", "kernel", target, congestion}
	}
	return []string{"send", "--pattern", "-t", strconv.Itoa(int(forever.Seconds())), "-i", "0", "--json", "--linger", "0",
		"-P", strconv.Itoa(streams), "-C", congestion, target}
}

// start starts a contender at the sender's end.
func start(ctx context.Context, l *lab.Lab, self, who, congestion, target string, streams int) (*process, error) {
	p := &process{who: who, ended: make(chan error, 1)}
	p.cmd = child.Command(ctx, self, arguments(who, congestion, target, streams)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	if err := l.Start(lab.Sender, p.cmd); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// end ends a sender whose report nobody wants.
func (p *process) end() {
	_ = p.cmd.Process.Kill() // it may have ended
	p.ended <- <-p.ended
}

// failed returns the error of a sender that ended before it was to.
func (p *process) failed() error {
	select {
	case err := <-p.ended:
		p.ended <- err
		return fmt.Errorf("%s ended by itself: %w: %s", p.who, err, bytes.TrimSpace(p.errors.Bytes()))
	default:
		return nil
	}
}

// wait waits for a sender whose connection has been reset, and returns what it says.
func (p *process) wait() (s Sender, err error) {
	err = <-p.ended
	p.ended <- err
	if p.who == Linux && err != nil {
		return s, fmt.Errorf("linux: %w: %s", err, bytes.TrimSpace(p.errors.Bytes()))
	}
	// xsend was reset and says so with its exit code; that it has a report is what counts.
	if p.who == Linux {
		return s, p.report(&s)
	}
	var r struct {
		Streams []Sender `json:"streams"`
	}
	if err := p.report(&r); err != nil {
		return s, err
	}
	if len(r.Streams) == 0 {
		return s, fmt.Errorf("xsend's report has no stream: %s", bytes.TrimSpace(p.errors.Bytes()))
	}
	return r.Streams[0], nil
}

func (p *process) report(to any) error {
	if err := json.Unmarshal(p.out.Bytes(), to); err != nil {
		return fmt.Errorf("%s's report: %w: %s", p.who, err, bytes.TrimSpace(p.errors.Bytes()))
	}
	return nil
}
