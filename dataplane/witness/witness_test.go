package witness_test

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/witness"
	"github.com/xsend/xsend/umem"
)

// script is the kernel's end of a port: the test says what is completed.
type script struct {
	dataplane.Port
	out  []umem.Desc
	done []uint64
}

// Caps implements dataplane.Port.
func (*script) Caps() dataplane.Caps { return dataplane.Caps{TxRing: 8, Completion: 8} }

// Tx implements dataplane.Port.
func (s *script) Tx(descs []umem.Desc) { s.out = append(s.out, descs...) }

// Reap implements dataplane.Port.
func (s *script) Reap(addrs []uint64) int {
	n := copy(addrs, s.done)
	s.done = append(s.done[:0], s.done[n:]...)
	return n
}

// rig is a witness over four frames.
type rig struct {
	*witness.Port
	t      testing.TB
	kernel *script
	region *umem.Region
}

const frames = 4

func newRig(t testing.TB) *rig {
	t.Helper()
	region, err := umem.Map(umem.Config{Frames: frames, ChunkSize: umem.MinChunk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = region.Close() })
	k := &script{}
	return &rig{Port: witness.Wrap(k, region), t: t, kernel: k, region: region}
}

func (r *rig) submit(addr uint64, n uint32) { r.Tx([]umem.Desc{{Addr: addr, Len: n}}) }

// complete hands completions on and wants so many descriptors rewritten up to now.
func (r *rig) complete(want uint64, addrs ...uint64) {
	r.t.Helper()
	r.kernel.done = append(r.kernel.done, addrs...)
	got := make([]uint64, 16)
	if n := r.Reap(got); n != len(addrs) {
		r.t.Fatalf("%d completions, want %d", n, len(addrs))
	}
	if n := r.Rewritten(); n != want {
		r.t.Fatalf("%d rewritten, want %d", n, want)
	}
}

// ask submits a descriptor with metadata before it.
func (r *rig) ask(addr uint64, n uint32) {
	r.Tx([]umem.Desc{{Addr: addr, Len: n, Options: dataplane.TxMetadata}})
}

func (r *rig) flip(at uint64) { r.region.Memory()[at] ^= 1 }

func TestRewrittenBetweenSubmitAndCompletion(t *testing.T) {
	r := newRig(t)
	r.submit(2048+100, 50)
	r.complete(0, 2048+100)

	r.submit(2048+100, 50)
	r.flip(2048 + 99) // around it
	r.flip(2048 + 150)
	r.complete(0, 2048+100)

	for n, at := range []uint64{100, 101, 149} {
		r.submit(2048+100, 50)
		r.flip(2048 + at)
		r.complete(uint64(n)+1, 2048+100)
	}
	r.flip(2048 + 120) // nobody has it
	r.submit(2048+100, 50)
	r.complete(3, 2048+100)
}

// What the Internet checksum does not see: words that change places, zeros that become ones.
func TestRewrittenWithTheSameChecksum(t *testing.T) {
	r := newRig(t)
	mem := r.region.Memory()
	copy(mem, []byte{1, 2, 3, 4, 0, 0})
	r.submit(0, 6)
	copy(mem, []byte{3, 4, 1, 2, 0, 0})
	r.complete(1, 0)
	r.submit(0, 6)
	copy(mem, []byte{3, 4, 1, 2, 0xff, 0xff})
	r.complete(2, 0)
}

// A frame with several descriptors out, completed in another order: each is compared
// with itself, those of one address oldest first.
func TestSeveralOfOneFrame(t *testing.T) {
	r := newRig(t)
	r.submit(0, 10)
	r.submit(512, 10)
	r.flip(5)
	r.submit(0, 10) // as it is now
	r.complete(0, 512)
	r.complete(1, 0) // the first
	r.complete(1, 0) // the second
	r.complete(1, 0) // none is out
}

// Nonsense is for the pool to report; the witness is not harmed by it.
func TestNonsense(t *testing.T) {
	r := newRig(t)
	size := uint64(len(r.region.Memory()))
	for _, d := range []umem.Desc{{Addr: size, Len: 1}, {Addr: 1 << 63, Len: 100}, {Addr: ^uint64(0), Len: 100}, {Addr: size - 10, Len: 11}, {Addr: 0, Len: ^uint32(0)}} {
		r.Tx([]umem.Desc{d})
	}
	if n := r.Unseen(); n != 5 {
		t.Errorf("%d unseen, want 5", n)
	}
	r.complete(0, size, 1<<63, ^uint64(0), 7)
	if len(r.kernel.out) != 5 {
		t.Errorf("the port inside got %d descriptors, want 5", len(r.kernel.out))
	}
	for range 100 { // more than there is room for
		r.submit(0, 1)
	}
	if n := r.Unseen(); n <= 5 || n >= 100 {
		t.Errorf("%d unseen", n)
	}
}

// Any order of submissions, writes and completions, against a map.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		type flight struct {
			umem.Desc
			bytes string
		}
		var out []flight
		want := uint64(0)
		for range 2000 {
			switch random.IntN(3) {
			case 0:
				if len(out) == 16 {
					continue
				}
				d := umem.Desc{Addr: random.Uint64N(frames)*umem.MinChunk + random.Uint64N(3)*256, Len: random.Uint32N(200)}
				out = append(out, flight{d, string(r.region.Memory()[d.Addr:][:d.Len])})
				r.Tx([]umem.Desc{d})
			case 1:
				r.flip(random.Uint64N(frames)*umem.MinChunk + random.Uint64N(800))
			case 2:
				if len(out) == 0 {
					continue
				}
				i := random.IntN(len(out))
				for k, f := range out[:i] { // those of one address in order
					if f.Addr == out[i].Addr {
						i = k
						break
					}
				}
				if string(r.region.Memory()[out[i].Addr:][:out[i].Len]) != out[i].bytes {
					want++
				}
				addr := out[i].Addr
				out = append(out[:i], out[i+1:]...)
				r.complete(want, addr)
			}
		}
		if want == 0 || r.Unseen() != 0 {
			t.Fatalf("seed %d: %d rewritten, %d unseen", seed, want, r.Unseen())
		}
	}
}

func TestNoAllocation(t *testing.T) {
	r := newRig(t)
	descs := []umem.Desc{{Addr: 0, Len: 1500}, {Addr: 2048, Len: 1500}}
	addrs := make([]uint64, 4)
	r.kernel.out = make([]umem.Desc, 0, 1<<12)
	r.kernel.done = make([]uint64, 0, 8)
	if n := testing.AllocsPerRun(500, func() {
		r.kernel.out = r.kernel.out[:0]
		r.Tx(descs)
		r.kernel.done = append(r.kernel.done, 0, 2048)
		r.Reap(addrs)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTxReap(b *testing.B) {
	r := newRig(b)
	descs, addrs := []umem.Desc{{Addr: 0, Len: 1514}}, make([]uint64, 1)
	b.SetBytes(1514)
	for b.Loop() {
		r.kernel.out = r.kernel.out[:0]
		r.Tx(descs)
		r.kernel.done = append(r.kernel.done, 0)
		r.Reap(addrs)
	}
}

// What asks for a checksum is covered like the packet: the kernel may still read it.
func TestRewrittenMetadata(t *testing.T) {
	r := newRig(t)
	r.ask(2048+100, 50)
	r.flip(2048 + 75) // before it
	r.flip(2048 + 150)
	r.complete(0, 2048+100)
	for n, at := range []uint64{76, 99, 100} {
		r.ask(2048+100, 50)
		r.flip(2048 + at)
		r.complete(uint64(n+1), 2048+100)
	}
	r.ask(10, 50) // there is no room for any: the kernel's to refuse
	r.flip(2047)
	r.complete(3, 10)
}
