package matrix

import (
	"slices"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/median"
	"golang.org/x/sys/unix"
)

// Schema names the shape of Result.
const Schema = "xsend.matrix/1"

// Result is a matrix. Its JSON names are stable.
type Result struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"version"`
	Time      time.Time `json:"time"`
	Kernel    string    `json:"kernel"`
	Interface string    `json:"interface"`
	Driver    string    `json:"driver"`
	Firmware  string    `json:"firmware"`
	Bus       string    `json:"bus"`
	MTU       int       `json:"mtu"` // the interface's own
	Target    string    `json:"target"`
	Seconds   float64   `json:"time_seconds"` // of each run
	Turns     int       `json:"turns"`
	Rows      []Row     `json:"rows"`

	Done       int `json:"done"` // rows, by outcome
	Impossible int `json:"impossible"`
	Failed     int `json:"failed"`
	Wrong      int `json:"wrong"`
	Limited    int `json:"limited"` // of those with figures: segments were smaller than the MTU allows
}

// Figure is a median of a row's runs. Its JSON names are stable.
type Figure struct {
	Median float64 `json:"median"`
	median.Interval
}

// Row is what came out in a cell. Its JSON names are stable.
type Row struct {
	Number int `json:"row"` // from 1
	Cell
	Outcome string `json:"outcome"`          // the worst of its runs: wrong, failed, done; impossible if all were
	Reason  string `json:"reason,omitempty"` // of the last run with that outcome, or else of one that was refused
	N       int    `json:"n"`                // runs that the figures are from
	Refused int    `json:"refused"`          // runs that were impossible
	Failed  int    `json:"failed"`           // runs that failed

	BitsPerSecond Figure  `json:"bits_per_second"`
	Packets       Figure  `json:"packets_per_second"`
	UserPerGB     Figure  `json:"cpu_user_s_per_gb"`
	SystemPerGB   Figure  `json:"cpu_system_s_per_gb"`
	Kicks         *Figure `json:"kicks_per_packet,omitempty"` // xsend's only
	Retransmits   Figure  `json:"retransmits"`

	Bytes      int64  `json:"verified_bytes"` // of all runs together, compared by the receiver
	WrongBytes int64  `json:"wrong_bytes"`    // of them
	FirstWrong int64  `json:"first_wrong"`    // offset in the first run that had any, -1 without one
	MSS        int    `json:"mss"`
	Limited    string `json:"limited,omitempty"` // why segments were smaller than the MTU allows, in the last run in which they were
	Knobs      []Knob `json:"knobs"`             // of the last run with figures
}

// conclude works out medians and counts outcomes.
func conclude(cfg *Config, link hw.Interface, runs []Run) Result {
	res := Result{
		Schema: Schema, Version: cfg.Version, Kernel: kernelRelease(), Interface: link.Name, Driver: link.Driver, Firmware: link.Firmware,
		Bus: link.Bus, MTU: link.MTU, Target: cfg.Target, Seconds: cfg.Time.Seconds(), Turns: cfg.Turns, Rows: []Row{},
	}
	for i, c := range cfg.cells() {
		row := concludeRow(c, runs, cfg.Turns)
		row.Number = i + 1
		res.Rows = append(res.Rows, row)
		if row.Limited != "" {
			res.Limited++
		}
		switch row.Outcome {
		case Done:
			res.Done++
		case Impossible:
			res.Impossible++
		case Failed:
			res.Failed++
		case Wrong:
			res.Wrong++
		}
	}
	return res
}

// concludeRow is the row of a cell, of its runs in turns up to that one.
func concludeRow(c Cell, runs []Run, turns int) Row {
	row := Row{Cell: c, FirstWrong: -1, Knobs: []Knob{}, Outcome: Impossible}
	var measured []Run
	worse := []string{Impossible, Done, Failed, Wrong}
	for _, r := range runs {
		if r.Cell != c || r.Turn > turns {
			continue
		}
		switch r.Outcome {
		case Impossible:
			row.Refused++
		case Failed:
			row.Failed++
		default:
			measured = append(measured, r)
		}
		if r.Reason != "" && (row.Reason == "" || slices.Index(worse, r.Outcome) >= slices.Index(worse, row.Outcome)) {
			row.Reason = r.Reason
		}
		if slices.Index(worse, r.Outcome) > slices.Index(worse, row.Outcome) {
			row.Outcome = r.Outcome
		}
	}
	row.figures(measured)
	return row
}

// figures takes over what runs measured.
func (r *Row) figures(runs []Run) {
	r.N = len(runs)
	figure := func(of func(*Run) float64) Figure {
		var all []float64
		for i := range runs {
			all = append(all, of(&runs[i]))
		}
		return Figure{median.Of(all), median.Between(all)}
	}
	r.BitsPerSecond = figure(func(r *Run) float64 { return r.BitsPerSecond })
	r.Packets = figure(func(r *Run) float64 { return r.Packets })
	r.UserPerGB = figure(func(r *Run) float64 { return r.UserPerGB })
	r.SystemPerGB = figure(func(r *Run) float64 { return r.SystemPerGB })
	r.Retransmits = figure(func(r *Run) float64 { return float64(r.Retransmits) })
	if r.Sender == Xsend && r.N > 0 {
		kicks := figure(func(r *Run) float64 { return r.Kicks })
		r.Kicks = &kicks
	}
	for i := range runs {
		run := &runs[i]
		r.Bytes += run.Bytes
		r.WrongBytes += run.WrongBytes
		if r.FirstWrong < 0 {
			r.FirstWrong = run.FirstWrong
		}
		r.MSS = run.MSS
		if run.Limited != "" {
			r.Limited = run.Limited
		}
		if len(run.Knobs) > 0 {
			r.Knobs = run.Knobs
		}
	}
}

func kernelRelease() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address only
	return unix.ByteSliceToString(u.Release[:])
}
