package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// udpPair is a socket at each end.
type udpPair struct {
	from *net.UDPConn
	to   *net.UDPConn
}

func newUDPPair(t *testing.T, l *Lab) udpPair {
	t.Helper()
	var p udpPair
	do(t, l, Receiver, func() (err error) {
		p.to, err = net.ListenUDP("udp4", &net.UDPAddr{IP: l.Receiver().IPv4.Addr().AsSlice()})
		return err
	})
	do(t, l, Sender, func() (err error) {
		p.from, err = net.DialUDP("udp4", nil, p.to.LocalAddr().(*net.UDPAddr))
		return err
	})
	t.Cleanup(func() { p.from.Close(); p.to.Close() })
	return p
}

// exchange sends packets numbered 1 to n, as many at a time as the socket surely holds, and returns the
// numbers that arrived. On veth a packet that isn't dropped is in the receiver's socket, once the
// receiver's softirq ran; the counters say when all have been judged.
func (p udpPair) exchange(t *testing.T, l *Lab, n int) []uint64 {
	t.Helper()
	const batch = 100
	var arrived []uint64
	for sent := 0; sent < n; {
		before := counters(t, l)
		burst := min(batch, n-sent)
		for range burst {
			sent++
			if _, err := p.from.Write(binary.BigEndian.AppendUint64(nil, uint64(sent))); err != nil {
				t.Fatal(err)
			}
		}
		passed := awaitJudged(t, l, before, uint64(burst))
		for range passed {
			arrived = append(arrived, p.read(t))
		}
	}
	return arrived
}

// awaitJudged waits until burst more packets were judged and returns how many of them passed.
func awaitJudged(t *testing.T, l *Lab, before LossCounters, burst uint64) uint64 {
	t.Helper()
	for range 100_000 {
		now := counters(t, l)
		if now.Dropped+now.Passed-before.Dropped-before.Passed >= burst {
			return now.Passed - before.Passed
		}
	}
	t.Fatalf("%d packets were not judged: %+v", burst, counters(t, l))
	return 0
}

func (p udpPair) read(t *testing.T) uint64 {
	t.Helper()
	b := make([]byte, 64)
	n, err := p.to.Read(b)
	if err != nil || n != 8 {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return binary.BigEndian.Uint64(b)
}

func counters(t *testing.T, l *Lab) LossCounters {
	t.Helper()
	c, err := l.LossCounters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func setRule(t *testing.T, l *Lab, r LossRule) {
	t.Helper()
	if err := l.SetLossRule(r); err != nil {
		t.Fatal(err)
	}
}

func TestLossRates(t *testing.T) {
	l := newLab(t, "rate", Config{Loss: 5})
	p := newUDPPair(t, l)
	const n = 20_000
	if got := len(p.exchange(t, l, n)); got < n*94/100 || got > n*96/100 {
		t.Errorf("at 5 %%: %d of %d arrived", got, n)
	}
	if c := counters(t, l); c.Dropped+c.Passed != n {
		t.Errorf("counters %+v, want a sum of %d", c, n)
	}
	if err := l.SetLoss(0); err != nil {
		t.Fatal(err)
	}
	if got := len(p.exchange(t, l, 2000)); got != 2000 {
		t.Errorf("at 0 %%: %d of 2000 arrived", got)
	}
	if err := l.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	if got := len(p.exchange(t, l, 100)); got != 0 {
		t.Errorf("at 100 %%: %d of 100 arrived", got)
	}
}

func TestLossEveryNth(t *testing.T) {
	l := newLab(t, "nth", Config{})
	if c := counters(t, l); c != (LossCounters{}) {
		t.Errorf("without loss: %+v", c)
	}
	setRule(t, l, LossRule{Every: 7})
	for i, n := range newUDPPair(t, l).exchange(t, l, 700) {
		if want := uint64(i + i/6 + 1); n != want { // 6 of 7 arrive
			t.Fatalf("arrival %d is packet %d, want %d", i, n, want)
		}
	}
	if c := counters(t, l); c.Dropped != 100 || c.Passed != 600 {
		t.Errorf("counters %+v", c)
	}
}

// TestLossSeeded computes in Go what the program must do, and starts it anew with the same seed.
func TestLossSeeded(t *testing.T) {
	const seed, n = 42, 3000
	l := newLab(t, "seed", Config{Loss: 10, LossSeed: seed})
	p := newUDPPair(t, l)
	want := survivors(seed, 10, n)
	if got := p.exchange(t, l, n); !slices.Equal(got, want) {
		t.Errorf("%d packets arrived, want exactly the %d that the seed lets pass", len(got), len(want))
	}
	if err := l.SetLoss(10); err != nil { // keeps the seed
		t.Fatal(err)
	}
	if got := p.exchange(t, l, n); !slices.Equal(got, want) {
		t.Error("the second run of the same seed differs")
	}
	if slices.Equal(want, survivors(seed+1, 10, n)) {
		t.Error("two seeds give the same packets: this test has no power")
	}
}

func survivors(seed uint64, percent float64, n uint64) []uint64 {
	var all []uint64
	for i := uint64(1); i <= n; i++ {
		if float64(splitMix64(seed, i)>>32) >= percent/100*(1<<32) {
			all = append(all, i)
		}
	}
	return all
}

func splitMix64(seed, n uint64) uint64 {
	z := seed + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// TestLossSparesNeighbours resolves both neighbours anew while every judged packet would be dropped.
func TestLossSparesNeighbours(t *testing.T) {
	l := newLab(t, "arp", Config{})
	setRule(t, l, LossRule{Percent: 99.9999})
	do(t, l, Sender, func() error { solicit(t, l); return nil })
	if c := counters(t, l); c.Exempt < 2 {
		t.Errorf("counters %+v, want ARP and neighbour discovery exempt", c)
	}
}

// solicit makes the kernel ask for the receiver's IPv4 and IPv6 neighbour and waits for the answers.
func solicit(t *testing.T, l *Lab) {
	t.Helper()
	for _, ip := range []net.IP{l.Receiver().IPv4.Addr().AsSlice(), l.Receiver().IPv6.Addr().AsSlice()} {
		c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: ip, Port: 9})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		awaitNeighbour(t, ip)
	}
}

func awaitNeighbour(t *testing.T, ip net.IP) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(n netlink.Neigh) bool { return n.IP.Equal(ip) && n.HardwareAddr != nil }) {
			return
		}
	}
	t.Errorf("no neighbour for %v", ip)
}

func TestLossRefusesAnotherProgram(t *testing.T) {
	l := newLab(t, "other", Config{})
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "theirs", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	do(t, l, Receiver, func() error {
		link, err := netlink.LinkByName(l.Receiver().Interface)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), unix.XDP_FLAGS_SKB_MODE)
	})
	if err := l.SetLoss(1); !errors.Is(err, ErrOtherProgram) {
		t.Errorf("SetLoss: %v, want ErrOtherProgram", err)
	}
}

// TestLossProgramOnOddFrames runs the program in the kernel on frames that no sender of ours makes.
func TestLossProgramOnOddFrames(t *testing.T) {
	needsRoot(t)
	drop1st, _ := LossRule{Every: 1}.encode()
	cut, _ := LossRule{Percent: 100}.encode()
	for _, c := range []struct {
		name  string
		rule  kernelRule
		frame []byte
		want  uint32
	}{
		{"shortest", drop1st, frame(0x0806, 14), xdpDrop}, // too short to be told from others
		{"arp", drop1st, frame(0x0806, 60), xdpPass},
		{"ipv4", drop1st, frame(0x0800, 60), xdpDrop},
		{"shortest with a tag", drop1st, tagged(frame(0x0806, 17)), xdpDrop},
		{"tagged arp", drop1st, tagged(frame(0x0806, 60)), xdpPass},
		{"tagged ipv4", drop1st, tagged(frame(0x0800, 60)), xdpDrop},
		{"tagged ipv6 tcp", drop1st, tagged(ipv6Frame(6)), xdpDrop},
		{"tagged icmpv6", drop1st, tagged(ipv6Frame(58)), xdpPass},
		{"two tags", drop1st, tagged(tagged(frame(0x0806, 60))), xdpDrop},
		{"ipv6 tcp", drop1st, ipv6Frame(6), xdpDrop},
		{"icmpv6", drop1st, ipv6Frame(58), xdpPass},
		{"ipv6 hop by hop", drop1st, ipv6Frame(0), xdpPass},
		{"arp through a cut cable", cut, frame(0x0806, 60), xdpDrop},
		{"ipv4 without loss", kernelRule{}, frame(0x0800, 60), xdpPass},
	} {
		prog, err := newLossProgram(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := prog.Test(c.frame)
		prog.Close()
		if err != nil || got != c.want {
			t.Errorf("%s: verdict %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}

func frame(etherType uint16, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint16(b[offEtherType:], etherType)
	return b
}

// tagged is a frame with an 802.1Q tag in front of its EtherType.
func tagged(b []byte) []byte {
	return slices.Concat(b[:offEtherType], []byte{0x81, 0, 0, 7}, b[offEtherType:])
}

func ipv6Frame(next byte) []byte {
	b := frame(etherTypeIPv6, 60)
	b[offNextHeader] = next
	return b
}

func TestLossRuleEncodes(t *testing.T) {
	for _, r := range []LossRule{{}, {Percent: 1}, {Percent: 0.0001, Seed: 3}, {Percent: 100}, {Every: 9}} {
		k, err := r.encode()
		if err != nil || k.decode() != r {
			t.Errorf("%+v became %+v (%v)", r, k.decode(), err)
		}
	}
	for _, r := range []LossRule{{Percent: math.NaN()}, {Percent: -0.1}, {Percent: 100.1}, {Percent: 1, Every: 2}, {Seed: 1, Every: 2}} {
		if _, err := r.encode(); err == nil {
			t.Errorf("accepted: %+v", r)
		}
	}
}

func ExampleLossRule() {
	k, err := LossRule{Percent: 1, Seed: 7}.encode()
	fmt.Println(k.Threshold, k.PPM, err)
	// Output: 42949672 10000 <nil>
}
