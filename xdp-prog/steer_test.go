package xdpprog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// check runs all rows and returns the first that got something else than it wants.
func (r *rig) check(rows []row) error {
	for _, row := range rows {
		got, err := r.outcome(row.frame, row.queue, len(row.frame))
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		if got != row.want {
			return fmt.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
	return nil
}

func TestTable(t *testing.T) {
	r := newRig(t)
	rows := table()
	if len(rows) < 40 {
		t.Errorf("%d rows", len(rows))
	}
	names := make(map[string]bool)
	for _, c := range rows {
		if names[c.name] {
			t.Errorf("two rows are called %q", c.name)
		}
		names[c.name] = true
		if err := r.check([]row{c}); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d frames", len(rows))
}

// agree compares the program with gopacket's reading of the same frame.
func (r *rig) agree(frame []byte, queue int) error {
	got, err := r.outcome(frame, queue, len(frame))
	if err != nil {
		return fmt.Errorf("% x on queue %d: %w", frame, queue, err)
	}
	if got == passedFragment || got == passedMalformed {
		got = passed
	}
	if want := verdictOf(frame, queue); got != want {
		return fmt.Errorf("% x on queue %d: the program: %v, gopacket: %v", frame, queue, got, want)
	}
	return nil
}

// agreeAll stops at the first frame on which program and gopacket differ.
func (r *rig) agreeAll(frames [][]byte) error {
	for i, f := range frames {
		if err := r.agree(f, i%allQueues); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return nil
}

func TestTableAgreesWithGopacket(t *testing.T) {
	r := newRig(t)
	for _, row := range table() {
		if err := r.agree(row.frame, row.queue); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// Each frame of the table, cut at each length that PROG_RUN takes.
func TestTruncated(t *testing.T) {
	r := newRig(t)
	for _, row := range table() {
		for n := 14; n < min(len(row.frame), 200); n++ {
			if err := r.agree(row.frame[:n], row.queue); err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
		}
	}
}

// checkSplit runs all rows with the first buffer ending at each step-th byte.
func (r *rig) checkSplit(rows []row, step int) error {
	for _, row := range rows {
		for linear := 14; linear < min(len(row.frame), 190); linear += step {
			got, err := r.outcome(row.frame, row.queue, linear)
			if err != nil || got != row.want {
				return fmt.Errorf("%s, %d bytes in the first buffer: got %v, want %v (%v)", row.name, linear, got, row.want, err)
			}
		}
	}
	return nil
}

// Headers that straddle the buffers of a frame are read all the same.
func TestSplitHeaders(t *testing.T) {
	r := newRig(t)
	r.needSplits(t)
	if err := r.checkSplit(table(), 1); err != nil {
		t.Error(err)
	}
	inPlace := r.mutant(t, func(ins *asm.Instruction) {
		if ins.IsBuiltinCall() && ins.Constant == int64(asm.FnXdpLoadBytes) {
			*ins = asm.Mov.Imm32(asm.R0, -1).WithMetadata(ins.Metadata)
		}
	})
	plain := tcpRows()[:1]
	if err := inPlace.check(plain); err != nil {
		t.Errorf("the control, which reads in place only, fails already with one buffer: %v", err)
	}
	if inPlace.checkSplit(plain, 1) == nil {
		t.Error("the control, which reads in place only, passes: the test has no power")
	}
}

// mutant is a rig whose program was edited.
func (r *rig) mutant(t testing.TB, edit func(*asm.Instruction)) *rig {
	t.Helper()
	spec := steerSpec(t)
	for i := range spec.Instructions {
		edit(&spec.Instructions[i])
	}
	return r.with(t, spec)
}

func (r *rig) with(t testing.TB, spec *ebpf.ProgramSpec) *rig {
	t.Helper()
	v, err := r.variant(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.prog.Close() })
	return v
}

func steerSpec(t testing.TB) *ebpf.ProgramSpec {
	t.Helper()
	spec, err := loadSteer()
	if err != nil {
		t.Fatal(err)
	}
	return spec.Programs[steerProgXsendSteer]
}

// constant is a program that returns the same verdict for every frame.
func constant(verdict int32) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "constant", Type: ebpf.XDP, License: "Dual BSD/GPL", Flags: 1 << 5, // BPF_F_XDP_HAS_FRAGS
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}}
}

// damaged is n frames made from the table by a seed: bits flipped, bytes replaced, words
// set to telling values, pieces cut out, repeated and swapped between frames.
func damaged(seed uint64, n int) [][]byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	rows := table()
	frames := make([][]byte, n)
	for i := range frames {
		f := append([]byte(nil), rows[rng.IntN(len(rows))].frame...)
		f = f[:min(len(f), 300)]
		for range 1 + rng.IntN(4) {
			f = damage(rng, f, rows[rng.IntN(len(rows))].frame)
		}
		if len(f) < 14 {
			f = pad(f, 14-len(f))
		}
		frames[i] = f
	}
	return frames
}

var telling = []byte{0, 1, 2, 3, 4, 6, 11, 12, 0x11, 0x20, 0x2c, 0x3a, 0x40, 0x45, 0x4f, 0x60, 0x80, 0x81, 0x86, 0x88, 0xa8, 0xdd, 0xff, ours >> 8, ours & 255}

func damage(rng *rand.Rand, f, donor []byte) []byte {
	if len(f) == 0 {
		return f
	}
	at := rng.IntN(len(f))
	switch rng.IntN(6) {
	case 0:
		f[at] ^= 1 << rng.IntN(8)
	case 1:
		f[at] = byte(rng.Uint32())
	case 2:
		f[at] = telling[rng.IntN(len(telling))]
	case 3:
		f = f[:at]
	case 4:
		f = append(f[:at], donor[min(at, len(donor)):min(at+40, len(donor))]...)
	case 5:
		f = append(f[:at], f[min(at+4, len(f)):]...)
	}
	return f
}

func TestDamagedFrames(t *testing.T) {
	r := newRig(t)
	frames := damaged(20260101, 20000)
	if err := r.agreeAll(frames); err != nil {
		t.Error(err)
	}
	count := make(map[steerOutcome]int)
	for i, f := range frames {
		count[verdictOf(f, i%allQueues)]++
	}
	for _, o := range []steerOutcome{passed, redirectedTCP, redirectedICMP, dropped, passedICMP} {
		if count[o] < 50 {
			t.Errorf("only %d of %d frames have the outcome %q: the seed tests little", count[o], len(frames), o)
		}
	}
	t.Logf("%v", count)
}

// The comparison notices programs that are wrong on purpose.
func TestDamagedFramesCatchWrongPrograms(t *testing.T) {
	r := newRig(t)
	frames := damaged(20260101, 20000)
	wrong := map[string]*rig{"aborts": r.with(t, constant(0)), "drops": r.with(t, constant(1)), "passes": r.with(t, constant(2)),
		"redirects": r.with(t, constant(4))}
	wrong["reads no fragment bit"] = r.mutant(t, func(ins *asm.Instruction) {
		was, is := binary.NativeEndian.Uint16([]byte{0x3f, 0xff}), binary.NativeEndian.Uint16([]byte{0x1f, 0xff})
		if ins.OpCode.Class().IsALU() && ins.OpCode.Source() == asm.ImmSource && ins.Constant == int64(was) {
			ins.Constant = int64(is)
		}
	})
	for name, w := range wrong {
		if w.agreeAll(frames) == nil {
			t.Errorf("a program that %s is not noticed", name)
		}
	}
}

func FuzzSteer(f *testing.F) {
	for _, row := range table() {
		if len(row.frame) < 300 {
			f.Add(row.frame, uint8(row.queue))
		}
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, frame []byte, queue uint8) {
		if len(frame) < 14 || len(frame) > 3000 {
			return
		}
		if err := r.agree(frame, int(queue)%allQueues); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkSteer(b *testing.B) {
	r := newRig(b)
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"ours", eth4(ip4(protoTCP, tcp(80, ours, "", timestamps())))},
		{"ours6", eth6(ip6(protoTCP, tcp(80, ours, "", timestamps())))},
		{"other", eth4(ip4(protoTCP, tcp(80, other, "", timestamps())))},
		{"udp", eth4(ip4(protoUDP, udp(80, ours)))},
	} {
		b.Run(c.name, func(b *testing.B) {
			md := xdpMD{DataEnd: uint32(len(c.frame)), IngressIfindex: uint32(r.nearIndex), RxQueueIndex: served}
			r.near.must(b, func() error {
				_, err := r.prog.Run(&ebpf.RunOptions{Data: c.frame, Context: md, Repeat: uint32(b.N)})
				return err
			})
		})
	}
}
