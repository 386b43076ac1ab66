package simnet

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// offload makes the trial's streams ask for their checksums, and with a canary.
func offload(t *Trial, canary bool) {
	before := t.TCP
	t.TCP = func(cfg *tcp.Config) {
		cfg.Checksum, cfg.Canary = tcp.ChecksumOffload, canary
		if before != nil {
			before(cfg)
		}
	}
}

// Whatever happens, it ends as well where the NIC computes the checksums, in one trial out of
// two after a canary.
func TestScenariosWithOffload(t *testing.T) {
	for i := range scenarios {
		s := scenarios[i]
		build := s.build
		s.build = func(t *Trial, r *rand.Rand) {
			build(t, r)
			offload(t, t.Seed%2 == 0)
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			region := trialRegion(t)
			var sum tally
			for seed := *first; seed < *first+uint64(some(40)); seed++ {
				if _, err := s.try(seed, region, &sum); err != nil {
					t.Error(err)
				}
			}
			if sum.kernel.Asked == 0 || some(40) > 1 && sum.tcp.CanaryProbes == 0 {
				t.Errorf("%d packets asked for their checksums, %d canary probes", sum.kernel.Asked, sum.tcp.CanaryProbes)
			}
		})
	}
}

// The canary's verdicts, over paths that lose, reorder and duplicate: a NIC that computes is
// never found to drop requests or to be believed blindly, and one that is deaf is never
// proved. Where nothing is lost the verdict is the right one.
func TestCanaryVerdicts(t *testing.T) {
	for name, troubled := range map[string]bool{"calm": false, "troubled": true} {
		for _, deaf := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deaf %v", name, deaf), func(t *testing.T) {
				verdicts := map[tcp.Verdict]int{}
				right := tcp.CanaryProved
				if deaf {
					right = tcp.CanaryDropped
				}
				eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
					trial := ordinary(seed, r)
					trial.Kernel.Deaf = deaf
					if troubled {
						trial.Forward.Loss, trial.Back.Loss = part(r, 0.1), part(r, 0.1)
						trial.Forward.Duplicate, trial.Back.Duplicate = part(r, 0.1), part(r, 0.1)
						trial.Forward.Jitter = tcp.Duration(r.IntN(2000)) * us
					}
					offload(&trial, true)
					return trial
				}, func(r *Run) error {
					v := r.Streams[0].StatsNow().Canary
					verdicts[v]++
					switch {
					case v == tcp.CanaryProved && deaf, v == tcp.CanaryDropped && !deaf, v == tcp.CanaryUnchecked, v != right && !troubled:
						return fmt.Errorf("verdict: %v", v)
					case v == tcp.CanaryNoAnswer && deaf: // it was asked for, and goes on with what does not work
						return nil
					}
					return r.Complete()
				})
				t.Logf("%v", verdicts)
			})
		}
	}
}

// A deaf NIC without a canary: nothing that is sent arrives.
func TestDeafNIC(t *testing.T) {
	eachSeed(t, func(seed uint64, r *rand.Rand) Trial {
		trial := ordinary(seed, r)
		trial.Kernel.Deaf = true
		offload(&trial, false)
		return trial
	}, func(r *Run) error {
		if err := r.Streams[0].Err(); !errors.Is(err, tcp.ErrTimeout) || r.Peer.Unparsed == 0 {
			return fmt.Errorf("%v; %d packets were refused", err, r.Peer.Unparsed)
		}
		return r.Clean()
	})
}

// What metadata asks for is done when the packet leaves, unless the NIC is deaf; metadata
// counts as part of the descriptor; what no kernel takes comes back unsent.
func TestNICCompletesChecksums(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		r := newNICRig(t, KernelConfig{Deaf: deaf, Read: [2]tcp.Duration{ms, ms}})
		b := r.k.region.Bytes(1)
		for i := range b {
			b[i] = byte(i)
		}
		metadata := func(f byte, start, offset byte) {
			copy(b[100-metadataLen:], make([]byte, metadataLen))
			b[100-metadataLen] = f
			b[100-metadataLen+8], b[100-metadataLen+10] = start, offset
		}
		desc := umem.Desc{Addr: 2048 + 100, Len: 80, Options: txMetadata}
		metadata(2, 34, 16)
		want := bytes.Clone(b[100:180])
		if !deaf {
			wire.Complete(want, 34, 16)
		}
		r.k.Tx([]umem.Desc{desc})
		r.k.Kick()
		r.w.pass(2 * ms)
		if len(r.wire) != 1 || !bytes.Equal(r.wire[0], want) {
			t.Fatalf("deaf %v: % x, want % x", deaf, r.wire, want)
		}
		r.k.Tx([]umem.Desc{desc})
		b[100-metadataLen+20] ^= 1
		r.k.Kick()
		r.w.pass(2 * ms)
		metadata(4, 34, 16) // a flag that is not known
		r.k.Tx([]umem.Desc{desc})
		metadata(2, 70, 9) // beyond its end
		r.k.Tx([]umem.Desc{desc, {Addr: 10, Len: 60, Options: txMetadata}, {Addr: 4096, Len: 60, Options: 8}})
		r.k.Kick()
		r.w.pass(2 * ms)
		if st := r.k.Stats(); st.RewrittenInFlight != 1 || st.Invalid != 4 || st.Asked != 2 || st.Sent != 2 {
			t.Errorf("%+v", st)
		}
	}
}
