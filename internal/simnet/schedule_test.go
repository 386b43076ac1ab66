package simnet

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// A schedule is a short transfer in which everything that decides about a frame's release comes in an order
// of chance: ACKs, completions, timeouts, retransmissions, what the peer takes back, aborts, dead queues, and a
// writer that looks often or seldom. What must hold in each: no release before both conditions, none lost, none
// twice, no frame in two states (the books are audited after every pass), and the bytes of every transmission
// those of the first. Scenarios go deep into one kind of trouble each; schedules go wide.

var schedules = flag.Int("simnet.schedules", 10_000, "random schedules")

// ordering is a sequence of events that the release of frames must get right.
type ordering int

const (
	ackFirst ordering = iota
	completionAfterRTO
	completionAfterSecond
	completionNever
	ackInsideFrame
	sackReneged
	abortedOut
	rebuiltOut
	releasesEmpty
	releasesFull
	numOrderings
)

var orderingNames = [numOrderings]string{
	"ACK before completion", "completion after a timeout", "completion of the second retransmission after the ACK", "completion never",
	"ACK of a part of a frame", "SACK, then reneged", "abort with frames out", "rebuild with frames out", "release ring empty", "release ring as full as budgets let it be",
}

// leastShare of the schedules must have had each ordering: less is no test of it.
const leastShare = 0.001

// orderings counts the schedules that had each.
type orderings [numOrderings]int

func (o *orderings) rare(of int) (missing []string) {
	for k, n := range o {
		if float64(n) < leastShare*float64(of) || n == 0 {
			missing = append(missing, fmt.Sprintf("%s: in %d of %d schedules", orderingNames[k], n, of))
		}
	}
	return missing
}

// schedule is the trial of a seed.
func schedule(seed uint64) Trial {
	r := rand.New(rand.NewPCG(seed, 0x5c4ed))
	link := LinkConfig{Rate: 125e6, Delay: tcp.Duration(5+r.IntN(500)) * us}
	t := Trial{
		Seed: seed, Bytes: 1 + r.IntN(16_000), Rewrite: true, Forward: link, Back: link, Limit: 3600 * tcp.Second,
		Congestion: tcp.Congestions()[r.IntN(len(tcp.Congestions()))],
		Frames:     reserveFrames + rxFrames + 6 + r.IntN(12), Streams: 1 + r.IntN(2),
		Peer: PeerConfig{Scale: uint8(r.IntN(4)), Buffer: 2000 << r.IntN(6), AckParts: 1 + r.IntN(3)*r.IntN(2)},
		Lag:  tcp.Duration(r.IntN(50)) * us,
	}
	t.Kernel = KernelConfig{
		Ring: 32 << r.IntN(2), Segments: 17 * r.IntN(2), AnyOrder: r.IntN(2) == 0,
		Read: [2]tcp.Duration{0, tcp.Duration(r.IntN(300)) * us}, Complete: [2]tcp.Duration{0, tcp.Duration(r.IntN(500)) * us},
		Late: 0.5 * r.Float64(), LateBy: tcp.Duration(1+r.IntN(900)) * ms,
	}
	t.Forward.Loss, t.Back.Loss = part(r, 0.2), part(r, 0.2)
	if r.IntN(2) == 0 {
		t.Commit = 1 + r.IntN(3000)
	}
	if r.IntN(2) == 0 {
		t.WriterSleep = tcp.Duration(1+r.IntN(300)) * ms
	}
	seldom(&t, r)
	return t
}

// seldom is what few schedules have.
func seldom(t *Trial, r *rand.Rand) {
	if r.IntN(4) == 0 {
		t.Peer.Renege = part(r, 0.3)
	}
	if r.IntN(8) == 0 {
		t.Forward.Reorder, t.Forward.ReorderBy = part(r, 0.3), tcp.Duration(r.IntN(5))*ms
		t.Forward.Duplicate, t.Forward.Corrupt = part(r, 0.1), part(r, 0.05)
	}
	if r.IntN(8) == 0 {
		t.Kernel.Twice, t.Kernel.Invent, t.Kernel.InventRX = part(r, 0.2), part(r, 0.2), part(r, 0.1)
	}
	if r.IntN(8) == 0 {
		t.Kernel.Again, t.Kernel.Dropped, t.Kernel.Budget = part(r, 0.3), part(r, 0.05), 1+r.IntN(16)
	}
	if r.IntN(8) == 0 {
		t.Kernel.Never = part(r, 0.05)
	}
	if r.IntN(8) == 0 {
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(r.IntN(5_000))*us
		t.Kernel.DiesLoudly = r.IntN(2) == 0
		t.Linger = 5 * tcp.Second
	}
}

// witnessed is one schedule with what is to be seen of it.
type witnessed struct {
	dataplane.Port // the kernel that works now
	run            *Run
	seen           [numOrderings]bool
	aborted        bool
	ended          bool                // it came to its end, whatever that was worth
	out            map[uint64][]uint64 // by address: timeouts before each submission that is not completed
}

// do runs the schedule of a seed. The error names what is not as it must be.
func (w *witnessed) do(seed uint64, mode dataplane.ReleaseMode, region *umem.Region) (err error) {
	defer func() {
		if p := recover(); p != nil { // an invariant of ours: the seed must be known
			err = fmt.Errorf("schedule %d: panic: %v\n%s", seed, p, debug.Stack())
		}
	}()
	t := schedule(seed)
	t.Region, t.Release = region, mode
	t.At = append(t.At, Action{0, func(r *Run) { w.run, r.looker = r, w }})
	if r := rand.New(rand.NewPCG(seed, 0xab07)); r.IntN(8) == 0 {
		t.At = append(t.At, Action{tcp.Duration(r.IntN(20_000)) * us, w.abort})
	}
	t.Wrap = func(_ *World, p dataplane.Port) dataplane.Port {
		w.Port, w.out = p, map[uint64][]uint64{}
		return w
	}
	r, err := t.Do()
	if err != nil {
		return fmt.Errorf("schedule %w", err)
	}
	w.ended = true
	w.conclude(r)
	if err := w.judge(r); err != nil {
		return fmt.Errorf("schedule %d: %w\n%s", seed, err, r.state())
	}
	return nil
}

// judge wants every byte, unless a connection was cut off, or never stood: seven SYNs in a row are lost at times.
func (w *witnessed) judge(r *Run) error {
	for _, s := range r.Streams {
		unheard := errors.Is(s.Err(), tcp.ErrTimeout) && !s.Established()
		if w.aborted || unheard {
			return r.Clean()
		}
	}
	return r.Complete()
}

func (w *witnessed) conclude(r *Run) {
	k := r.Poller.CountersNow()
	w.seen[rebuiltOut] = k.Rebuilds > 0 && k.Quarantined > 0
	for _, s := range r.Streams {
		w.seen[sackReneged] = w.seen[sackReneged] || s.StatsNow().Reneged > 0
	}
	for _, kernel := range r.Kernels {
		w.seen[completionNever] = w.seen[completionNever] || kernel.Stats().Abandoned > 0
	}
}

func (w *witnessed) abort(r *Run) {
	s := r.Streams[0].Stream
	if s.Ended() {
		return
	}
	w.aborted = true
	w.seen[abortedOut] = w.seen[abortedOut] || r.Poller.Out() > 0 && r.Streams[0].Answers < r.Streams[0].Commits
	r.Poller.Abort(r.World.Now(), s)
}

// Tx notes how many timeouts there were before each descriptor went out.
func (w *witnessed) Tx(descs []umem.Desc) {
	n := w.timeouts()
	for _, d := range descs {
		w.out[d.Addr] = append(w.out[d.Addr], n)
	}
	w.Port.Tx(descs)
}

// Reap sees whether there were more when it came back.
func (w *witnessed) Reap(addrs []uint64) int {
	n := w.Port.Reap(addrs)
	if n == 0 {
		return 0
	}
	now := w.timeouts()
	for _, a := range addrs[:n] {
		if before := w.out[a]; len(before) > 0 {
			w.seen[completionAfterRTO] = w.seen[completionAfterRTO] || now > before[0]
			w.out[a] = before[1:]
		}
	}
	return n
}

// timeouts counts those that were put off because of a descriptor that is out, too.
func (w *witnessed) timeouts() (n uint64) {
	if w.run == nil {
		return 0
	}
	for _, s := range w.run.Streams {
		st := s.StatsNow()
		n += st.Timeouts + st.TimeoutsHeld
	}
	return n
}

// Rx looks for ACKs that end inside a commit.
func (w *witnessed) Rx(descs []umem.Desc) int {
	n := w.Port.Rx(descs)
	if w.run == nil {
		return n
	}
	for _, d := range descs[:n] {
		w.ack(d)
	}
	return n
}

func (w *witnessed) ack(d umem.Desc) {
	r := w.run
	if d.Addr+uint64(d.Len) > uint64(len(r.region.Memory())) || parse(r, d) != nil {
		return // a lie
	}
	for _, s := range r.Streams {
		if s.Flow().LocalPort == r.seg.Flow.LocalPort {
			w.seen[ackInsideFrame] = w.seen[ackInsideFrame] || s.inside(uint64(r.seg.Ack-uint32(s.iss)-1))
		}
	}
}

// inside reports that a commit that is not answered begins before a byte and ends behind it.
func (s *Stream) inside(at uint64) bool {
	for i := range s.commits {
		if c := &s.commits[i]; !c.answered && c.start < at && at < c.end {
			return true
		}
	}
	return false
}

func (w *witnessed) polled(n int) {
	waiting, live, allowed := false, true, 0
	for _, s := range w.run.Streams {
		waiting = waiting || s.Answers < s.Commits
		live = live && !s.Ended()
		allowed += s.Budget()
	}
	w.seen[releasesEmpty] = w.seen[releasesEmpty] || n == 0 && waiting
	w.seen[releasesFull] = w.seen[releasesFull] || live && n > 1 && n >= allowed
}

func (w *witnessed) released(rel *dataplane.Release) {
	late := rel.Reason == dataplane.Acked && rel.Completed > rel.Acked
	w.seen[ackFirst] = w.seen[ackFirst] || late
	w.seen[completionAfterSecond] = w.seen[completionAfterSecond] || late && rel.Transmissions > 2
}

// TestSchedules is the property test of the release.
func TestSchedules(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 1000)
	}
	var next, failed atomic.Int64
	var mu sync.Mutex
	var sum orderings
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		region := trialRegion(t)
		all.Go(func() {
			var mine orderings
			for i := next.Add(1); i <= int64(n) && failed.Load() < 5; i = next.Add(1) {
				var w witnessed
				if err := w.do(*first+uint64(i)-1, dataplane.ReleaseAck, region); err != nil {
					failed.Add(1)
					t.Error(err)
				}
				mine.add(&w.seen)
			}
			mu.Lock()
			defer mu.Unlock()
			for k, n := range mine {
				sum[k] += n
			}
		})
	}
	all.Wait()
	for k, c := range sum {
		t.Logf("%6.2f %%  %s", 100*float64(c)/float64(n), orderingNames[k])
	}
	for _, what := range sum.rare(n) {
		t.Errorf("hardly ever: %s: the schedules do not test it", what)
	}
}

func (o *orderings) add(seen *[numOrderings]bool) {
	for k, is := range seen {
		if is {
			o[k]++
		}
	}
}

// TestSchedulesFindWrongModes is the control: schedules tell every wrong mode from the right one.
func TestSchedulesFindWrongModes(t *testing.T) {
	region := trialRegion(t)
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseCompletion, dataplane.ReleaseSubmit, dataplane.ReleaseAcked} {
		found := 0
		const runs = 200
		for seed := range uint64(runs) {
			var w witnessed
			err := w.do(seed, mode, region)
			if !w.ended {
				t.Fatal(err)
			}
			if err != nil {
				found++
			}
		}
		t.Logf("release %v: found out by %d of %d schedules", mode, found, runs)
		if found < runs/10 {
			t.Errorf("release %v: found out by %d of %d schedules only", mode, found, runs)
		}
	}
}

// TestRareOrderings is the control of the count: without trouble it says that there was none.
func TestRareOrderings(t *testing.T) {
	calm := orderings{ackFirst: 1000}
	if got := len(calm.rare(1000)); got != int(numOrderings)-1 {
		t.Errorf("%d orderings are rare where all but one never were", got)
	}
	if got := calm.rare(1_000_001); len(got) != int(numOrderings) {
		t.Errorf("%d orderings are rare where the one was below 0.1 %%", len(got))
	}
}

func parse(r *Run, d umem.Desc) error {
	return wire.Parse(r.region.Memory()[d.Addr:d.Addr+uint64(d.Len)], true, &r.seg)
}
