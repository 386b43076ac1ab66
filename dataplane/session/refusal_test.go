package session_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/asavie"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Open refuses with the reason and what to do about it, and leaves nothing behind.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	for name, c := range map[string]struct {
		mtu  int
		cfg  session.Config
		want error
		says string
	}{
		"no such interface":   {cfg: session.Config{Interface: "veth-nowhere"}, want: hw.ErrNoInterface, says: "veth-nowhere"},
		"other interface":     {cfg: session.Config{Interface: "lo"}, want: hw.ErrNotEthernet, says: "lo"},
		"no route":            {cfg: session.Config{Destination: netip.MustParseAddr("192.0.2.1")}, want: hw.ErrNoRoute, says: "192.0.2.1"},
		"no neighbour":        {cfg: session.Config{Destination: netip.MustParseAddr("10.77.0.99"), NeighbourWait: 200 * time.Millisecond}, want: hw.ErrNoNeighbour, says: "10.77.0.99"},
		"own address":         {cfg: session.Config{Destination: netip.MustParseAddr("10.77.0.1")}, want: hw.ErrLocalDestination},
		"no such source":      {cfg: session.Config{Source: netip.MustParseAddr("192.0.2.7")}, want: hw.ErrNoSource, says: "192.0.2.7"},
		"MTU over the chunk":  {mtu: 9000, cfg: session.Config{SG: session.SGOff}, want: session.ErrMTU, says: "leave --sg off out"},
		"MTU over asavie's":   {mtu: 9000, cfg: session.Config{Binding: session.BindingAsavie}, want: session.ErrMTU, says: "ip link set dev veth-a mtu"},
		"MTU over all":        {mtu: 9300, want: session.ErrMTU, says: "ip link set dev veth-a mtu 9216"},
		"MTU over small ones": {mtu: 9000, cfg: session.Config{Chunk: 2048}, want: session.ErrMTU, says: "use a chunk of 4096"},
		"asavie, SG":          {cfg: session.Config{Binding: session.BindingAsavie, SG: session.SGOn}, want: session.ErrConfig, says: "--binding native"},
		"MTU over a small":    {mtu: 3000, cfg: session.Config{Chunk: 2048}, want: session.ErrMTU, says: "use a chunk of 4096"},
		"odd chunk":           {cfg: session.Config{Chunk: 3000}, want: session.ErrConfig, says: "2048 or 4096"},
		"too few frames":      {cfg: session.Config{Frames: 1000}, want: umem.ErrTooSmall, says: "1024 on the fill ring + 256 in reserve + 3"},
		"too many queues":     {cfg: session.Config{Queues: 2}, want: session.ErrConfig, says: "veth-a has 1"},
		"odd ring":            {cfg: session.Config{Ring: 1000}, want: session.ErrConfig, says: "power of two"},
		"huge ring":           {cfg: session.Config{Ring: 1 << 30}, want: session.ErrConfig, says: "65536"},
		"no writers":          {cfg: session.Config{Writers: -1}, want: session.ErrConfig, says: "-1 writers"},
		"VLAN over 4094":      {cfg: session.Config{Tagged: true, VLAN: 4095}, want: session.ErrConfig, says: "VLAN 4095: must be from 0 to 4094"},
		"VLAN, no tag":        {cfg: session.Config{VLAN: 7}, want: session.ErrConfig, says: "VLAN 7 without Tagged"},
		"other binding":       {cfg: session.Config{Binding: "dpdk"}, want: session.ErrConfig, says: "native or asavie"},
		"no such CPU":         {cfg: session.Config{CPU: []int{4000}}, want: session.ErrConfig, says: "CPU 4000"},
		"negative CPU":        {cfg: session.Config{CPU: []int{-1}}, want: session.ErrConfig, says: "CPU -1"},
		"zero-copy on veth":   {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, want: afxdp.ErrNoZeroCopy, says: "use copy mode"},
		"zero-copy, asavie":   {cfg: session.Config{Binding: session.BindingAsavie, Mode: afxdp.ModeZeroCopy}, want: afxdp.ErrNoZeroCopy, says: "use copy mode"},
		"generic, zero-copy":  {cfg: session.Config{Binding: session.BindingAsavie, Mode: afxdp.ModeZeroCopy, Attach: xdpprog.ModeGeneric}, want: afxdp.ErrNoZeroCopy, says: "generic"},
		"asavie over 4 GiB":   {cfg: session.Config{Binding: session.BindingAsavie, Frames: 1 << 21}, want: asavie.ErrUnsupported, says: "4 GiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.mtu == 0 {
				c.mtu = lab.DefaultMTU
			}
			if err := r.lab.SetMTU(c.mtu); err != nil {
				t.Fatal(err)
			}
			s, err := r.tryOpen(c.cfg)
			if err == nil {
				_, _ = s.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v\nwant %v, and %q", err, c.want, c.says)
			}
			t.Log(err)
			if id := r.program(); id != 0 {
				t.Errorf("program %d stayed attached", id)
			}
		})
	}
	if err := r.lab.SetMTU(lab.DefaultMTU); err != nil {
		t.Fatal(err)
	}
	r.works(t)
}

// program is the id of the XDP program on the sender's interface; 0 is none.
func (r *rig) program() (id uint32) {
	r.t.Helper()
	r.at(lab.Sender, func() error {
		l, err := netlink.LinkByName(r.lab.Sender().Interface)
		if err == nil && l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached {
			id = l.Attrs().Xdp.ProgId
		}
		return err
	})
	return id
}

// works sends a little over a new session.
func (r *rig) works(t *testing.T) {
	t.Helper()
	rc := r.receive(nil)
	s := r.open(session.Config{})
	p := payload(7, 100_000)
	if err := write(within(t), dial(t, s, rc.addr), p); err != nil {
		t.Fatal(err)
	}
	if res := <-rc.results; res.SHA256 != sumOf(p) {
		t.Errorf("%+v", res)
	}
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
}

// An interface that is down is refused by name, and works once it is up.
func TestOpenInterfaceDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	if err := r.lab.SetLink(lab.Sender, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tryOpen(session.Config{Interface: "veth-a"}); !errors.Is(err, hw.ErrLinkDown) || !strings.Contains(err.Error(), "ip link set dev veth-a up") {
		t.Errorf("%v", err)
	}
	if err := r.lab.SetLink(lab.Sender, true); err != nil {
		t.Fatal(err)
	}
	if !eventually(patience, func() bool {
		s, err := r.tryOpen(session.Config{Interface: "veth-a"})
		if err == nil {
			_, err = s.Close()
		}
		return err == nil
	}) {
		t.Error("the interface is up again, and is refused")
	}
}

// Somebody else's XDP program stays where it is, and so does ours.
func TestOtherProgramIsNotEvicted(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	other := r.pass(t)
	if err := other.attach(); err != nil {
		t.Fatal(err)
	}
	theirs := r.program()
	_, err := r.tryOpen(session.Config{})
	if !errors.Is(err, xdpprog.ErrBusy) || !strings.Contains(err.Error(), "veth-a") || r.program() != theirs {
		t.Errorf("%v; program %d was attached, %d is", err, theirs, r.program())
	}
	if err := other.link.Close(); err != nil {
		t.Fatal(err)
	}
	if !eventually(patience, func() bool { return r.program() == 0 }) {
		t.Fatal("the other program did not go")
	}
	s := r.open(session.Config{})
	if err := other.attach(); err == nil {
		t.Error("another program could be attached over ours")
	}
	if id := r.program(); id != s.Info().ProgramID {
		t.Errorf("program %d is attached, the session's is %d", id, s.Info().ProgramID)
	}
	if _, err := s.Close(); err != nil {
		t.Error(err)
	}
	r.works(t)
}

// foreign is an XDP program that passes everything.
type foreign struct {
	r    *rig
	prog *ebpf.Program
	link link.Link
}

func (r *rig) pass(t *testing.T) *foreign {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Name: "others", License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 2), asm.Return(), // XDP_PASS
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = prog.Close() })
	return &foreign{r: r, prog: prog}
}

func (f *foreign) attach() error {
	return f.r.lab.Do(lab.Sender, func() error {
		dev, err := net.InterfaceByName("veth-a")
		if err != nil {
			return err
		}
		f.link, err = link.AttachXDP(link.XDPOptions{Program: f.prog, Interface: dev.Index})
		return err
	})
}

// A second session on the interface is refused, and does the first no harm.
func TestSecondSessionIsRefused(t *testing.T) {
	t.Parallel()
	tr := trial{bytes: 8 << 20, dial: unhurried, during: func(r *rig, _ *session.Session) {
		_, err := r.tryOpen(session.Config{})
		if !errors.Is(err, xdpprog.ErrBusy) || !strings.Contains(err.Error(), "veth-a") {
			r.t.Errorf("a second session: %v", err)
		}
		r.t.Log(err)
	}}
	o := tr.run(t)
	o.right(t, tr)
}

// The local port is the connection's as long as it lives, and the host's afterwards.
func TestLocalPort(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln, addr := r.listen()
	go func() {
		for {
			if _, err := ln.Accept(); err != nil {
				return
			}
		}
	}()
	s := r.open(session.Config{})
	c, err := s.Dial(within(t), session.DialConfig{Remote: addr, LocalPort: 4321})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dial(within(t), session.DialConfig{Remote: addr, LocalPort: 4321}); !errors.Is(err, hw.ErrPortInUse) || !strings.Contains(err.Error(), "4321") {
		t.Errorf("a second connection: %v", err)
	}
	if err := r.bind(4321); err == nil {
		t.Error("the host could take the port")
	}
	if err := c.Abort(within(t)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	if !eventually(patience, func() bool { return r.bind(4321) == nil && s.Dialled() == 0 }) {
		t.Error("the connection was reset and closed, and the port is not free")
	}
	d, err := s.Dial(within(t), session.DialConfig{Remote: addr, LocalPort: 4321})
	if err != nil {
		t.Fatal(err)
	}
	_ = d
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
	if err := r.bind(4321); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// bind tries whether a port of the sender's is free.
func (r *rig) bind(port int) error {
	return r.lab.Do(lab.Sender, func() error {
		ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: r.lab.Sender().IPv4.Addr().AsSlice(), Port: port})
		if err == nil {
			err = ln.Close()
		}
		return err
	})
}
