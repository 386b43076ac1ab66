package simnet

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

// ending is a way for a transfer to end that is not the usual one. Whatever it is,
// nothing wrong is sent, each commit has its release, and every frame comes back.
type ending struct {
	name  string
	build func(t *Trial, r *rand.Rand)
	err   error // of the stream
}

var endings = []ending{
	{"refused", func(t *Trial, _ *rand.Rand) { t.Peer.Refuse = true }, tcp.ErrRefused},
	{"silent", func(t *Trial, _ *rand.Rand) { t.Peer.Silent = true }, tcp.ErrTimeout},
	{"reset", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Back.Loss = 0 // a RST is sent once
		t.Peer.ResetAt = int64(1 + r.IntN(t.Bytes))
	}, tcp.ErrReset},
	{"vanishes", func(t *Trial, r *rand.Rand) {
		t.Peer.SilentAt = int64(1 + r.IntN(t.Bytes))
		t.Limit = 3600 * tcp.Second
	}, tcp.ErrTimeout},
	{"aborted", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.At = []Action{{tcp.Duration(r.IntN(15_000)) * us, func(r *Run) {
			r.Poller.Abort(r.World.Now(), r.Streams[0].Stream)
		}}}
		t.Bytes = 400_000
		t.Forward.Rate = 10e6
	}, tcp.ErrAborted},
	{"aborted-late-kernel", func(t *Trial, r *rand.Rand) { // completions long after the end
		t.Kernel.Late, t.Kernel.LateBy = 0.5, 900*ms
		t.At = []Action{{tcp.Duration(3000+r.IntN(15_000)) * us, func(r *Run) {
			r.Poller.Abort(r.World.Now(), r.Streams[0].Stream)
		}}}
		t.Bytes = 400_000
		t.Forward.Rate = 10e6
	}, tcp.ErrAborted},
	{"window-closed-for-ever", func(t *Trial, r *rand.Rand) {
		t.Peer.StallAt, t.Peer.Buffer, t.Peer.Scale = int64(1+r.IntN(10_000)), 8192, 0
		t.At = []Action{{tcp.Duration(1+r.IntN(600)) * tcp.Second, func(r *Run) {
			r.Poller.Abort(r.World.Now(), r.Streams[0].Stream)
		}}}
		t.Limit = 3600 * tcp.Second
	}, tcp.ErrAborted},
	{"queue-gone", func(t *Trial, r *rand.Rand) {
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(2500+r.IntN(8_000))*us
		t.Kernel.Read[0], t.Kernel.Read[1] = 100*us, 300*us
		t.Forward.Rate = 10e6
		t.Bytes = 400_000
		t.NoReopen = true
	}, dataplane.ErrQueueDead},
}

func TestEndings(t *testing.T) {
	for i := range endings {
		e := &endings[i]
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for seed := *first; seed < *first+uint64(some(40)); seed++ {
				e.run(t, seed)
			}
		})
	}
}

func (e *ending) run(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0xe4d))
	trial := ordinary(seed, rnd)
	trial.Congestion = tcp.Congestions()[seed%uint64(len(tcp.Congestions()))]
	e.build(&trial, rnd)
	r, err := trial.Do()
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if got := r.Streams[0].Err(); !errors.Is(got, e.err) {
		t.Errorf("seed %d: the stream ended with %v, want %v\n%s", seed, got, e.err, r.state())
	}
	if err := r.Clean(); err != nil {
		t.Errorf("seed %d: %v\n%s", seed, err, r.state())
	}
}

// One of eight peers stops reading: the other seven finish as quickly as seven alone.
func TestStoppedReaderHoldsUpNobody(t *testing.T) {
	run := func(streams int, stop uint16) (last tcp.Time) {
		trial := Trial{
			Seed: 7, Streams: streams, Bytes: 400_000, Frames: 700, Rewrite: true, Audit: 97,
			Forward: LinkConfig{Rate: 125e6, Delay: 200 * us, Queue: 1000}, Back: LinkConfig{Delay: 200 * us},
			Kernel: KernelConfig{Ring: 256, Read: [2]tcp.Duration{0, 20 * us}, Complete: [2]tcp.Duration{0, 20 * us}},
		}
		trial.Peer.For = func(port uint16, cfg *PeerConfig) {
			if port == stop {
				cfg.StallAt, cfg.Buffer = 1, 16384
			}
		}
		trial.At = []Action{{60 * tcp.Second, func(r *Run) {
			for _, s := range r.Streams {
				if s.Flow().LocalPort == stop {
					r.Poller.Abort(r.World.Now(), s.Stream)
				}
			}
		}}}
		r, err := trial.Do()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Clean(); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Streams {
			if s.Flow().LocalPort == stop {
				continue
			}
			if err := r.arrived(s); err != nil {
				t.Fatal(err)
			}
			last = max(last, s.Sent-tcp.Second)
		}
		return last
	}
	alone, beside := run(7, 0), run(8, firstPort+3)
	t.Logf("seven alone %d us, beside one that stopped %d us", alone/us, beside/us)
	if beside > alone*5/4 {
		t.Errorf("seven streams took %d us, beside a stopped one %d us", alone/us, beside/us)
	}
}
