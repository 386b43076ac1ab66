package porttest

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// xdpDrop and xdpPass are enum xdp_action.
const (
	xdpDrop = 1
	xdpPass = 2
)

// Redirect attaches a program to the end that hands every test frame (EtherType)
// to the socket of its queue in the XSKMAP that it returns, and all else to the
// kernel.
func (e *End) Redirect(t testing.TB, mode link.XDPAttachFlags) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 64})
	must(t, err)
	t.Cleanup(func() { _ = m.Close() })
	e.attach(t, mode, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, etherLen),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R4, asm.Half),
		asm.JNE.Imm(asm.R4, EtherType, "pass"),
		asm.LoadMem(asm.R2, asm.R1, 16, asm.Word), // rx_queue_index
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	})
	return m
}

// Drop attaches a program to the end that drops everything.
func (e *End) Drop(t testing.TB) {
	t.Helper()
	e.attach(t, link.XDPDriverMode, asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()})
}

func (e *End) attach(t testing.TB, mode link.XDPAttachFlags, ins asm.Instructions) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: ins, License: "BSD"})
	must(t, err)
	t.Cleanup(func() { _ = prog.Close() })
	e.Do(t, func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: e.Index, Flags: mode})
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		return err
	})
}
