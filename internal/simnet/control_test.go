package simnet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// The tests here are controls: each releases frames wrongly in one way, with a
// writer that rewrites at once, and fails where that shows nothing. Without them a
// proof that finds nothing wrong could be one that cannot see.

// controlSeeds is the number of trials of a control.
func controlSeeds() int { return some(60) }

// eachSeed runs a trial per seed and gives its outcome to look.
func eachSeed(t *testing.T, build func(seed uint64, r *rand.Rand) Trial, look func(r *Run) error) {
	t.Helper()
	t.Parallel()
	for seed := *first; seed < *first+uint64(controlSeeds()); seed++ {
		r, err := build(seed, rand.New(rand.NewPCG(seed, 0xc0))).Do()
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if err := look(r); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, r.state())
		}
	}
}

// lossControl loses packets of which some are surely payload sent for the first time.
func lossControl(mode dataplane.ReleaseMode) func(uint64, *rand.Rand) Trial {
	return func(seed uint64, r *rand.Rand) Trial {
		t := ordinary(seed, r)
		t.Release, t.Bytes, t.Commit = mode, 100_000, 0
		lossy(&t, r)
		// Loss is seen after the completion: a repair in the same pass would still find the bytes.
		t.Forward.Delay, t.Back.Delay = 1*ms, 1*ms
		t.Forward.Drop = []int{4, 9, 14, 15, 16, 25}
		return t
	}
}

// corrupts says that the wrong mode must be seen by the receiver, and in the books.
func corrupts(r *Run) error {
	switch {
	case r.WrongBytes() == 0:
		return fmt.Errorf("release %v: the receiver got every byte right: the control shows nothing", r.Release)
	case r.Findings().LentWhileHeld == 0 || r.Poller.CountersNow().LentWhileHeld == 0:
		return fmt.Errorf("release %v: no frame was lent while held: %+v", r.Release, r.Findings())
	case r.Findings().BeforeACK == 0:
		return fmt.Errorf("release %v: never before the peer had the bytes: %+v", r.Release, r.Findings())
	}
	return r.Books()
}

// Released on completion: what is lost is sent again from memory that the writer has
// written over.
func TestReleaseOnCompletionCorruptsUnderLoss(t *testing.T) {
	eachSeed(t, lossControl(dataplane.ReleaseCompletion), corrupts)
}

func TestReleaseOnSubmitCorruptsUnderLoss(t *testing.T) {
	eachSeed(t, lossControl(dataplane.ReleaseSubmit), corrupts)
}

// Released after the kick: no loss is needed where the NIC reads later.
func TestReleaseOnSubmitCorruptsWithoutLoss(t *testing.T) {
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		t := ordinary(seed, r)
		t.Release, t.Bytes, t.WriterSleep = dataplane.ReleaseSubmit, 100_000, 0
		t.Kernel.Read[0], t.Kernel.Read[1] = 50*us, 300*us
		return t
	}, func(r *Run) error {
		if r.RewrittenInFlight() == 0 {
			return fmt.Errorf("no descriptor was rewritten in flight: the control shows nothing")
		}
		return corrupts(r)
	})
}

// Released on ACK alone: a late clone of ACKed bytes is thrown away by the receiver,
// so that its stream stays right; but the NIC read what nobody had promised.
func TestReleaseOnAckAloneBreaksTheWire(t *testing.T) {
	shown := 0
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		t := ordinary(seed, r)
		t.Release, t.Bytes, t.Commit, t.WriterSleep = dataplane.ReleaseAcked, 100_000, 0, 0
		t.Forward.Delay, t.Back.Delay = 200*us, 200*us
		t.Forward.Reorder, t.Forward.ReorderBy = 0.2, 4*ms // spurious retransmissions: clones
		t.Kernel.Read, t.Kernel.Complete[1] = [2]tcp.Duration{0, 2 * ms}, 100*us
		return t
	}, func(r *Run) error {
		f := r.Findings()
		if r.RewrittenInFlight() > 0 && f.WireWrong > 0 && f.LentWhileHeld > 0 && f.BeforeKernel > 0 {
			shown++
		}
		if n := r.WrongBytes(); n > 0 {
			return fmt.Errorf("%d bytes wrong at the receiver", n)
		}
		if f.BeforeACK > 0 {
			return fmt.Errorf("%d frames handed back before their ACK", f.BeforeACK)
		}
		return r.Books()
	})
	if shown < controlSeeds()*9/10 {
		t.Errorf("rewritten in flight with %d seeds of %d: the control shows too little", shown, controlSeeds())
	}
}

// eagerPort is a mutant: it reports every descriptor as completed the moment it is
// submitted, and keeps the kernel's own completions to itself. A poller over it is
// one that ignores what the kernel holds.
type eagerPort struct {
	dataplane.Port
	done []uint64
	real [64]uint64
}

func (p *eagerPort) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.done = append(p.done, d.Addr)
	}
	p.Port.Tx(descs)
}

func (p *eagerPort) Reap(addrs []uint64) int {
	for p.Port.Reap(p.real[:]) > 0 {
	}
	n := copy(addrs, p.done)
	p.done = p.done[n:]
	return n
}

// The mutant that ignores the kernel's count must fail the proof, although it claims
// to release on ACK and completion.
func TestMutantWithoutKernelCountIsFound(t *testing.T) {
	shown := 0
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		t := ordinary(seed, r)
		t.Bytes, t.WriterSleep = 100_000, 0
		t.Forward.Reorder, t.Forward.ReorderBy = 0.2, 4*ms
		t.Kernel.Read, t.Kernel.Complete[1] = [2]tcp.Duration{0, 2 * ms}, 100*us
		t.Wrap = func(_ *World, p dataplane.Port) dataplane.Port { return &eagerPort{Port: p} }
		return t
	}, func(r *Run) error {
		if r.RewrittenInFlight() > 0 && r.Findings().BeforeKernel > 0 && r.Clean() != nil {
			shown++
		}
		return nil
	})
	if shown < controlSeeds()*9/10 {
		t.Errorf("rewritten in flight with %d seeds of %d: the mutant is found too seldom", shown, controlSeeds())
	}
}

// A path that turns SACK into ACK makes any sender believe that the peer has what it
// has not: a sender that takes SACKed for ACKed would look like this.
func TestSackTakenForAckIsFound(t *testing.T) {
	shown := 0
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		t := lossControl(dataplane.ReleaseAck)(seed, r)
		t.IPv6, t.VLAN, t.Limit = false, 0, 20*tcp.Second
		t.Forward.Loss, t.Back.Loss = 0, 0
		t.At = []Action{{0, func(r *Run) {
			r.Back.Watch(liftAck)
			r.World.After(5*tcp.Second, func() { r.Poller.Abort(r.World.Now(), r.Streams[0].Stream) })
		}}}
		return t
	}, func(r *Run) error {
		if r.Findings().BeforeACK > 0 {
			shown++
		}
		return nil
	})
	if shown != controlSeeds() {
		t.Errorf("found with %d seeds of %d", shown, controlSeeds())
	}
}

// liftAck moves the cumulative ACK of a frame to the end of its highest SACK block.
func liftAck(frame []byte) {
	var seg wire.Segment
	if wire.Parse(frame, true, &seg) != nil {
		return
	}
	ack := seg.Ack
	for _, b := range seg.Options.SACK[:seg.Options.NumSACK] {
		ack = later(ack, b.End)
	}
	header := frame[ipAt(frame)+ipv4Len:]
	sum := uint32(^binary.BigEndian.Uint16(header[16:])) + uint32(^uint16(seg.Ack>>16)) + uint32(^uint16(seg.Ack)) + ack>>16 + ack&0xffff
	binary.BigEndian.PutUint32(header[8:], ack)
	binary.BigEndian.PutUint16(header[16:], ^wire.Fold(sum)) // https://www.rfc-editor.org/rfc/rfc1624#section-3
}

// In every kind of trouble the wrong modes do what they say and no more: the books
// add up, each commit has one release, and with ACK alone the receiver's stream is right.
func TestWrongModesKeepTheBooks(t *testing.T) {
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseCompletion, dataplane.ReleaseSubmit, dataplane.ReleaseAcked} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			for i := range scenarios {
				for seed := *first; seed < *first+uint64(some(8)); seed++ {
					keepsBooks(t, &scenarios[i], seed, mode)
				}
			}
		})
	}
}

func keepsBooks(t *testing.T, s *scenario, seed uint64, mode dataplane.ReleaseMode) {
	// Without a window that falls, what is sent again together may write over itself for ever.
	trial := s.trialWith(seed, tcp.Reno)
	trial.Release = mode
	r, err := trial.Do()
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	if err := r.Books(); err != nil {
		t.Errorf("%s, seed %d: %v", s.name, seed, err)
	}
	if n := r.WrongBytes(); n > 0 && mode == dataplane.ReleaseAcked {
		t.Errorf("%s, seed %d: %d bytes wrong at the receiver", s.name, seed, n)
	}
}
