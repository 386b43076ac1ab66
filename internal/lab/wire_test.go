package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/netem"
	"golang.org/x/sys/unix"
)

// newWiredPair is a socket at each end that know their neighbour: what is sent before the kernel keeps back, and
// sends out of order with what follows. The wire numbers from 1 after it.
func newWiredPair(t *testing.T, l *Lab) udpPair {
	t.Helper()
	p := newUDPPair(t, l)
	do(t, l, Sender, func() error { solicit(t, l); return nil })
	if err := l.SetWire(settled(t, l, 2).Config); err != nil {
		t.Fatal(err)
	}
	return p
}

// pass sends n numbered datagrams through a wire and returns the numbers that arrived, in order of arrival.
func (p udpPair) pass(t *testing.T, l *Lab, n int) (arrived []uint64) {
	t.Helper()
	for i := range n {
		if _, err := p.from.Write(binary.BigEndian.AppendUint64(nil, uint64(i+1))); err != nil {
			t.Fatal(err)
		}
		if i%50 < 49 && i < n-1 { // never more at a time than the socket holds
			continue
		}
		for s := settled(t, l, uint64(i+1)); len(arrived) < accepted(s); {
			arrived = append(arrived, p.read(t))
		}
	}
	return arrived
}

// accepted is how many numbered packets the receiver's kernel can't refuse.
func accepted(s netem.Status) int {
	own := s.Forward.Packets - s.Forward.Numbered // the kernel's: neighbours
	return int(s.Forward.Sent - s.Forward.Corrupted - own)
}

// settled waits until so many numbered packets came and none is under way.
func settled(t *testing.T, l *Lab, n uint64) netem.Status {
	t.Helper()
	for range 100_000 {
		s, err := l.WireStatus()
		if err != nil {
			t.Fatal(err)
		}
		if s.Forward.Numbered >= n && s.Forward.Pending == 0 {
			return s
		}
	}
	t.Fatalf("%d packets didn't pass", n)
	return netem.Status{}
}

// sound fails the test if anything was lost that nobody asked to lose.
func sound(t *testing.T, l *Lab) {
	t.Helper()
	s := status(t, l.Name())
	if s.Wire == nil || !s.Wire.Running || s.Wire.Unintended() != 0 {
		t.Errorf("wire: %+v", s.Wire)
	}
}

// TestWireLosesByNumber: exactly the packets that the seed names are missing, and they are those that the loss
// program would drop.
func TestWireLosesByNumber(t *testing.T) {
	const n = 600
	l := newLab(t, "wire", Config{Wire: &netem.Config{Seed: 7, Forward: netem.Impairment{Loss: 5}}})
	p := newWiredPair(t, l)
	want := survivors(7, 5, n)
	if len(want) == n {
		t.Fatal("the seed loses nothing: this test has no power")
	}
	for round := range 2 { // numbered from 1 again when it is set
		if got := p.pass(t, l, n); !slices.Equal(got, want) {
			t.Errorf("round %d: %d packets arrived, want %d others", round, len(got), len(want))
		}
		s := settled(t, l, n)
		if s.Forward.Lost != uint64(n-len(want)) || s.Forward.QueueDropped != 0 {
			t.Errorf("round %d: counted %+v", round, s.Forward)
		}
		if err := l.SetWire(s.Config); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.SetWire(netem.Config{}); err != nil {
		t.Fatal(err)
	}
	if got := p.pass(t, l, n); len(got) != n {
		t.Errorf("%d of %d packets arrived through a wire that does nothing", len(got), n)
	}
	sound(t, l)
}

// TestWireReordersDuplicatesCorrupts: what arrives is what the wire says that it did; the receiver's kernel
// refuses what is corrupt.
func TestWireReordersDuplicatesCorrupts(t *testing.T) {
	const n = 1000
	l := newLab(t, "impair", Config{Wire: &netem.Config{Seed: 3, Forward: netem.Impairment{
		Reorder: 5, Duplicate: 3, Delay: 2 * time.Millisecond, Hold: 3 * time.Millisecond,
	}}})
	p := newWiredPair(t, l)
	got := p.pass(t, l, n)
	s := settled(t, l, n).Forward
	if len(got) != n+int(s.Duplicated) || s.Duplicated == 0 || s.Reordered == 0 || slices.IsSorted(got) {
		t.Errorf("%d arrived, sorted %v; counted %+v", len(got), slices.IsSorted(got), s)
	}
	if slices.Sort(got); len(slices.Compact(got)) != n {
		t.Error("a packet is missing")
	}
	if err := l.SetWire(netem.Config{Seed: 3, Forward: netem.Impairment{Corrupt: 10}}); err != nil {
		t.Fatal(err)
	}
	got = p.pass(t, l, n)
	s = settled(t, l, n).Forward
	if s.Corrupted == 0 || len(got) != n-int(s.Corrupted) || !slices.IsSorted(got) {
		t.Errorf("%d arrived; counted %+v", len(got), s)
	}
	p.to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := p.to.Read(make([]byte, 64)); err == nil {
		t.Error("a corrupt datagram was accepted")
	}
	sound(t, l)
}

// TestWireDelaysAndQueues: no packet is early, and the queue's tail is dropped.
func TestWireDelaysAndQueues(t *testing.T) {
	const delay = 20 * time.Millisecond
	l := newLab(t, "delay", Config{Wire: &netem.Config{Forward: netem.Impairment{Delay: delay}, Reverse: netem.Impairment{Delay: delay}}})
	p := newWiredPair(t, l)
	begin := time.Now()
	p.from.Write(binary.BigEndian.AppendUint64(nil, 1))
	buf := make([]byte, 64)
	n, from, err := p.to.ReadFromUDP(buf)
	if took := time.Since(begin); err != nil || n != 8 || took < delay {
		t.Errorf("one way: %v after %v, want %v at least", err, took, delay)
	}
	p.to.WriteToUDP(buf[:n], from)
	if _, err := p.from.Read(buf); err != nil || time.Since(begin) < 2*delay {
		t.Errorf("there and back: %v after %v, want %v at least", err, time.Since(begin), 2*delay)
	}
	// 64 kbit/s: a datagram of 50 bytes takes 6.25 ms, longer than sending all of them.
	if err := l.SetWire(netem.Config{Forward: netem.Impairment{Rate: 64_000, Queue: 5}}); err != nil {
		t.Fatal(err)
	}
	got := p.pass(t, l, 40)
	s := settled(t, l, 40).Forward
	if s.QueueDropped == 0 || s.QueuePeak != 5 || len(got) != 40-int(s.QueueDropped) || got[0] != 1 {
		t.Errorf("%d arrived; counted %+v", len(got), s)
	}
	sound(t, l)
}

// TestWireIsThere covers what else a lab with a wire is asked: IPv6, neighbours at once, MTU, status, loss.
func TestWireIsThere(t *testing.T) {
	l := newLab(t, "there", Config{MTU: 1280, Wire: &netem.Config{}})
	do(t, l, Sender, func() error { solicit(t, l); return nil })
	if err := l.SetMTU(9000); err != nil {
		t.Fatal(err)
	}
	p := newWiredPair(t, l)
	big := make([]byte, 8900)
	if _, err := p.from.Write(big); err != nil {
		t.Fatal(err)
	}
	if n, err := p.to.Read(big); n != len(big) || err != nil {
		t.Errorf("%d of %d bytes at an MTU of 9000: %v", n, len(big), err)
	}
	s := status(t, l.Name())
	if !s.Complete || s.Wire.Status.Config.Seed == 0 || s.Wire.Namespace != l.Name()+"-w" {
		t.Errorf("status %+v, wire %+v", s, s.Wire)
	}
	if err := l.SetWire(netem.Config{Forward: netem.Impairment{Loss: 101}}); err == nil || !strings.Contains(err.Error(), "choose 0 to 100") {
		t.Errorf("a loss of 101 %%: %v", err)
	}
	sound(t, l)
	plain := newLab(t, "plain", Config{})
	if err := plain.SetWire(netem.Config{}); !errors.Is(err, ErrNoWire) {
		t.Errorf("SetWire without a wire: %v, want ErrNoWire", err)
	}
	if s := status(t, plain.Name()); s.Wire != nil || !s.Complete {
		t.Errorf("a lab without a wire: %+v", s)
	}
}

func TestBadWireIsRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"both a loss program and a wire": {Loss: 1, Wire: &netem.Config{}},
		"jitter of 1s":                   {Wire: &netem.Config{Forward: netem.Impairment{Jitter: time.Second}}},
	} {
		if _, err := Up(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	needsRoot(t)
	name := testName("noprog")
	t.Cleanup(func() { Down(name) })
	for program, want := range map[string]string{"/nonexistent": "no such file", "/bin/false": "doesn't start"} {
		if _, err := Up(t.Context(), Config{Name: name, Program: program, Wire: &netem.Config{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("program %s: %v, want %q", program, err, want)
		}
		if s := status(t, name); s.Exists {
			t.Errorf("after %s: still there", program)
		}
	}
}

// process opens a descriptor of the wire's process.
func process(t *testing.T, l *Lab) int {
	t.Helper()
	s, err := l.WireStatus()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func gone(fd int, within time.Duration) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(within.Milliseconds()))
	return n == 1
}

// TestWireEndsWithItsLab: when it is asked, when it hangs, and when its interfaces are taken away.
func TestWireEndsWithItsLab(t *testing.T) {
	for name, spoil := range map[string]func(*Lab, int) error{
		"asked": func(*Lab, int) error { return nil },
		"hung":  func(_ *Lab, fd int) error { return unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0) },
	} {
		l := newLab(t, name, Config{Wire: &netem.Config{}})
		fd := process(t, l)
		if gone(fd, 0) {
			t.Fatalf("%s: it doesn't run", name)
		}
		if err := spoil(l, fd); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !gone(fd, 0) {
			t.Errorf("%s: its process is still there", name)
		}
		if s := status(t, l.Name()); s.Exists {
			t.Errorf("%s: the lab is still there", name)
		}
	}
	l := newLab(t, "orphan", Config{Wire: &netem.Config{}})
	fd := process(t, l)
	do(t, l, Wire, deleteVeths)
	if !gone(fd, 10*time.Second) {
		t.Error("without its interfaces its process goes on")
	}
	if s := status(t, l.Name()); s.Complete || s.Wire.Running {
		t.Errorf("without its process: %+v", s.Wire)
	}
}

// TestWireOutlivesItsMaker: the program that made the lab may end.
func TestWireOutlivesItsMaker(t *testing.T) {
	needsRoot(t)
	name := testName("orphaned")
	t.Cleanup(func() { Down(name) })
	makeInChild(t, name, "wire")
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := newWiredPair(t, l).pass(t, l, 200), survivors(3, 50, 200); !slices.Equal(got, want) {
		t.Errorf("%d packets arrived, want %d", len(got), len(want))
	}
}

// TestForeignNamespaceBesideALab: NAME-w may be somebody else's where the lab has no wire.
func TestForeignNamespaceBesideALab(t *testing.T) {
	l := newLab(t, "beside", Config{})
	ns := Namespace(l.Name(), Wire)
	if err := createNamespace(ns, "made by somebody else"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeNamespace(ns, "made by somebody else"); err != nil {
			t.Error(err)
		}
	})
	if s := status(t, l.Name()); !s.Complete || s.Wire != nil {
		t.Errorf("status %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Up(t.Context(), Config{Name: l.Name(), Wire: &netem.Config{}}); !errors.Is(err, ErrExists) {
		t.Errorf("a lab with a wire over it: %v, want ErrExists", err)
	}
	if is, err := isNamespace(namespacePath(ns)); !is || err != nil {
		t.Errorf("the foreign namespace is gone (%v)", err)
	}
}

// TestSecondWireIsRefused: two wires would send each frame twice.
func TestSecondWireIsRefused(t *testing.T) {
	l := newLab(t, "second", Config{Wire: &netem.Config{}})
	err := onDyingThread(func() error {
		target, err := openNamespace(Namespace(l.Name(), Wire))
		if err != nil {
			return err
		}
		defer target.Close()
		if err := unix.Setns(int(target), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return netem.Run(context.Background(), wireNear, wireFar, netem.Config{}, func() { t.Error("it runs") })
	})
	if err == nil || !strings.Contains(err.Error(), "a wire runs") {
		t.Errorf("a second wire: %v", err)
	}
	sound(t, l)
}

// TestWireIgnoresNoise: a client that says nothing, or nonsense, stops nothing.
func TestWireIgnoresNoise(t *testing.T) {
	l := newLab(t, "noise", Config{Wire: &netem.Config{}})
	do(t, l, Wire, func() error {
		for _, text := range []string{"", "{", `{"ask":"dance"}`, `{"ask":"set"}`, strings.Repeat("x", 100_000)} {
			conn, err := net.Dial("unix", "@xsend-wire")
			if err != nil {
				return err
			}
			conn.Write([]byte(text + "\n"))
			conn.Close()
		}
		return nil
	})
	sound(t, l)
}

// TestWireKeepsTags: the kernel takes a VLAN tag out of a frame before the wire sees it; the wire puts it back.
func TestWireKeepsTags(t *testing.T) {
	l := newLab(t, "tags", Config{Wire: &netem.Config{}})
	from, to := packetSocket(t, l, Sender), packetSocket(t, l, Receiver)
	const etherType, vlan = 0x88b5, 5 // a type for experiments
	for _, tag := range [][]byte{{0x81, 0x00, 0x20, vlan}, nil} {
		frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, tag...)
		frame = binary.BigEndian.AppendUint16(frame, etherType)
		if _, err := unix.Write(from, append(frame, make([]byte, 46)...)); err != nil {
			t.Fatal(err)
		}
		n, aux := nextFrame(t, to, etherType)
		want := uint32(0)
		if tag != nil {
			want = unix.TP_STATUS_VLAN_VALID
		}
		if aux.Status&unix.TP_STATUS_VLAN_VALID != want || want != 0 && aux.Vlan_tci != 0x2000|vlan || n != 14+46 {
			t.Errorf("tag %x: arrived with %+v, %d bytes", tag, aux, n)
		}
	}
}

// packetSocket sees what an end's interface receives.
func packetSocket(t *testing.T, l *Lab, end string) (fd int) {
	t.Helper()
	do(t, l, end, func() error {
		link, err := linkNamed(l.end(end).Interface)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL << 8 // in network byte order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		timeout := unix.Timeval{Sec: 10}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index}),
		)
	})
	return fd
}

// nextFrame waits for a frame of that type and returns its length and what the kernel says of it.
func nextFrame(t *testing.T, fd int, etherType uint16) (n int, aux unix.TpacketAuxdata) {
	t.Helper()
	b, oob := make([]byte, 2048), make([]byte, 256)
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, b, oob, 0)
		if err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint16(b[12:]) != etherType {
			continue
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(msgs) != 1 {
			t.Fatalf("%d control messages, %v", len(msgs), err)
		}
		if _, err := binary.Decode(msgs[0].Data, binary.NativeEndian, &aux); err != nil {
			t.Fatal(err)
		}
		return n, aux
	}
}

// TestWireOwnsUpToItsLosses: what it can't send is in the counter that makes a measurement void, and it goes on.
func TestWireOwnsUpToItsLosses(t *testing.T) {
	l := newLab(t, "owns", Config{Wire: &netem.Config{}})
	p := newWiredPair(t, l)
	setFar := func(up bool) {
		do(t, l, Wire, func() error {
			link, err := linkNamed(wireFar)
			if err != nil {
				return err
			}
			return setLink(link, up)
		})
	}
	setFar(false)
	if _, err := p.from.Write(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	settled(t, l, 1)
	if s := status(t, l.Name()); !s.Wire.Running || s.Wire.Unintended() == 0 || s.Wire.Status.Forward.SendErrors == 0 {
		t.Errorf("with its interface down: %+v", s.Wire)
	}
	setFar(true)
	if err := l.SetWire(netem.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.from.Write(binary.BigEndian.AppendUint64(nil, 7)); err != nil {
		t.Fatal(err)
	}
	if got := p.read(t); got != 7 {
		t.Errorf("got %d", got)
	}
	if s, err := l.WireStatus(); err != nil || s.Unintended() != 0 {
		t.Errorf("up again: %+v, %v", s, err)
	}
}
