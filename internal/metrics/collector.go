package metrics

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
)

// Source is where the books come from: a session.Session.
type Source interface {
	Books(context.Context) ([]session.QueueBooks, error)
	Times(context.Context) (*dataplane.Times, error)
}

// patience is how long a poller may take to answer: it does so between two passes.
const patience = 2 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xsend_"+name, help, labels, nil)
}

var (
	balanced = desc("ledger_balanced", "1 if every line of every queue's ledger adds up, and every frame has one holder.")
	faults   = desc("faults_total", "What should not happen, by line of the ledger.", "queue", "line")
	frames   = desc("frames", "Frames by who holds them.", "queue", "holder")
	memory   = desc("memory_bytes", "Memory by who holds it; the sum over holders is UMEM.", "queue", "holder")
	stages   = desc("stage_seconds", "How long frames were in each stage of their life, over all queues.", "stage")
)

// lines are the numbers of the ledger that add up.
var lines = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*dataplane.Ledger) uint64
}{
	{desc("descriptors_submitted_total", "Descriptors put on the TX ring; submitted = completed + quarantined + in flight.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Submitted }},
	{desc("descriptors_completed_total", "Descriptors that the kernel gave back.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Completed }},
	{desc("descriptors_quarantined_total", "Descriptors that a dead queue never gave back.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Quarantined }},
	{desc("descriptors_in_flight", "Descriptors that the kernel has.", "queue"), prometheus.GaugeValue, func(l *dataplane.Ledger) uint64 { return l.InFlight }},
	{desc("written_bytes_total", "Payload committed; written = released + aborted + held.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Written }},
	{desc("released_bytes_total", "Payload whose frame was handed back because it was ACKed.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Released }},
	{desc("demoted_bytes_total", "Payload whose frames were given back because it was copied to the arena.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Demoted }},
	{desc("aborted_bytes_total", "Payload given up.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Aborted }},
	{desc("held_bytes", "Payload committed and not handed back yet.", "queue"), prometheus.GaugeValue, func(l *dataplane.Ledger) uint64 { return l.Held }},
	{desc("commits_total", "Commits; commits = releases + open.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Commits }},
	{desc("releases_total", "Answers to commits.", "queue"), prometheus.CounterValue, func(l *dataplane.Ledger) uint64 { return l.Releases }},
	{desc("commits_open", "Commits without an answer yet.", "queue"), prometheus.GaugeValue, func(l *dataplane.Ledger) uint64 { return l.Open }},
}

// collector asks a source each time that somebody looks.
type collector struct{ source Source }

// Describe implements prometheus.Collector. It promises nothing: which queues there are is known later.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. A run that is over has no books, and so no metrics.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	queues, err := c.source.Books(ctx)
	if len(queues) == 0 {
		return
	}
	to <- prometheus.MustNewConstMetric(balanced, prometheus.GaugeValue, map[bool]float64{err == nil: 1}[true])
	for i := range queues {
		collectQueue(&queues[i], to)
	}
	if times, err := c.source.Times(ctx); err == nil && times != nil {
		collectTimes(times, to)
	}
}

func collectQueue(q *session.QueueBooks, to chan<- prometheus.Metric) {
	queue := strconv.Itoa(q.Queue)
	for _, l := range lines {
		to <- prometheus.MustNewConstMetric(l.desc, l.kind, float64(l.of(&q.Ledger)), queue)
	}
	for _, l := range q.Ledger.Faults() {
		to <- prometheus.MustNewConstMetric(faults, prometheus.CounterValue, float64(l.N), queue, l.Name)
	}
	for who := range dataplane.Holder(dataplane.NumHolders) {
		to <- prometheus.MustNewConstMetric(frames, prometheus.GaugeValue, float64(q.Holders.Frames[who]), queue, who.String())
		to <- prometheus.MustNewConstMetric(memory, prometheus.GaugeValue, float64(q.Holders.Bytes(who)), queue, who.String())
	}
}

func collectTimes(times *dataplane.Times, to chan<- prometheus.Metric) {
	for stage := range dataplane.Stage(dataplane.NumStages) {
		s := times.Summary(stage)
		seconds := func(d int64) float64 { return time.Duration(d).Seconds() }
		to <- prometheus.MustNewConstSummary(stages, uint64(s.N), seconds(int64(s.Sum)),
			map[float64]float64{0.5: seconds(int64(s.P50)), 0.99: seconds(int64(s.P99)), 1: seconds(int64(s.Max))}, stage.String())
	}
}
