package sumprobe

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// standIn is what the program reads of an skb, in memory of ours.
type standIn struct {
	head, data   *byte
	len, dataLen uint32
	csumStart    uint16
	_            [6]byte
	behind       [64]byte
}

// called is where the test's uprobe is, in place of skb_checksum_help.
//
//go:noinline
func called(skb *standIn) { runtime.KeepAlive(skb) }

// goArguments is where struct pt_regs keeps the first argument of a function of Go: rax of x86, x0 of arm64.
var goArguments = map[string]int16{"amd64": 80, "arm64": 0}

// fileOffset is where a function lies in the file of the running program.
func fileOffset(t *testing.T, function any) uint64 {
	t.Helper()
	at := uint64(reflect.ValueOf(function).Pointer())
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to, offset uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s %x", &from, &to, &mode, &offset); err == nil && from <= at && at < to && strings.Contains(mode, "x") {
			return at - from + offset
		}
	}
	t.Fatal("the function is not in /proc/self/maps")
	return 0
}

// programOn loads the program for the stand-in, reading memory of ours and not of the kernel, and puts it where called is.
func programOn(t *testing.T, at *layout) *Probe {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: loads a program and attaches a uprobe")
	}
	if _, known := goArguments[runtime.GOARCH]; !known {
		t.Skipf("needs amd64 or arm64: where %s passes arguments is not known", runtime.GOARCH)
	}
	p := &Probe{attributes: at != nil}
	t.Cleanup(func() { _ = p.Close() })
	var err error
	if p.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4}); err != nil {
		t.Fatal(err)
	}
	if p.lost, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		t.Fatal(err)
	}
	code := instructions(p.counts.FD(), p.lost.FD(), at)
	for i := range code {
		if code[i].IsBuiltinCall() && code[i].Constant == int64(asm.FnProbeReadKernel) {
			code[i].Constant = int64(asm.FnProbeReadUser)
		}
	}
	if p.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Kprobe, License: "GPL", Instructions: code}); err != nil {
		t.Fatal(err)
	}
	self, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	p.link, err = self.Uprobe("", p.prog, &link.UprobeOptions{Address: fileOffset(t, called), PID: os.Getpid()})
	if err != nil {
		t.Skipf("needs uprobes: %v", err)
	}
	return p
}

// standInLayout is that of standIn.
func standInLayout() *layout {
	offset := func(name string) int32 {
		f, _ := reflect.TypeFor[standIn]().FieldByName(name)
		return int32(f.Offset)
	}
	return &layout{
		argument: goArguments[runtime.GOARCH],
		head:     offset("head"), data: offset("data"), len: offset("len"), dataLen: offset("dataLen"), csumStart: offset("csumStart"),
	}
}

// skbOf is a packet of a flow, its transport header at 40 from head, and linear bytes of it from 12 on.
func skbOf(f Flow, linear int) *standIn {
	s := &standIn{}
	s.head, s.data = &s.behind[0], &s.behind[12]
	s.len, s.dataLen, s.csumStart = uint32(linear)+100, 100, 40
	addr := f.Remote.Addr().As4()
	copy(s.behind[36:], addr[:])
	binary.BigEndian.PutUint16(s.behind[40:], f.Local)
	binary.BigEndian.PutUint16(s.behind[42:], f.Remote.Port())
	return s
}

// The program tells flows apart by address and both ports, and does not take a header that is not there
// for one.
func TestProgramCounts(t *testing.T) {
	ours := Flow{Local: 40000, Remote: netip.MustParseAddrPort("10.0.0.2:5001")}
	for name, c := range map[string]struct {
		at   *layout
		skb  *standIn
		want Calls
	}{
		"ours":                {standInLayout(), skbOf(ours, 60), Calls{Flow: 1}},
		"from another port":   {standInLayout(), skbOf(Flow{40001, ours.Remote}, 60), Calls{}},
		"to another port":     {standInLayout(), skbOf(Flow{40000, netip.MustParseAddrPort("10.0.0.2:5002")}, 60), Calls{}},
		"to another address":  {standInLayout(), skbOf(Flow{40000, netip.MustParseAddrPort("10.0.0.3:5001")}, 60), Calls{}},
		"the answer":          {standInLayout(), skbOf(Flow{5001, netip.MustParseAddrPort("10.0.0.2:40000")}, 60), Calls{}},
		"ports just there":    {standInLayout(), skbOf(ours, 32), Calls{Flow: 1}},
		"ports in a fragment": {standInLayout(), skbOf(ours, 31), Calls{Unknown: 1}},
		"no linear part":      {standInLayout(), skbOf(ours, 0), Calls{Unknown: 1}},
		"unknown layout":      {nil, skbOf(ours, 60), Calls{Unknown: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := programOn(t, c.at)
			called(c.skb)
			if got, err := p.Calls(ours); err != nil || got != c.want {
				t.Errorf("%+v, want %+v: %v", got, c.want, err)
			}
		})
	}
}

// More flows than there is room for: none is lost without a word, and a flow that is there goes on.
func TestProgramCountsMoreThanItKnows(t *testing.T) {
	p := programOn(t, standInLayout())
	flow := func(i int) Flow { return Flow{uint16(1000 + i), netip.MustParseAddrPort("10.0.0.2:5001")} }
	const calls, rounds = 7, 3 // the map has room for 4
	for range rounds {
		for i := range calls {
			called(skbOf(flow(i), 60))
		}
	}
	known := uint64(0)
	for i := range calls {
		c, err := p.Calls(flow(i))
		if err != nil || c.Flow != 0 && c.Flow != rounds || c.Unknown == 0 {
			t.Errorf("flow %d: %+v, %v", i, c, err)
		}
		known += c.Flow
	}
	if c, _ := p.Calls(flow(0)); known+c.Unknown != calls*rounds || known < rounds {
		t.Errorf("%d known and %d unknown of %d", known, c.Unknown, calls*rounds)
	}
}

// Members are found in unions and structs without a name, and an skb that lacks one is an error.
func TestLayout(t *testing.T) {
	number := &btf.Int{Size: 4}
	inner := &btf.Struct{Members: []btf.Member{{Name: "ip_summed", Type: number}, {Name: "csum_start", Type: number, Offset: 32}}}
	skb := &btf.Struct{Members: []btf.Member{
		{Name: "len", Type: number, Offset: 8 * 8}, {Name: "data_len", Type: number, Offset: 12 * 8},
		{Type: &btf.Union{Members: []btf.Member{{Name: "other", Type: number}, {Type: inner}}}, Offset: 16 * 8},
		{Name: "headers", Type: inner, Offset: 16 * 8},
		{Name: "head", Type: number, Offset: 32 * 8}, {Name: "data", Type: number, Offset: 40 * 8},
	}}
	at, err := layoutOf(skb, 112)
	if want := (layout{argument: 112, head: 32, data: 40, len: 8, dataLen: 12, csumStart: 20}); err != nil || *at != want {
		t.Errorf("%+v, want %+v: %v", at, want, err)
	}
	inner.Members = inner.Members[:1]
	if at, err := layoutOf(skb, 112); err == nil || !strings.Contains(err.Error(), "no csum_start") {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := readLayout(); err != nil {
		t.Skipf("needs the kernel's types: %v", err)
	}
}
