package lab

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
)

// Offsets in struct __sk_buff (linux/bpf.h). The kernel takes a tag off a frame before the program at ingress
// sees it, and keeps it here.
const (
	offVLANPresent = 20
	offVLANTCI     = 24
)

// Verdicts of a classifier that acts by itself (linux/pkt_cls.h).
const (
	tcActOK   = 0
	tcActShot = 2
)

const vlanIDMask = 0x0fff // of the tag control information

// tagInstructions put a tag on each packet that the kernel sends. Where that fails the packet is dropped:
// without its tag it would be in another VLAN.
func tagInstructions(id int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R2, etherTypeVLAN),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.Mov.Imm(asm.R3, int32(id)),
		asm.FnSkbVlanPush.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		asm.Mov.Imm(asm.R0, tcActOK),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcActShot).WithSymbol("drop"),
		asm.Return(),
	}
}

// untagInstructions take the tag off what arrives with it, and drop all else.
func untagInstructions(id int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, offVLANPresent, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "drop"),
		asm.LoadMem(asm.R2, asm.R1, offVLANTCI, asm.Word),
		asm.And.Imm(asm.R2, vlanIDMask),
		asm.JNE.Imm(asm.R2, int32(id), "drop"),
		asm.FnSkbVlanPop.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		asm.Mov.Imm(asm.R0, tcActOK),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcActShot).WithSymbol("drop"),
		asm.Return(),
	}
}

func loadClassifier(name string, instructions asm.Instructions) (*ebpf.Program, error) {
	// Only needed, and only done, on kernels that charge BPF memory to the memlock limit (before 5.11).
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the memlock limit for the program %s: %w", name, err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SchedCLS, License: "GPL", Instructions: instructions,
	})
	if err != nil {
		return nil, fmt.Errorf("load the program %s: %w", name, needRoot(err))
	}
	return prog, nil
}
