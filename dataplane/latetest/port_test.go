package latetest_test

import (
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/latetest"
	"github.com/xsend/xsend/internal/simnet"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// forgetful is the mutant: it tells the poller that a descriptor is completed as
// soon as it was submitted, so that the kernel count of a frame means nothing.
type forgetful struct {
	dataplane.Port
	told  []uint64
	addrs [256]uint64
}

func (f *forgetful) Tx(descs []umem.Desc) {
	for _, d := range descs {
		f.told = append(f.told, d.Addr)
	}
	f.Port.Tx(descs)
}

func (f *forgetful) Reap(addrs []uint64) int {
	f.Port.Reap(f.addrs[:])
	n := copy(addrs, f.told)
	f.told = append(f.told[:0], f.told[n:]...)
	return n
}

// lossyTrial is 100 kB over a NIC that is done at once, as veth is, with a writer
// that overwrites each frame when it is handed back.
func lossyTrial(seed uint64, mode dataplane.ReleaseMode, mutant bool) (simnet.Trial, *[]*latetest.Port) {
	ports := new([]*latetest.Port)
	link := simnet.LinkConfig{Rate: 125e6, Delay: 200 * tcp.Microsecond, Queue: 256}
	t := simnet.Trial{
		Seed: seed, Bytes: 100_000, Rewrite: true, Forward: link, Back: link, Release: mode,
		Linger: 5 * tcp.Second, Peer: simnet.PeerConfig{Buffer: 200_000, Scale: 3},
	}
	t.Forward.Loss = 0.01
	t.Wrap = func(w *simnet.World, p dataplane.Port) dataplane.Port {
		late := latetest.Wrap(p, latetest.Config{Region: p.(*simnet.Kernel).Region(), Now: w.Now, Seed: seed})
		*ports = append(*ports, late)
		if mutant {
			return &forgetful{Port: late}
		}
		return late
	}
	return t, ports
}

// Nobody writes where a descriptor points until its completion was handed on, and
// every byte arrives.
func TestAckWithLateCompletions(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		trial, ports := lossyTrial(seed, dataplane.ReleaseAck, false)
		r, err := trial.Do()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Complete(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		st := (*ports)[0].Stats()
		if st.Rewritten != 0 || st.Unexpected != 0 || st.HandedOn != st.Submitted || st.Late < 50*tcp.Millisecond {
			t.Fatalf("seed %d: %+v", seed, st)
		}
	}
}

// A poller that ignores the kernel count, or a writer that is told at the ACK, writes
// where descriptors point.
func TestMutantsAreCaught(t *testing.T) {
	for name, c := range map[string]struct {
		mode   dataplane.ReleaseMode
		mutant bool
	}{
		"kernel count ignored": {dataplane.ReleaseAck, true},
		"release acked":        {dataplane.ReleaseAcked, false},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 5; seed++ {
				trial, ports := lossyTrial(seed, c.mode, c.mutant)
				r, err := trial.Do()
				if err != nil {
					t.Fatal(err)
				}
				if st := (*ports)[0].Stats(); st.Rewritten == 0 || st.Bytes == 0 {
					t.Errorf("seed %d: nothing was rewritten: %+v", seed, st)
				}
				if n := r.WrongBytes(); n != 0 {
					t.Errorf("seed %d: %d bytes wrong at the receiver: both mutants only break the wire", seed, n)
				}
			}
		})
	}
}
