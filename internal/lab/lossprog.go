package lab

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
)

// Names by which a later process recognises program and maps (at most 15 bytes).
const (
	lossProgramName  = "xsend_loss"
	lossRuleName     = "xsend_loss_rule"
	lossCountersName = "xsend_loss_cnt"
)

// kernelRule is the value of the rule map. Only the program writes Sequence, the packets judged so far
// under this rule; an update sets it to zero.
type kernelRule struct {
	Kind      uint64
	Threshold uint64 // a draw of 32 bits below it drops the packet; 1<<32 and above drop everything
	Param     uint64 // the seed, or n of every n-th
	PPM       uint64 // what Threshold was made from, for Status
	Sequence  uint64
}

// Values of kernelRule.Kind.
const (
	lossRandom = iota
	lossSeeded
	lossEvery
)

// Offsets of the members of kernelRule and LossCounters in their maps.
const (
	offKind, offThreshold, offParam, offSequence = 0, 8, 16, 32

	offDropped, offPassed, offExempt = 0, 8, 16
)

// Frames that a rule below 100 % leaves alone, so that neighbours stay known and the count of packets
// doesn't depend on the kernel's own chatter.
const (
	etherTypeARP  = 0x0806
	etherTypeVLAN = 0x8100
	etherTypeIPv6 = 0x86dd

	protocolHopByHop = 0  // how multicast listener reports start
	protocolICMPv6   = 58 // neighbour discovery

	vlanTagLen    = 4
	offEtherType  = 12
	offNextHeader = 14 + 6
)

const (
	xdpDrop = 1
	xdpPass = 2
)

// Constants of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
const (
	splitMixGamma = 0x9e3779b97f4a7c15
	splitMixA     = 0xbf58476d1ce4e5b9
	splitMixB     = 0x94d049bb133111eb
)

// newLossProgram loads the program with its rule already in force. The maps live as long as the program does.
func newLossProgram(rule kernelRule) (*ebpf.Program, error) {
	// Only needed, and only done, on kernels that charge BPF memory to the memlock limit (before 5.11).
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the memlock limit for the loss program: %w", err)
	}
	rules, err := newSingleValueMap(lossRuleName, 40)
	if err != nil {
		return nil, err
	}
	defer rules.Close()
	counters, err := newSingleValueMap(lossCountersName, 24)
	if err != nil {
		return nil, err
	}
	defer counters.Close()
	if err := rules.Put(uint32(0), rule); err != nil {
		return nil, fmt.Errorf("set the loss rule: %w", err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         lossProgramName,
		Type:         ebpf.XDP,
		License:      "GPL",
		Instructions: lossInstructions(rules.FD(), counters.FD()),
	})
	if err != nil {
		return nil, fmt.Errorf("load the loss program: %w", needRoot(err))
	}
	return prog, nil
}

func newSingleValueMap(name string, size uint32) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make the map %s: %w", name, needRoot(err))
	}
	return m, nil
}

// lossInstructions is the program. R7 says whether the frame is exempt, R8 points to the rule, R9 is the
// threshold.
func lossInstructions(rules, counters int) asm.Instructions {
	var p asm.Instructions
	p = append(p, classifyFrame()...)
	p = append(p,
		asm.LoadMapValue(asm.R8, rules, 0).WithSymbol("judge"),
		asm.LoadMem(asm.R9, asm.R8, offThreshold, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.RSh.Imm(asm.R1, 32),
		asm.JNE.Imm(asm.R1, 0, "drop"), // 100 %: a cut cable, for exempt frames too
		asm.JNE.Imm(asm.R7, 0, "exempt"),
		asm.LoadMem(asm.R1, asm.R8, offKind, asm.DWord),
		asm.JEq.Imm(asm.R1, lossSeeded, "seeded"),
		asm.JEq.Imm(asm.R1, lossEvery, "every"),
		asm.FnGetPrandomU32.Call(),
		asm.LSh.Imm(asm.R0, 32),
		asm.RSh.Imm(asm.R0, 32),
		asm.JLT.Reg(asm.R0, asm.R9, "drop"),
		asm.Ja.Label("pass"),
	)
	p = append(p, drawSeeded()...)
	p = append(p, drawEvery()...)
	p = append(p, verdict("drop", counters, offDropped, xdpDrop)...)
	p = append(p, verdict("pass", counters, offPassed, xdpPass)...)
	return append(p, verdict("exempt", counters, offExempt, xdpPass)...)
}

// classifyFrame sets R7 to 1 for ARP, ICMPv6 and IPv6 with hop-by-hop options, behind a VLAN tag too. A frame
// too short to tell is judged like any other.
func classifyFrame() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R7, 0),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // xdp_md.data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, offNextHeader+1),
		asm.JGT.Reg(asm.R4, asm.R3, "judge"),
		asm.LoadMem(asm.R5, asm.R2, offEtherType, asm.Half),
		asm.HostTo(asm.BE, asm.R5, asm.Half),
		asm.JNE.Imm(asm.R5, etherTypeVLAN, "type"),
		asm.Add.Imm(asm.R2, vlanTagLen),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, offNextHeader+1),
		asm.JGT.Reg(asm.R4, asm.R3, "judge"),
		asm.LoadMem(asm.R5, asm.R2, offEtherType, asm.Half),
		asm.HostTo(asm.BE, asm.R5, asm.Half),
		asm.JEq.Imm(asm.R5, etherTypeARP, "spare").WithSymbol("type"),
		asm.JNE.Imm(asm.R5, etherTypeIPv6, "judge"),
		asm.LoadMem(asm.R5, asm.R2, offNextHeader, asm.Byte),
		asm.JEq.Imm(asm.R5, protocolICMPv6, "spare"),
		asm.JNE.Imm(asm.R5, protocolHopByHop, "judge"),
		asm.Mov.Imm(asm.R7, 1).WithSymbol("spare"),
	}
}

// nextSequence leaves this packet's number, from 1, in R1.
func nextSequence(symbol string) asm.Instructions {
	fetchAdd := asm.FetchAdd.Mem(asm.R8, asm.R1, asm.DWord, offSequence)
	// cilium/ebpf v0.22.0 writes the immediate before it works out the operation that belongs there, and
	// so turns every fetching atomic into a plain addition. With the constant set (BPF_FETCH) it is right.
	fetchAdd.Constant = int64(asm.FetchAdd >> 8)
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, 1).WithSymbol(symbol),
		fetchAdd,
		asm.Add.Imm(asm.R1, 1),
	}
}

// drawSeeded drops packet n if the upper half of SplitMix64's n-th output for the seed is below the threshold.
func drawSeeded() asm.Instructions {
	p := append(nextSequence("seeded"),
		asm.LoadImm(asm.R2, splitMixGamma-1<<64, asm.DWord),
		asm.Mul.Reg(asm.R1, asm.R2),
		asm.LoadMem(asm.R2, asm.R8, offParam, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R2),
	)
	p = append(p, xorShift(30)...)
	p = append(p, asm.LoadImm(asm.R2, splitMixA-1<<64, asm.DWord), asm.Mul.Reg(asm.R1, asm.R2))
	p = append(p, xorShift(27)...)
	p = append(p, asm.LoadImm(asm.R2, splitMixB-1<<64, asm.DWord), asm.Mul.Reg(asm.R1, asm.R2))
	p = append(p, xorShift(31)...)
	return append(p,
		asm.RSh.Imm(asm.R1, 32),
		asm.JLT.Reg(asm.R1, asm.R9, "drop"),
		asm.Ja.Label("pass"),
	)
}

// xorShift is R1 ^= R1 >> n.
func xorShift(n int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Reg(asm.R2, asm.R1), asm.RSh.Imm(asm.R2, n), asm.Xor.Reg(asm.R1, asm.R2)}
}

// drawEvery drops packets n, 2n, 3n, …
func drawEvery() asm.Instructions {
	return append(nextSequence("every"),
		asm.LoadMem(asm.R2, asm.R8, offParam, asm.DWord),
		asm.Mod.Reg(asm.R1, asm.R2),
		asm.JEq.Imm(asm.R1, 0, "drop"),
		asm.Ja.Label("pass"),
	)
}

// verdict counts the packet and ends the program.
func verdict(symbol string, counters int, offset int16, action int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapValue(asm.R1, counters, 0).WithSymbol(symbol),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, offset),
		asm.Mov.Imm(asm.R0, action),
		asm.Return(),
	}
}
