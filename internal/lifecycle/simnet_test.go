package lifecycle

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/simnet"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

const ms = tcp.Millisecond

// recorder is a port around the simulated kernel: each time that completions are asked for, what the poller told so far is taken from its ring.
type recorder struct {
	dataplane.Port
	tape *tape
}

func (r recorder) Reap(addrs []uint64) int {
	r.tape.bytes, _ = r.tape.ring.Next(r.tape.bytes, trace.Room)
	return r.Port.Reap(addrs)
}

// tape is the events of one run.
type tape struct {
	ring  *trace.Ring
	bytes []byte
}

// record runs a trial with a trace.
func record(t testing.TB, trial simnet.Trial) (*tape, *simnet.Run) {
	t.Helper()
	tape := &tape{ring: trace.NewRing(1 << 14)}
	trial.Poller = func(c *dataplane.Config) { c.Trace = tape.ring }
	trial.Wrap = func(_ *simnet.World, p dataplane.Port) dataplane.Port { return recorder{p, tape} }
	region, err := umem.Map(umem.Config{Frames: 256, ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { region.Close() })
	trial.Region = region
	r, err := trial.Do()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Poller.Close(); err != nil && trial.Release == dataplane.ReleaseAck {
		t.Fatal(err)
	}
	tape.bytes = tape.ring.Rest(tape.bytes)
	return tape, r
}

// events are those of the tape.
func (p *tape) events() (all []trace.Event) {
	for b := p.bytes; len(b) > 0; b = b[trace.Size:] {
		all = append(all, trace.Decode(b))
	}
	return all
}

// judge is what a checker makes of events.
func judge(all []trace.Event, capture *Capture) Result {
	c := NewChecker(capture)
	for _, e := range all {
		c.Event(0, e)
	}
	return c.Finish()
}

// families are trials in which what decides about a release happens in another order than usual; must is a figure that shows it.
var families = []struct {
	name string
	set  func(*simnet.Trial, *rand.Rand)
	must func(*Result, *simnet.Run) uint64
}{
	{"late", func(t *simnet.Trial, r *rand.Rand) {
		t.Kernel.Complete = [2]tcp.Duration{2 * ms, tcp.Duration(5+r.IntN(100)) * ms}
		t.Kernel.AnyOrder = r.IntN(2) == 0
	}, func(r *Result, _ *simnet.Run) uint64 { return r.Completed }},
	{"never", func(t *simnet.Trial, r *rand.Rand) { t.Kernel.Never = 0.01 + 0.02*r.Float64() },
		func(r *Result, _ *simnet.Run) uint64 { return min(r.Rebuilds, r.Quarantined) }},
	{"dies", func(t *simnet.Trial, r *rand.Rand) {
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(r.IntN(20_000))*tcp.Microsecond
		t.Linger = 5 * tcp.Second
	}, func(r *Result, _ *simnet.Run) uint64 { return min(r.Rebuilds, r.Quarantined) }},
	{"for good", func(t *simnet.Trial, r *rand.Rand) {
		t.Kernel.DiesAt, t.NoReopen = tcp.Second+tcp.Duration(r.IntN(20_000))*tcp.Microsecond, true
		t.Linger = 5 * tcp.Second
	}, func(r *Result, _ *simnet.Run) uint64 { return r.Quarantined }},
	{"lies", func(t *simnet.Trial, _ *rand.Rand) { t.Kernel.Twice, t.Kernel.Invent = 0.1, 0.1 },
		func(r *Result, _ *simnet.Run) uint64 { return r.Spurious }},
	{"scattered", func(t *simnet.Trial, r *rand.Rand) {
		t.Kernel.Segments = 4
		t.Kernel.Late, t.Kernel.LateBy = 0.2, 300*ms
	}, func(r *Result, _ *simnet.Run) uint64 { return r.Submitted - r.Commits }},
	{"demoted", func(t *simnet.Trial, r *rand.Rand) {
		t.Arena = 4 << 20
		after := tcp.Duration(50+r.IntN(500)) * ms
		t.TCP = func(c *tcp.Config) { c.Hold = tcp.Hold{Policy: tcp.HoldDemote, Time: after, Abort: -1} }
		t.Peer.Buffer = 8192 + r.IntN(30_000)
		t.Peer.StallAt, t.Peer.StallFor = int64(1+r.IntN(t.Bytes/2)), tcp.Duration(2000+r.IntN(20_000))*ms
	}, func(_ *Result, run *simnet.Run) uint64 { return run.Poller.CountersNow().BytesDemoted }},
	{"aborted", func(t *simnet.Trial, r *rand.Rand) {
		at := tcp.Duration(50+r.IntN(100)) * ms
		t.At = []simnet.Action{{After: at, Do: func(r *simnet.Run) { r.Poller.Abort(r.World.Now(), r.Streams[0].Stream) }}}
	}, func(_ *Result, run *simnet.Run) uint64 { return run.Poller.CountersNow().Aborts }},
}

// seeds is how many runs of each family; each is another.
const seeds = 20

func trial(i int, seed uint64) simnet.Trial {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	t := simnet.Trial{Seed: seed, Bytes: 100_000 + r.IntN(200_000), Streams: 1 + r.IntN(3), Commit: 1460}
	t.Forward.Loss, t.Back.Loss = 0.005+0.05*r.Float64(), 0.05*r.Float64()
	families[i].set(&t, r)
	return t
}

// TestLegalWhateverTheOrder: the checker finds nothing wrong with a poller that is right, and each family shows what it is for.
func TestLegalWhateverTheOrder(t *testing.T) {
	for i, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			shown := uint64(0)
			for seed := uint64(1); seed <= seeds; seed++ {
				tape, run := record(t, trial(i, seed))
				r := judge(tape.events(), nil)
				if r.ExitCode() != 0 || r.Releases == 0 || r.Releases != r.Commits {
					t.Fatalf("seed %d: %v", seed, text(&r))
				}
				shown += f.must(&r, run)
			}
			if shown == 0 {
				t.Error("no run showed what it is for")
			}
		})
	}
}

func text(r *Result) string {
	var b bytes.Buffer
	r.Print(&b, 5) //nolint:errcheck // memory
	return b.String()
}

// TestWrongModesAreFound: the negative control of all of it. A mode that hands frames back too early is found in
// every run, by whichever condition it leaves out.
func TestWrongModesAreFound(t *testing.T) {
	for mode, why := range map[dataplane.ReleaseMode]string{
		dataplane.ReleaseCompletion: "the peer has ACKed",
		dataplane.ReleaseSubmit:     "the kernel has not completed",
		dataplane.ReleaseAcked:      "the kernel has not completed",
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= seeds; seed++ {
				one := trial(0, seed) // completions come later than ACKs
				one.Release, one.Congestion, one.Streams = mode, tcp.Reno, 1
				if mode == dataplane.ReleaseCompletion { // and here the other way round
					one.Kernel.Complete = [2]tcp.Duration{}
					one.Forward.Delay, one.Back.Delay = 5*ms, 5*ms
				} else {
					one.Forward.Delay, one.Back.Delay = 10*tcp.Microsecond, 10*tcp.Microsecond
				}
				tape, _ := record(t, one)
				r := judge(tape.events(), nil)
				if r.ExitCode() != 1 || !bytes.Contains([]byte(text(&r)), []byte(why)) {
					t.Fatalf("seed %d: %s", seed, text(&r))
				}
			}
		})
	}
}
