package xdpprog

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// mutations are small ways in which an instruction can be wrong. Each returns the
// changed instruction, or false where it doesn't apply.
var mutations = []struct {
	name  string
	exact bool // none may survive
	apply func(asm.Instruction) (asm.Instruction, bool)
}{
	{"never jumps", false, func(ins asm.Instruction) (asm.Instruction, bool) {
		if !conditional(ins) {
			return ins, false
		}
		return asm.Mov.Reg(ins.Dst, ins.Dst).WithMetadata(ins.Metadata), true
	}},
	{"jumps on one more", false, func(ins asm.Instruction) (asm.Instruction, bool) {
		ins.Constant++
		return ins, conditional(ins) && ins.OpCode.Source() == asm.ImmSource
	}},
	{"jumps on one less", false, func(ins asm.Instruction) (asm.Instruction, bool) {
		ins.Constant--
		return ins, conditional(ins) && ins.OpCode.Source() == asm.ImmSource
	}},
	{"other constant", false, func(ins asm.Instruction) (asm.Instruction, bool) {
		ins.Constant++
		return ins, ins.OpCode.Class().IsALU() && ins.OpCode.Source() == asm.ImmSource && ins.OpCode.ALUOp() != asm.Swap
	}},
	{"loads a neighbour", true, func(ins asm.Instruction) (asm.Instruction, bool) {
		ins.Offset += int16(ins.OpCode.Size().Sizeof())
		return ins, ins.OpCode.Class() == asm.LdXClass
	}},
	{"doesn't store", true, func(ins asm.Instruction) (asm.Instruction, bool) {
		return asm.Mov.Reg(ins.Dst, ins.Dst).WithMetadata(ins.Metadata), ins.OpCode.Class() == asm.StXClass
	}},
}

func conditional(ins asm.Instruction) bool {
	op := ins.OpCode.JumpOp()
	return ins.OpCode.Class().IsJump() && op != asm.Ja && op != asm.Call && op != asm.Exit && op != asm.InvalidJumpOp
}

// lineOf is the line of C that an instruction comes from.
func lineOf(spec *ebpf.ProgramSpec, i int) fmt.Stringer {
	for ; i > 0; i-- {
		if line := spec.Instructions[i].Source(); line != nil {
			return line
		}
	}
	return spec.Instructions[0].Source()
}

// TestTableNoticesMutants changes one instruction at a time. Whatever the verifier
// lets pass, the table, whole and with split headers, should notice. What it doesn't
// notice is equivalent, as far as looked into: a null check that the compiler doubled, a
// bounds check one byte too careful (the kernel's copy steps in), a fallback action that
// the next line overrules.
func TestTableNoticesMutants(t *testing.T) {
	r := newRig(t)
	r.needSplits(t)
	spec := steerSpec(t)
	var all tally
	for _, m := range mutations {
		var n tally
		for i := range spec.Instructions {
			if ins, ok := m.apply(spec.Instructions[i]); ok {
				n.try(t, r, spec, i, ins)
			}
		}
		t.Logf("%s: %+v", m.name, n)
		if m.exact && n.survived > 0 {
			t.Errorf("%s: %d survived", m.name, n.survived)
		}
		all.noticed += n.noticed
		all.survived += n.survived
	}
	if all.noticed < 3*all.survived {
		t.Errorf("%d noticed, %d survived: the table has holes", all.noticed, all.survived)
	}
}

type tally struct{ refused, noticed, survived int }

// try runs the table over the program with one instruction replaced.
func (n *tally) try(t *testing.T, r *rig, spec *ebpf.ProgramSpec, i int, ins asm.Instruction) {
	wrong := spec.Copy()
	wrong.Instructions[i] = ins
	v, err := r.variant(wrong)
	if err != nil {
		n.refused++
		return
	}
	defer v.prog.Close()
	if v.check(allRows) != nil || v.checkSplit(allRows, 200) != nil {
		n.noticed++
		return
	}
	n.survived++
	t.Logf("survived: instruction %d, %v, as %v: %v", i, spec.Instructions[i], ins, lineOf(spec, i))
}

var allRows = table()
