package grid

import (
	"math"

	"github.com/xsend/xsend/internal/median"
)

// Schema names the shape of Result.
const Schema = "xsend.grid/1"

// What is good enough: the median of the cells, and the least cell.
const (
	Goal      = 0.95
	CellGoal  = 0.8
	WeakBelow = 0.9 // a cell below it is to be looked at more closely
)

// Result is a grid. Its JSON names are stable.
type Result struct {
	Schema      string       `json:"schema"`
	Version     string       `json:"version"`
	Path        Path         `json:"path"`
	Limits      Limits       `json:"limits"`
	RealTime    bool         `json:"real_time"` // both senders and the receiver had real-time priority
	Turns       int          `json:"turns"`
	Cells       []CellResult `json:"cells"`
	Skipped     []Cell       `json:"skipped"` // xsend hasn't got their congestion control
	Congestions []Verdict    `json:"congestions"`
	Median      float64      `json:"median_ratio"` // of all cells' medians
}

// CellResult is what came out in a cell. Its JSON names are stable.
type CellResult struct {
	Cell         Cell            `json:"cell"`
	N            int             `json:"n"`
	Ratio        float64         `json:"median_ratio"`          // of xsend over linux within a turn
	Interval     median.Interval `json:"interval"`              // of the median
	Xsend        float64         `json:"xsend_bits_per_second"` // median
	Linux        float64         `json:"linux_bits_per_second"` // median
	Lost         [2]int          `json:"lost"`                  // median packets lost by number, xsend's and linux's
	QueueDropped [2]int          `json:"queue_dropped"`         // the same of a full queue
	Congestion   [2]string       `json:"congestion"`            // as it was in force
	LateMax      float64         `json:"wire_late_max_us"`      // the wire's worst lateness in any run
	Idle         float64         `json:"idle_percent"`          // least, of the machine's processors during a run
	Void         int             `json:"void"`                  // runs thrown away
	Refined      int             `json:"refined"`               // of N: turns with the longer time
	Missed       bool            `json:"missed"`                // refined, and the interval's upper end is below CellGoal
	Weak         bool            `json:"weak"`                  // the median is below WeakBelow and wasn't refined
}

// Verdict is one congestion control's column. Its JSON names are stable.
type Verdict struct {
	Congestion string  `json:"congestion"`
	Judged     int     `json:"judged"`       // cells: bbr's up to 1 % of loss, all of the others'
	Median     float64 `json:"median_ratio"` // of the judged cells
	Least      float64 `json:"least_ratio"`
	Missed     int     `json:"missed"` // judged cells that missed CellGoal
	Weak       int     `json:"weak"`   // judged cells that are to be refined
	Met        bool    `json:"met"`
}

// judged tells whether a cell counts: the kernel's bbr is version 1, which takes no notice of a loss of 3 %; ours
// is version 3.
func judged(c Cell) bool { return c.Congestion != "bbr" || c.Loss <= 1 }

// conclude works out medians, ratios and verdicts.
func conclude(cfg *Config, turns []Turn, run, skipped []Cell) Result {
	r := Result{Schema: Schema, Version: cfg.Version, Path: cfg.Path, Limits: cfg.Limits, RealTime: cfg.RealTime, Turns: cfg.Turns, Skipped: skipped,
		Cells: []CellResult{}, Congestions: []Verdict{}}
	if skipped == nil {
		r.Skipped = []Cell{} // a list in JSON, whatever its length
	}
	var all []float64
	for _, c := range run {
		if cell := concludeCell(c, turns); cell.N > 0 {
			r.Cells = append(r.Cells, cell)
			all = append(all, cell.Ratio)
		}
	}
	r.Median = median.Of(all)
	for _, name := range cfg.Congestions {
		if v := r.verdict(name); v.Judged > 0 {
			r.Congestions = append(r.Congestions, v)
		}
	}
	return r
}

func concludeCell(c Cell, turns []Turn) CellResult {
	r := CellResult{Cell: c, Idle: 100}
	var ratios []float64
	var rate, lost, queued [2][]float64
	for i := range turns {
		t := &turns[i]
		if t.Cell != c {
			continue
		}
		r.N++
		r.Void += t.Void
		if t.Refined {
			r.Refined++
		}
		ratios = append(ratios, t.Ratio())
		for j, who := range []string{Xsend, Linux} {
			run := t.of(who)
			rate[j] = append(rate[j], run.BitsPerSecond)
			lost[j] = append(lost[j], float64(run.Lost))
			queued[j] = append(queued[j], float64(run.QueueDropped))
			r.Congestion[j] = run.Sender.Congestion
			r.LateMax, r.Idle = max(r.LateMax, run.LateMax), min(r.Idle, run.Idle)
		}
	}
	r.Ratio, r.Interval = median.Of(ratios), median.Between(ratios)
	r.Xsend, r.Linux = median.Of(rate[0]), median.Of(rate[1])
	for j := range 2 {
		r.Lost[j], r.QueueDropped[j] = int(median.Of(lost[j])), int(median.Of(queued[j]))
	}
	r.Missed = r.Refined > 0 && r.Interval.High < CellGoal
	r.Weak = r.Ratio < WeakBelow && r.Refined == 0
	return r
}

// verdict judges a congestion control.
func (r *Result) verdict(name string) Verdict {
	v := Verdict{Congestion: name, Least: math.Inf(1)}
	var ratios []float64
	for _, c := range r.Cells {
		if c.Cell.Congestion != name || !judged(c.Cell) {
			continue
		}
		ratios = append(ratios, c.Ratio)
		v.Least = min(v.Least, c.Ratio)
		if c.Missed {
			v.Missed++
		}
		if c.Weak {
			v.Weak++
		}
	}
	v.Judged, v.Median = len(ratios), median.Of(ratios)
	v.Met = v.Judged > 0 && v.Median >= Goal && v.Missed == 0 && v.Weak == 0
	return v
}

// weakCells are those whose median in the first turns is below WeakBelow.
func weakCells(turns []Turn, all []Cell) (weak []Cell) {
	var first []Turn
	for _, t := range turns {
		if !t.Refined {
			first = append(first, t)
		}
	}
	for _, c := range all {
		if r := concludeCell(c, first); r.N > 0 && r.Ratio < WeakBelow {
			weak = append(weak, c)
		}
	}
	return weak
}
