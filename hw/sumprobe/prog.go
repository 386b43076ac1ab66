package sumprobe

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// layout is where the program finds what it reads, in bytes.
type layout struct {
	argument                            int16 // the function's first, in struct pt_regs
	head, data, len, dataLen, csumStart int32 // in struct sk_buff
}

// arguments is where struct pt_regs keeps a function's first argument: rdi of x86 (arch/x86/include/asm/ptrace.h), x0 of arm64.
var arguments = map[string]int16{"amd64": 112, "arm64": 0}

// readLayout asks the running kernel; nil and an error where it does not say.
func readLayout() (*layout, error) {
	argument, ok := arguments[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("where %s passes arguments is not known", runtime.GOARCH)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's types: %w", err)
	}
	var skb *btf.Struct
	if err := kernel.TypeByName("sk_buff", &skb); err != nil {
		return nil, fmt.Errorf("look for sk_buff in the kernel's types: %w", err)
	}
	return layoutOf(skb, argument)
}

func layoutOf(skb *btf.Struct, argument int16) (*layout, error) {
	at := &layout{argument: argument}
	for _, m := range []struct {
		name   string
		offset *int32
	}{{"head", &at.head}, {"data", &at.data}, {"len", &at.len}, {"data_len", &at.dataLen}, {"csum_start", &at.csumStart}} {
		offset, ok := offsetOf(skb.Members, m.name)
		if !ok {
			return nil, fmt.Errorf("sk_buff has no %s", m.name)
		}
		*m.offset = int32(offset)
	}
	return at, nil
}

// offsetOf looks through unions and structs without a name, which sk_buff is full of.
func offsetOf(members []btf.Member, name string) (bytes uint32, ok bool) {
	for _, m := range members {
		if m.Name == name {
			return m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if at, ok := offsetOf(inner, name); ok {
			return m.Offset.Bytes() + at, true
		}
	}
	return 0, false
}

// Where the program keeps things on its stack.
const (
	keyAt     = -8
	headAt    = -16
	dataAt    = -24
	lenAt     = -28
	dataLenAt = -32
	startAt   = -40
	valueAt   = -48
)

const bpfNoExist = 1 // BPF_NOEXIST of linux/bpf.h

// instructions count one call, under the key of its packet; under zeros where at is nil, or where the transport header
// is not in the part of the skb that can be read at once.
func instructions(counts, lost int, at *layout) asm.Instructions {
	p := asm.Instructions{asm.Mov.Imm(asm.R2, 0), asm.StoreMem(asm.RFP, keyAt, asm.R2, asm.DWord)}
	if at != nil {
		p = append(p, readKey(at)...)
	}
	p = append(p,
		asm.Mov.Imm(asm.R2, 0).WithSymbol("count"), asm.StoreMem(asm.RFP, valueAt, asm.R2, asm.DWord),
		asm.LoadMapPtr(asm.R1, counts),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, keyAt),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, valueAt),
		asm.Mov.Imm(asm.R4, bpfNoExist),
		asm.FnMapUpdateElem.Call(), // refused where it is there already
		asm.LoadMapPtr(asm.R1, counts),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, keyAt),
		asm.FnMapLookupElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "add"),
		asm.LoadMapValue(asm.R0, lost, 0), // the map is full
		asm.Mov.Imm(asm.R1, 1).WithSymbol("add"),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	)
	return p
}

// readKey reads the key at csum_start, which counts from head. R6 is the skb, R7 csum_start.
func readKey(at *layout) asm.Instructions {
	p := asm.Instructions{asm.LoadMem(asm.R6, asm.R1, at.argument, asm.DWord)}
	p = append(p, read(headAt, 8, at.head)...)
	p = append(p, read(dataAt, 8, at.data)...)
	p = append(p, read(lenAt, 4, at.len)...)
	p = append(p, read(dataLenAt, 4, at.dataLen)...)
	p = append(p, read(startAt, 2, at.csumStart)...)
	return append(p,
		asm.LoadMem(asm.R1, asm.RFP, dataAt, asm.DWord), // R1 = data - head + len - data_len: where the first part ends
		asm.LoadMem(asm.R2, asm.RFP, headAt, asm.DWord),
		asm.Sub.Reg(asm.R1, asm.R2),
		asm.LoadMem(asm.R3, asm.RFP, lenAt, asm.Word),
		asm.Add.Reg(asm.R1, asm.R3),
		asm.LoadMem(asm.R3, asm.RFP, dataLenAt, asm.Word),
		asm.Sub.Reg(asm.R1, asm.R3),
		asm.LoadMem(asm.R7, asm.RFP, startAt, asm.Half),
		asm.JLT.Imm(asm.R7, 4, "count"),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, 4),
		asm.JGT.Reg(asm.R3, asm.R1, "count"),
		asm.Add.Reg(asm.R2, asm.R7), // head + csum_start - 4
		asm.Sub.Imm(asm.R2, 4),
		asm.Mov.Reg(asm.R3, asm.R2),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, keyAt),
		asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(),
	)
}

// read copies size bytes at an offset of the skb to the stack; zeros where they cannot be read.
func read(to int32, size, offset int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, to),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, asm.R6), asm.Add.Imm(asm.R3, offset),
		asm.FnProbeReadKernel.Call(),
	}
}
