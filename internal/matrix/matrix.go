package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/resume"
)

// ErrOtherState is returned when a state file is of another version, was begun with other settings, or is none.
var ErrOtherState = resume.ErrOther

// stateSchema names the shape of the state file.
const stateSchema = "xsend.matrix.state/1"

// header is the first line of a state file: under which conditions the runs below were made.
type header struct {
	Schema    string  `json:"schema"`
	Version   string  `json:"version"`
	Interface string  `json:"interface"`
	MTU       int     `json:"mtu"`
	Target    string  `json:"target"`
	Time      float64 `json:"time_seconds"`
}

// Progress is told after each run.
type Progress struct {
	Run   Run
	Count int           // runs that are over, those of an earlier time included
	All   int           // runs in all
	Left  time.Duration // until the end, as far as one can tell
}

// matrix is one call of Measure.
type matrix struct {
	world
	cfg  *Config
	link hw.Interface
	to   netip.AddrPort
	kept *resume.File[Run]
}

// notBegun is an error from before the first run.
type notBegun struct{ error }

func (e notBegun) Unwrap() error { return e.error }

// NotBegun tells whether an error of Measure is from before the first run.
func NotBegun(err error) bool { return errors.As(err, new(notBegun)) }

// Measure runs the matrix and returns what came out. Runs that a state file has are not made again.
func Measure(ctx context.Context, cfg Config) (Result, error) {
	return measure(ctx, cfg, realWorld(&cfg))
}

func measure(ctx context.Context, cfg Config, w world) (res Result, err error) {
	m := &matrix{world: w, cfg: &cfg}
	if err := m.begin(ctx); err != nil {
		return res, notBegun{err}
	}
	defer func() { err = errors.Join(err, m.kept.Close()) }()
	began := m.now()
	if err := m.play(ctx); err != nil {
		return res, err
	}
	res = conclude(&cfg, m.link, m.kept.Parts)
	res.Time = began
	return res, nil
}

// begin does everything that can fail before the first run.
func (m *matrix) begin(ctx context.Context) (err error) {
	m.cfg.setDefaults()
	if err := m.cfg.validate(); err != nil {
		return err
	}
	if m.link, err = m.lookup(m.cfg.Interface); err != nil {
		return err
	}
	if err := m.link.Usable(); err != nil {
		return err
	}
	if m.cfg.MTUs == nil {
		m.cfg.MTUs = []int{m.link.MTU}
	}
	if m.to, err = m.resolve(ctx, m.cfg.Target, m.link.Name); err != nil {
		return err
	}
	if _, err := m.ask(ctx, m.to.String(), nil); err != nil {
		return err
	}
	if m.uneven(m.link.Name) {
		can, err := m.settable(ctx)
		if err != nil {
			return err
		}
		m.cfg.asIs = !can
	}
	m.kept, err = resume.Open[Run](m.cfg.State, header{stateSchema, m.cfg.Version, m.link.Name, m.link.MTU, m.cfg.Target, m.cfg.Time.Seconds()})
	return err
}

// play makes the runs that the state hasn't got.
func (m *matrix) play(ctx context.Context) error {
	all := m.cfg.cells()
	for turn := 1; turn <= m.cfg.Turns; turn++ {
		for _, cell := range order(all, turn) {
			if m.has(cell, turn) {
				continue
			}
			r, err := m.measure(ctx, cell, turn)
			if err != nil {
				return fmt.Errorf("%v, turn %d: %w", cell, turn, err)
			}
			if err := m.kept.Add(r); err != nil {
				return fmt.Errorf("keep a run: %w", err)
			}
			m.cfg.Done(m.progress(all, r))
		}
	}
	return nil
}

func (m *matrix) has(c Cell, turn int) bool {
	for i := range m.kept.Parts {
		if r := &m.kept.Parts[i]; r.Cell == c && r.Turn == turn {
			return true
		}
	}
	return false
}

// progress says how far the matrix is. What is left takes as long as the last run of the same row, or, where there is
// none, as long as runs took on average.
func (m *matrix) progress(all []Cell, last Run) Progress {
	p := Progress{Run: last, All: len(all) * m.cfg.Turns}
	took := map[Cell]float64{}
	sum := 0.0
	for i := range m.kept.Parts {
		r := &m.kept.Parts[i]
		took[r.Cell] = r.Took
		sum += r.Took
	}
	mean := sum / float64(len(m.kept.Parts))
	left := 0.0
	for _, c := range all {
		for turn := 1; turn <= m.cfg.Turns; turn++ {
			if m.has(c, turn) {
				p.Count++
				continue
			}
			if t, ok := took[c]; ok {
				left += t
			} else {
				left += mean
			}
		}
	}
	p.Left = time.Duration(left * float64(time.Second))
	return p
}
