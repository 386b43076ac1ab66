package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
)

// port is what the receiver listens on, in its own namespace.
const port = 9000

// rawSeconds is how long the raw contender sends.
const rawSeconds = 1.5

// track is where the contenders run.
type track struct {
	cfg  Config
	lab  *lab.Lab
	file string
}

type contender struct {
	name string
	run  func(context.Context, *track) (Run, error)
}

var contenders = []contender{
	{Xsend, func(ctx context.Context, t *track) (Run, error) {
		return t.toSink(ctx, "send", "-i", "0", "--json", t.target(), t.file)
	}},
	{Sendfile, func(ctx context.Context, t *track) (Run, error) {
		return t.toSink(ctx, "bench", "sendfile", t.target(), t.file)
	}},
	{Raw, func(ctx context.Context, t *track) (Run, error) { return t.raw(ctx) }},
}

func (t *track) target() string {
	return netip.AddrPortFrom(t.lab.Receiver().IPv4.Addr(), port).String()
}

// toSink runs a sender against a fresh receiver, whose figure counts.
func (t *track) toSink(ctx context.Context, args ...string) (r Run, err error) {
	sink, err := child.StartSink(ctx, t.cfg.Self, t.lab, os.Stderr, "--listen", t.target(), "--no-hash")
	if err != nil {
		return r, err
	}
	defer sink.Stop()
	var report struct {
		Congestion string `json:"congestion"`
	}
	used, err := t.sender(ctx, &report, args...)
	if err != nil {
		return r, err
	}
	got, _, err := sink.Result()
	if err != nil {
		return r, err
	}
	if got.Bytes != t.cfg.Bytes {
		return r, fmt.Errorf("%d of %d bytes arrived", got.Bytes, t.cfg.Bytes)
	}
	return Run{BitsPerSecond: got.BitsPerSecond, CPUPerGB: used / float64(got.Bytes) * 1e9, Congestion: report.Congestion}, nil
}

// raw runs the frames without TCP.
func (t *track) raw(ctx context.Context) (r Run, err error) {
	var report RawReport
	to := t.lab.Sender().Interface
	used, err := t.sender(ctx, &report, "bench", "raw", to, strconv.FormatFloat(rawSeconds, 'g', -1, 64))
	if err != nil {
		return r, err
	}
	return Run{BitsPerSecond: report.BitsPerSecond, CPUPerGB: used / float64(report.Payload) * 1e9}, nil
}

// sender runs the program at the sender's end and returns the processor time that it used, in seconds.
func (t *track) sender(ctx context.Context, report any, args ...string) (float64, error) {
	cmd := child.Command(ctx, t.cfg.Self, args...)
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := t.lab.Start(lab.Sender, cmd); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(diagnostics.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		return 0, fmt.Errorf("its report: %w", err)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}
