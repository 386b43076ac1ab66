package race

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/pattern"
	"github.com/xsend/xsend/internal/sink"
)

// How long a run may take beside what it sends, how slowly that may go, in bytes per second, and how long the receiver may
// take to have read everything.
const (
	runTime     = 30 * time.Second
	leastSpeed  = 500_000
	verdictTime = 10 * time.Second
	verdictLook = 5 * time.Millisecond
)

// measured is one run of a row.
type measured struct {
	lacking string
	failed  string
	round   int64
	report  WriterReport
	verdict sink.Verdict
}

// WriterCommand is the name of the hidden subcommand of "xsend race" that RunWriter is.
const WriterCommand = "writer"

// measure runs a row once. The error is that of ctx.
func (c *Config) measure(ctx context.Context, at place, s Sender) (m *measured, err error) {
	m = &measured{round: c.Round}
	most := runTime + time.Duration(c.roundsOf()*c.Round/leastSpeed)*time.Second
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = c.write(bounded, at, s, &m.report)
	switch {
	case ctx.Err() != nil:
		return m, context.Cause(ctx)
	case err != nil && bounded.Err() != nil:
		m.failed = fmt.Sprintf("it was not done after %v", most)
		return m, nil
	case err != nil:
		m.failed = strings.ReplaceAll(err.Error(), "\n", "; ")
		return m, nil
	}
	if m.lacking = m.report.Lacking; m.lacking != "" {
		return m, nil
	}
	m.verdict, err = awaitVerdict(bounded, at, sink.Query{Remote: m.report.Local, Round: c.Round})
	switch v := &m.verdict; {
	case ctx.Err() != nil:
		return m, context.Cause(ctx)
	case err != nil:
		m.failed = "not verified: " + err.Error()
	case v.Err != "":
		m.failed = "the receiver: " + v.Err
	case v.Bytes != m.report.Bytes:
		m.failed = fmt.Sprintf("%d bytes arrived of %d: the stream is short", v.Bytes, m.report.Bytes)
	case v.Rounds == nil:
		m.failed = "the receiver says nothing of rounds"
	}
	return m, nil
}

// write runs the child that sends.
func (c *Config) write(ctx context.Context, at place, s Sender, r *WriterReport) error {
	text, err := json.Marshal(WriterConfig{
		Self: c.Self, Sender: s.Name, Target: at.target(), Interface: at.link(), Rounds: int(c.roundsOf()), Round: int(c.Round),
		Buffers: c.Buffers, Late: c.Late,
	})
	if err != nil {
		return err
	}
	cmd := child.Command(ctx, c.Self, "race", WriterCommand, string(text))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := at.start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return errors.New(strings.ReplaceAll(text, "xsend race writer: ", ""))
		}
		return err
	}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return fmt.Errorf("its report can't be read: %w", err)
	}
	return nil
}

// awaitVerdict asks until the connection has ended.
func awaitVerdict(ctx context.Context, at place, q sink.Query) (v sink.Verdict, err error) {
	tick := time.NewTicker(verdictLook)
	defer tick.Stop()
	for end := time.Now().Add(verdictTime); ; {
		all, err := at.ask(ctx, q)
		if err == nil && all[0].State == sink.StateEnded {
			return all[0], nil
		}
		if time.Now().After(end) {
			if err == nil {
				err = fmt.Errorf("the receiver says that the connection from %v is %s", q.Remote, all[0].State)
			}
			return v, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// example is the round that the receiver has a sample of; nil without one.
func (m *measured) example() *Example {
	s := m.verdict.Rounds.Sample
	if s == nil {
		return nil
	}
	e := &Example{Round: s.Offset / m.round, Arrived: s.Arrived, Extents: [][2]int64{}}
	if e.Round >= int64(len(m.report.Rounds)) {
		return nil
	}
	begin := e.Round * m.round
	e.At = s.Offset - begin
	for _, x := range s.Extents {
		e.Extents = append(e.Extents, [2]int64{x[0] - begin, x[1] - begin})
	}
	promised := make([]byte, len(s.Arrived)/2)
	pattern.At(promised, s.Offset)
	e.Promised = hex.EncodeToString(promised)
	e.Whose = m.whose(s.Arrived)
	moments := m.report.Rounds[e.Round]
	since := func(ns int64) float64 { return float64(ns-moments.Handed) / 1e3 }
	e.Back, e.Rewritten, e.Seen = since(moments.Back), since(moments.Rewritten), since(int64(s.Seen.Sub(m.report.Begin)))
	return e
}

// whose says where wrong bytes are from; "" where that isn't known.
func (m *measured) whose(arrived string) string {
	b, err := hex.DecodeString(arrived)
	const enough, most = 16, 64 << 20
	if err != nil || len(b) < enough || m.report.Bytes > most {
		return ""
	}
	b = b[:enough]
	if bytes.Count(b, []byte{Marker}) == len(b) {
		return "the marker"
	}
	stream := make([]byte, m.report.Bytes)
	pattern.At(stream, 0)
	if at := bytes.Index(stream, b); at >= 0 {
		return fmt.Sprintf("bytes of round %d", int64(at)/m.round)
	}
	return ""
}
