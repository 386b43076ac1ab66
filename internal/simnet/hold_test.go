package simnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// The control of every demote scenario: an arena that the writer writes over as it does its frames, as if
// what is sent again came from there. The receiver must see it.
func TestDemotedBytesComeFromTheArena(t *testing.T) {
	shown := 0
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		trial := byName("demote").trial(seed)
		trial.OnRelease = func(r *Run, rel *dataplane.Release) {
			if rel.Reason != dataplane.Demoted {
				return
			}
			for b := range umem.Block(r.arena.Size() / umem.BlockSize) {
				if r.arena.Holds(b) > 0 {
					for i := range r.arena.Bytes(b) {
						r.arena.Bytes(b)[i] = Marker
					}
				}
			}
		}
		return trial
	}, func(r *Run) error {
		if r.WrongBytes() > 0 {
			shown++
		}
		return r.Books()
	})
	if shown == 0 {
		t.Error("the arena was written over, and every receiver got every byte right: the demote scenarios prove nothing")
	}
}

// holdEnding is a limit that resets the connection of a peer which never goes on.
type holdEnding struct {
	name  string
	arena int
	hold  tcp.Hold
	slots int
	small int // most bytes of a commit; 0 = a full segment
	cause tcp.HoldCause
	after tcp.Duration // without progress
}

var holdEndings = []holdEnding{
	{"abort", 1 << 20, tcp.Hold{Policy: tcp.HoldAbort, Time: 3 * tcp.Second}, 0, 0, tcp.HoldTimeOver, 3 * tcp.Second},
	{"second-limit", 1 << 20, tcp.Hold{Policy: tcp.HoldDemote, Time: tcp.Second, Abort: 40 * tcp.Second}, 0, 0, tcp.HoldAbortOver, 40 * tcp.Second},
	{"defaults", 1 << 20, tcp.Hold{Policy: tcp.HoldDemote}, 0, 0, tcp.HoldAbortOver, tcp.DefaultHoldAbort},
	{"arena-full", 4 * umem.BlockSize, tcp.Hold{Policy: tcp.HoldDemote, Time: 2 * tcp.Second}, 0, 0, tcp.HoldArenaFull, 2 * tcp.Second},
	{"no-arena", 0, tcp.Hold{Policy: tcp.HoldDemote, Time: 2 * tcp.Second}, 0, 0, tcp.HoldNoArena, 2 * tcp.Second},
	{"queue-full", 1 << 20, tcp.Hold{Policy: tcp.HoldDemote, Time: 2 * tcp.Second}, 24, 1, tcp.HoldQueueFull, 2 * tcp.Second},
}

func TestHoldEndings(t *testing.T) {
	for i := range holdEndings {
		e := &holdEndings[i]
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for seed := *first; seed < *first+uint64(some(40)); seed++ {
				e.run(t, seed)
			}
		})
	}
}

func (e *holdEnding) run(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0x401d))
	trial := ordinary(seed, rnd)
	trial.Bytes, trial.Limit, trial.Arena, trial.Commit = 400_000, 7200*tcp.Second, e.arena, e.small
	if seed%2 == 1 && e.slots == 0 {
		trial.Kernel.Segments = 18
	}
	sometimes(&trial, rnd, lossy)
	trial.Peer.Buffer, trial.Peer.Scale, trial.Peer.StallAt = 20_000+rnd.IntN(10_000), 0, 1
	if e.small > 0 {
		trial.Bytes, trial.Peer.Buffer = 400, 16 // one byte each
	}
	trial.TCP = func(cfg *tcp.Config) { cfg.Hold, cfg.SendSlots = e.hold, e.slots }
	r, err := trial.Do()
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if err := e.judge(r); err != nil {
		t.Errorf("seed %d: %v\n%s", seed, err, r.state())
	}
	if err := r.Clean(); err != nil {
		t.Errorf("seed %d: %v\n%s", seed, err, r.state())
	}
}

func (e *holdEnding) judge(r *Run) error {
	s := r.Streams[0]
	var limit *tcp.HoldError
	c := r.Poller.CountersNow()
	switch got := s.Err(); {
	case !errors.Is(got, tcp.ErrHoldLimit) || !errors.As(got, &limit):
		return fmt.Errorf("the stream ended with %v", got)
	case limit.Cause != e.cause || limit.Waited < e.after || limit.Waited > e.after+tcp.Second/2:
		return fmt.Errorf("%+v: want cause %d after %d ms", *limit, e.cause, e.after/ms)
	case c.HoldAborts != 1:
		return fmt.Errorf("%d resets by a limit", c.HoldAborts)
	case e.cause == tcp.HoldAbortOver && (limit.Held != 0 || limit.Demoted == 0 || s.Demoted == 0 || s.Aborted != 0):
		return fmt.Errorf("%+v, %d bytes demoted, %d aborted: at the second limit frames are still held", *limit, s.Demoted, s.Aborted)
	case e.cause == tcp.HoldArenaFull && limit.ArenaUsed != e.arena:
		return fmt.Errorf("%+v: an arena with room is full", *limit)
	}
	return nil
}

// Twenty-one of twenty-two peers stop reading. The frames of each are all back once the limit is over since its last ACK,
// and the NIC has given back what it had; the last one gets its bytes as if it were alone.
func TestStoppedReadersPinNothing(t *testing.T) {
	alone, beside := besideStopped(t, 0), besideStopped(t, 21)
	t.Logf("alone %d ms, beside 21 stopped readers %d ms", alone/ms, beside/ms)
	if beside > alone*105/100 {
		t.Errorf("beside 21 stopped readers it takes %d ms, alone %d ms", beside/ms, alone/ms)
	}
}

// besideStopped is how long 60 MB take beside so many peers that stop reading.
func besideStopped(t *testing.T, stopped int) tcp.Duration {
	const (
		limit = 300 * ms
		drain = 10 * ms // the NIC completes within that
	)
	trial := Trial{
		Seed: 11, Streams: 1 + stopped, Bytes: 60_000_000, Frames: 1500, Rewrite: true, Audit: 997, Arena: 16 << 20,
		Forward: LinkConfig{Rate: 12.5e6, Delay: 200 * us, Queue: 1000}, Back: LinkConfig{Delay: 200 * us},
		Kernel: KernelConfig{Ring: 256, Read: [2]tcp.Duration{0, 20 * us}, Complete: [2]tcp.Duration{0, drain}},
		TCP:    func(cfg *tcp.Config) { cfg.Hold = tcp.Hold{Policy: tcp.HoldDemote, Time: limit} },
	}
	trial.Peer.For = func(port uint16, cfg *PeerConfig) {
		if port != firstPort {
			cfg.StallAt, cfg.Buffer = 1, 16384
		}
	}
	acked, since := make([]uint64, 1+stopped), make([]tcp.Time, 1+stopped)
	for i := range tcp.Duration(2000) {
		trial.At = append(trial.At, Action{i * ms, func(r *Run) {
			for k, s := range r.Streams[1:] {
				if n := s.Acked(); n > acked[k] {
					acked[k], since[k] = n, r.World.Now()
				}
			}
		}})
	}
	trial.OnRelease = func(r *Run, rel *dataplane.Release) {
		s := r.stream(rel.Stream)
		k := int(rel.Stream.Flow().LocalPort) - firstPort - 1
		if late := r.World.Now() - since[max(k, 0)] - limit - drain; rel.Reason == dataplane.Demoted && late > 2*ms {
			t.Errorf("port %d: a frame came back %d ms after the limit and the NIC's time", s.Flow().LocalPort, late/ms)
		}
	}
	trial.At = append(trial.At, Action{2 * tcp.Second, func(r *Run) {
		for _, s := range r.Streams[1:] {
			if n := s.Demoted; n == 0 || s.Answers != s.Commits || r.writer.Held(s.Stream) != 0 {
				t.Errorf("port %d: %d bytes demoted, %d of %d commits have their release, %d frames held",
					s.Flow().LocalPort, n, s.Answers, s.Commits, r.writer.Held(s.Stream))
			}
			r.Poller.Abort(r.World.Now(), s.Stream)
		}
	}})
	r, err := trial.Do()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.arrived(r.Streams[0]), r.Clean()); err != nil {
		t.Fatal(err)
	}
	return r.Streams[0].Sent - tcp.Second
}
