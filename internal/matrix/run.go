package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/sink"
)

// Outcomes of a run and of a row.
const (
	Done       = "done"
	Impossible = "impossible" // refused before a byte was sent
	Failed     = "failed"     // it was begun and failed, or there is no verdict
	Wrong      = "wrong"      // the receiver got wrong bytes
)

// Patience with children and verdicts.
const (
	childTime   = time.Minute // beside Config.Time
	verdictTime = 10 * time.Second
	verdictLook = 50 * time.Millisecond
)

// Run is one run of a row. Its JSON names are stable. Figures are 0 unless the outcome is done or wrong.
type Run struct {
	Cell    Cell    `json:"cell"`
	Turn    int     `json:"turn"` // from 1
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Took    float64 `json:"took_seconds"` // with everything around it

	Bytes         int64   `json:"bytes"`           // that the receiver has compared
	WrongBytes    int64   `json:"wrong_bytes"`     // of them
	FirstWrong    int64   `json:"first_wrong"`     // offset, -1 without any
	Seconds       float64 `json:"seconds"`         // from the receiver's first byte to its last one
	BitsPerSecond float64 `json:"bits_per_second"` // of payload, in that time
	Packets       float64 `json:"packets_per_second"`
	UserPerGB     float64 `json:"cpu_user_s_per_gb"` // the sender's processor time for 1e9 bytes of payload
	SystemPerGB   float64 `json:"cpu_system_s_per_gb"`
	Kicks         float64 `json:"kicks_per_packet"` // xsend's doorbells
	Retransmits   uint64  `json:"retransmits"`
	MSS           int     `json:"mss"`
	Limited       string  `json:"limited,omitempty"` // why segments were smaller than the MTU allows
	Knobs         []Knob  `json:"knobs,omitempty"`
}

// measure runs a cell once. The error ends the matrix.
func (m *matrix) measure(ctx context.Context, cell Cell, turn int) (r Run, err error) {
	begin := m.now()
	r, err = m.try(ctx, cell)
	r.Cell, r.Turn, r.Took = cell, turn, m.now().Sub(begin).Seconds()
	return r, err
}

// try prepares the interface for a run of the kernel's TCP and puts it back.
func (m *matrix) try(ctx context.Context, cell Cell) (r Run, err error) {
	if cell.Sender != Linux {
		return m.send(ctx, cell)
	}
	change := cell.change(m.link.MTU, m.v6())
	if len(change) == 0 {
		return m.send(ctx, cell)
	}
	restore, err := m.set(ctx, change)
	switch {
	case errors.Is(err, settings.ErrNotRestored):
		return r, err
	case ctx.Err() != nil:
		return r, errors.Join(context.Cause(ctx), putBack(restore))
	case err != nil:
		return impossible(strings.ReplaceAll(err.Error(), "\n", "; ")), nil
	}
	r, err = m.send(ctx, cell)
	return r, errors.Join(err, restore())
}

// putBack is for what may not have been set.
func putBack(restore func() error) error {
	if restore == nil {
		return nil
	}
	return restore()
}

func impossible(reason string) Run { return Run{Outcome: Impossible, Reason: reason, FirstWrong: -1} }
func failed(reason string) Run     { return Run{Outcome: Failed, Reason: reason, FirstWrong: -1} }

// send runs the sender and asks for the verdict.
func (m *matrix) send(ctx context.Context, cell Cell) (Run, error) {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.Time+childTime)
	defer cancel()
	e, err := m.run(bounded, m.cfg.Self, m.cfg.arguments(cell, m.to, m.link.MTU))
	switch {
	case ctx.Err() != nil:
		return Run{}, context.Cause(ctx)
	case err != nil:
		return failed(fmt.Sprintf("%v: %s", err, e.reason())), nil
	case e.code == 2:
		return impossible(e.reason()), nil
	case e.code != 0:
		return failed(e.reason()), nil
	}
	var rep report
	if err := json.Unmarshal(e.out, &rep); err != nil {
		return failed(fmt.Sprintf("its report can't be read: %v", err)), nil
	}
	if len(rep.Streams) != 1 {
		return failed(fmt.Sprintf("its report has %d connections", len(rep.Streams))), nil
	}
	v, err := m.verdict(ctx, rep.Streams[0].Local)
	if ctx.Err() != nil {
		return Run{}, context.Cause(ctx)
	}
	if err != nil {
		return failed("not verified: " + err.Error()), nil
	}
	return judge(cell, &rep, v), nil
}

// verdict asks until the connection has ended.
func (m *matrix) verdict(ctx context.Context, of netip.AddrPort) (sink.Verdict, error) {
	for end := m.now().Add(verdictTime); ; {
		v, err := m.ask(ctx, m.to.String(), []netip.AddrPort{of})
		if err == nil && v[0].State == sink.StateEnded {
			return v[0], nil
		}
		if m.now().After(end) {
			if err == nil {
				err = fmt.Errorf("%s says that the connection from %v is %s", m.to, of, v[0].State)
			}
			return sink.Verdict{}, err
		}
		if err := m.pause(ctx, verdictLook); err != nil {
			return sink.Verdict{}, err
		}
	}
}

// judge works out the figures of a run.
func judge(cell Cell, rep *report, v sink.Verdict) Run {
	r := Run{
		Outcome: Done, Bytes: v.Bytes, WrongBytes: v.WrongBytes, FirstWrong: v.FirstWrong, Seconds: v.Seconds,
		Retransmits: rep.Retransmits, MSS: rep.MSS, Limited: rep.limited(cell), Knobs: rep.knobs(cell),
	}
	switch {
	case v.WrongBytes > 0:
		r.Outcome, r.Reason = Wrong, fmt.Sprintf("%d bytes are wrong, the first at offset %d", v.WrongBytes, v.FirstWrong)
	case v.Err != "":
		return failed("the receiver: " + v.Err)
	case v.Bytes != rep.Bytes:
		return failed(fmt.Sprintf("%d bytes arrived of %d that were ACKed", v.Bytes, rep.Bytes))
	case rep.other(cell) != "":
		return failed(rep.other(cell))
	case v.Bytes == 0 || v.Seconds <= 0:
		return failed("too few bytes to measure: give more --time")
	}
	if v.Seconds > 0 {
		r.BitsPerSecond, r.Packets = float64(v.Bytes)*8/v.Seconds, float64(rep.Segments)/v.Seconds
	}
	if v.Bytes > 0 {
		perGB := rep.Seconds / 100 / float64(v.Bytes) * 1e9
		r.UserPerGB, r.SystemPerGB = rep.CPU.User*perGB, rep.CPU.System*perGB
	}
	if rep.Segments > 0 {
		r.Kicks = float64(rep.kicks()) / float64(rep.Segments)
	}
	return r
}
