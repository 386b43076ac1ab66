package dataplane

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xsend/xsend/tcp"
)

// Stage is a part of a frame's life between two moments.
type Stage uint8

// The stages. Where a commit was given up, or its frame sent from before, those that have no end are not counted.
const (
	Filling   Stage = iota // from Reserve to Commit
	Queued                 // from the commit to its first submission
	WithNIC                // from the first submission to the last completion
	ToACK                  // from the first submission to the ACK of the last byte
	HeldWhole              // from the commit to the release
	NumStages = int(HeldWhole) + 1
)

// String is the stage's name in reports.
func (s Stage) String() string {
	return [...]string{"fill", "queue", "nic", "ack", "hold"}[s]
}

// A histogram tells times apart by 1 µs at least, by 1 % above 100 µs, and counts what is longer as an hour.
const (
	leastTime   = tcp.Microsecond
	longestTime = 3600 * tcp.Second
	digits      = 2
)

// Times is how long frames were in each stage, as HDR histograms of nanoseconds. It is for one goroutine.
type Times struct {
	stages [NumStages]*hdrhistogram.Histogram
	sums   [NumStages]tcp.Duration
}

// NewTimes makes an empty one.
func NewTimes() *Times {
	t := new(Times)
	for i := range t.stages {
		t.stages[i] = hdrhistogram.New(int64(leastTime), int64(longestTime), digits)
	}
	return t
}

// note counts one duration. It does not allocate.
func (t *Times) note(s Stage, d tcp.Duration) {
	d = min(max(d, 0), longestTime)
	_ = t.stages[s].RecordValue(int64(d)) // fails out of range only
	t.sums[s] += d
}

// Summary is one stage in a few numbers.
type Summary struct {
	N                  int64
	Sum, P50, P99, Max tcp.Duration
}

// Summary is that of stage s.
func (t *Times) Summary(s Stage) Summary {
	h := t.stages[s]
	if h.TotalCount() == 0 {
		return Summary{}
	}
	return Summary{
		N: h.TotalCount(), Sum: t.sums[s], P50: tcp.Duration(h.ValueAtQuantile(50)), P99: tcp.Duration(h.ValueAtQuantile(99)), Max: tcp.Duration(h.Max()),
	}
}

func (t *Times) clone() *Times {
	c := &Times{sums: t.sums}
	for i, h := range t.stages {
		c.stages[i] = hdrhistogram.Import(h.Export())
	}
	return c
}

// Add adds the times of another poller.
func (t *Times) Add(o *Times) {
	for i, h := range o.stages {
		t.stages[i].Merge(h)
		t.sums[i] += o.sums[i]
	}
}

// released counts the stages of a commit that is answered now.
func (t *Times) released(now tcp.Time, r *record) {
	if r.submitted != 0 {
		t.note(Queued, r.submitted-r.committed)
		if r.completed != 0 {
			t.note(WithNIC, r.completed-r.submitted)
		}
		if r.acked != 0 {
			t.note(ToACK, r.acked-r.submitted)
		}
	}
	t.note(HeldWhole, now-r.committed)
}
