package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/metrics"
)

// bookEvery is how often the holders of frames are looked at, where somebody wants to know: every frame and every send queue
// is, between two passes of the poller.
const bookEvery = 100 * time.Millisecond

// Ledger is dataplane.Ledger over all queues. What adds up is called by its line there.
type Ledger struct {
	Balanced    bool   `json:"balanced"` // every line adds up
	Submitted   uint64 `json:"submitted"`
	Completed   uint64 `json:"completed"`
	Quarantined uint64 `json:"quarantined"`
	InFlight    uint64 `json:"in_flight"`
	Written     uint64 `json:"written"`
	Released    uint64 `json:"released"`
	Demoted     uint64 `json:"demoted"`
	Aborted     uint64 `json:"aborted"`
	Held        uint64 `json:"held"`
	Commits     uint64 `json:"commits"`
	Releases    uint64 `json:"releases"`
	Open        uint64 `json:"open"`
	Frames      uint64 `json:"frames"`
	Placed      uint64 `json:"placed"`

	Late          uint64 `json:"late"`
	Duplicate     uint64 `json:"duplicate"`
	Spurious      uint64 `json:"spurious"`
	OutOfRange    uint64 `json:"out_of_range"`
	NotSent       uint64 `json:"not_sent"`
	Dropped       uint64 `json:"dropped"`
	Rewritten     uint64 `json:"rewritten_in_flight"`
	LentWhileHeld uint64 `json:"lent_while_held"`
	Kept          uint64 `json:"kept"`
	Untaken       uint64 `json:"untaken"`

	Faults []dataplane.Line `json:"-"` // the second group, for people
}

func ledgerOf(l *dataplane.Ledger) Ledger {
	return Ledger{
		Balanced: l.Balanced() == nil, Submitted: l.Submitted, Completed: l.Completed, Quarantined: l.Quarantined, InFlight: l.InFlight,
		Written: l.Written, Released: l.Released, Demoted: l.Demoted, Aborted: l.Aborted, Held: l.Held, Commits: l.Commits, Releases: l.Releases, Open: l.Open,
		Frames: l.Frames, Placed: l.Placed, Late: l.Late, Duplicate: l.Duplicate, Spurious: l.Spurious, OutOfRange: l.OutOfRange,
		NotSent: l.NotSent, Dropped: l.Dropped, Rewritten: l.Rewritten, LentWhileHeld: l.LentWhileHeld, Kept: l.Kept, Untaken: l.Untaken,
		Faults: l.Faults(),
	}
}

// Memory is who held the frames, and how long they were in each stage of their life.
type Memory struct {
	Chunk   int           `json:"chunk"`   // bytes of a frame
	Frames  int           `json:"frames"`  // of UMEM
	Samples int           `json:"samples"` // that were taken
	CostMax float64       `json:"cost_max_us"`
	Holders []HolderShare `json:"holders"`
	Stages  []StageTime   `json:"stages"`
}

// HolderShare is what one holder had. The shares of one moment add up to UMEM; peaks are of different moments.
type HolderShare struct {
	Holder     string `json:"holder"`
	Frames     int    `json:"frames"` // at the end
	Bytes      int64  `json:"bytes"`
	PeakFrames int    `json:"peak_frames"` // the most in any sample
	PeakBytes  int64  `json:"peak_bytes"`
}

// StageTime is a part of a frame's life, in microseconds.
type StageTime struct {
	Stage string  `json:"stage"`
	N     int64   `json:"n"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Max   float64 `json:"max_us"`
}

// bookkeeper looks at the books of a session now and then.
type bookkeeper struct {
	net  network
	quit chan struct{}
	done sync.WaitGroup

	samples int
	cost    time.Duration
	peak    dataplane.Holders
	broken  error // of the first sample in which something did not add up
}

func (r *run) keepBooks() {
	if !r.cfg.Books {
		return
	}
	r.books = &bookkeeper{net: r.net, quit: make(chan struct{})}
	r.books.done.Go(r.books.loop)
}

func (k *bookkeeper) loop() {
	t := time.NewTicker(bookEvery)
	defer t.Stop()
	for {
		k.look()
		select {
		case <-k.quit:
			return
		case <-t.C:
		}
	}
}

// look takes one sample. A poller that doesn't answer is busy opening its queue again; the next sample tells of it.
func (k *bookkeeper) look() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*bookEvery)
	defer cancel()
	start := time.Now()
	queues, err := k.net.Books(ctx)
	if err != nil && !errors.Is(err, dataplane.ErrUnbalanced) {
		return
	}
	k.cost = max(k.cost, time.Since(start))
	k.samples++
	var sum dataplane.Holders
	for i := range queues {
		sum.Add(queues[i].Holders)
	}
	for i, n := range sum.Frames {
		k.peak.Frames[i] = max(k.peak.Frames[i], n)
	}
	if err == nil && sum.Sum() != sum.Total {
		err = fmt.Errorf("%w: holders have %d frames of %d", dataplane.ErrUnbalanced, sum.Sum(), sum.Total)
	}
	if k.broken == nil {
		k.broken = err
	}
}

// stop ends the looking; it must come before the session's end.
func (k *bookkeeper) stop() {
	if k == nil {
		return
	}
	close(k.quit)
	k.done.Wait()
}

// balance takes over the books of the end.
func (r *run) balance(left *session.Report) {
	l := &left.Books.Ledger
	r.report.Ledger = ledgerOf(l)
	r.unbalanced = l.Balanced()
	if r.books == nil {
		return
	}
	r.unbalanced = errors.Join(r.unbalanced, r.books.broken)
	r.report.Ledger.Balanced = r.unbalanced == nil
	r.report.Memory = r.books.memory(left)
}

func (k *bookkeeper) memory(left *session.Report) *Memory {
	us := func(d int64) float64 { return float64(d) / float64(time.Microsecond) }
	h := &left.Books.Holders
	k.peak.Chunk = h.Chunk
	m := &Memory{Chunk: h.Chunk, Frames: h.Total, Samples: k.samples, CostMax: us(int64(k.cost)), Stages: []StageTime{}}
	for who := range dataplane.Holder(dataplane.NumHolders) {
		k.peak.Frames[who] = max(k.peak.Frames[who], h.Frames[who])
		m.Holders = append(m.Holders, HolderShare{
			Holder: who.String(), Frames: h.Frames[who], Bytes: h.Bytes(who), PeakFrames: k.peak.Frames[who], PeakBytes: k.peak.Bytes(who),
		})
	}
	if left.Times == nil {
		return m
	}
	for stage := range dataplane.Stage(dataplane.NumStages) {
		s := left.Times.Summary(stage)
		t := StageTime{Stage: stage.String(), N: s.N, P50: us(int64(s.P50)), P99: us(int64(s.P99)), Max: us(int64(s.Max))}
		if s.N > 0 {
			t.Mean = us(int64(s.Sum)) / float64(s.N)
		}
		m.Stages = append(m.Stages, t)
	}
	return m
}

// serveMetrics starts to answer before anything else can fail, so that an address that can't be had costs nothing.
func (r *run) serveMetrics() (err error) {
	if r.cfg.Metrics == "" {
		return nil
	}
	if r.metrics, err = metrics.Listen(r.cfg.Metrics); err == nil {
		r.cfg.Warn("metrics are at " + r.metrics.URL())
	}
	return err
}
