package session_test

import (
	"math/bits"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/internal/lab"
)

// limitWindow bounds the window that the receiver offers, in bytes, over IPv4. The
// route's metric does so in the handshake and keeps window scaling out; later Linux
// lets the window grow whatever the metric says, so that a program on the way out
// writes the bound into every segment.
func (r *rig) limitWindow(n int) {
	r.t.Helper()
	r.at(lab.Receiver, func() error {
		dev, err := netlink.LinkByName(r.lab.Receiver().Interface)
		if err != nil {
			return err
		}
		routes, err := netlink.RouteList(dev, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, route := range routes {
			route.Window = n
			if err := netlink.RouteReplace(&route); err != nil {
				return err
			}
		}
		return r.clamp(dev.Attrs().Index, uint16(n))
	})
}

// clamp attaches the program for the time of the test.
func (r *rig) clamp(index int, window uint16) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: clampWindow(window), License: "GPL"})
	if err != nil {
		return err
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXEgress})
	if err != nil {
		return err
	}
	r.t.Cleanup(func() { _, _ = l.Close(), prog.Close() })
	return nil
}

// clampWindow makes the window of TCP over IPv4 without options the lesser of itself
// and n.
func clampWindow(n uint16) asm.Instructions {
	const (
		etherType = 12
		protocol  = 14 + 9
		window    = 14 + 20 + 14
		checksum  = 14 + 20 + 16
	)
	wire := int32(bits.ReverseBytes16(n)) // LoadAbs is the only one here that turns bytes round
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(etherType, asm.Half),
		asm.JNE.Imm(asm.R0, 0x0800, "pass"),
		asm.LoadAbs(protocol, asm.Byte),
		asm.JNE.Imm(asm.R0, 6, "pass"),
		asm.LoadAbs(window, asm.Half),
		asm.JLE.Imm(asm.R0, int32(n), "pass"),
		asm.Mov.Reg(asm.R3, asm.R0),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.StoreImm(asm.RFP, -8, int64(wire), asm.Half),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, checksum),
		asm.Mov.Imm(asm.R4, wire),
		asm.Mov.Imm(asm.R5, 2),
		asm.FnL4CsumReplace.Call(),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, window),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 2),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("pass"),
		asm.Return(),
	}
}
