package dataplane

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// fragNeeded is a router's ICMP error about a packet: the next link carries packets of
// mtu bytes (https://www.rfc-editor.org/rfc/rfc1191#section-4).
func fragNeeded(packet []byte, mtu uint16) []byte {
	const ether, ip4, icmp, quoted = 14, 20, 8, 28
	b := make([]byte, ether+ip4+icmp+quoted)
	b[12] = 8
	ip, body := b[ether:], b[ether+ip4:]
	ip[0], ip[3], ip[8], ip[9] = 0x45, ip4+icmp+quoted, 64, 1
	copy(ip[12:], []byte{192, 0, 2, 1})
	copy(ip[16:20], packet[ether+12:]) // back to its sender
	binary.BigEndian.PutUint16(ip[10:], ^wire.Fold(wire.Sum(ip[:ip4], 0)))
	body[0], body[1] = 3, 4
	binary.BigEndian.PutUint16(body[6:], mtu)
	copy(body[icmp:], packet[ether:ether+quoted])
	binary.BigEndian.PutUint16(body[2:], ^wire.Fold(wire.Sum(body, 0)))
	return b
}

// oneOut is a rig with a stream whose commits the NIC has read and not completed: the
// packets are returned.
func oneOut(t *testing.T, edit func(*Config)) (*rig, *source, [][]byte) {
	t.Helper()
	g := newRig(t, 64, edit)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.port.hold = true
	g.commits(c, 2)
	g.pass()
	var packets [][]byte
	for _, d := range g.port.held {
		packets = append(packets, bytes.Clone(g.region.Memory()[d.Addr:d.Addr+uint64(d.Len)]))
	}
	return g, c, packets
}

// home lets the NIC go on, and sees everything come back.
func (g *rig) home(sources ...*source) {
	g.Helper()
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.transfer(sources...)
	g.finish()
}

// TestICMPReachesItsConnection: a path that carries less is known at once, and what was
// too long is sent again in that Step. What is wrong with an error is counted.
func TestICMPReachesItsConnection(t *testing.T) {
	g, c, packets := oneOut(t, nil)
	g.port.noWire = true // they were too long
	g.port.finish(2)
	g.pass()
	g.port.noWire, g.port.hold = false, false
	before := g.p.CountersNow()
	for name, spoil := range map[string]func([]byte) []byte{
		"checksum":     func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut short":    func(b []byte) []byte { return b[:len(b)-9] },
		"another port": func(b []byte) []byte { return fragNeeded(withPort(packets[0], 9), 1000) },
		"UDP":          func(b []byte) []byte { b[14+9] = 17; return b },
	} {
		bad := spoil(fragNeeded(packets[0], 1000))
		if name == "UDP" {
			binary.BigEndian.PutUint16(bad[14+10:], 0)
			binary.BigEndian.PutUint16(bad[14+10:], ^wire.Fold(wire.Sum(bad[14:34], 0)))
		}
		g.port.deliver(bad)
	}
	g.pass()
	k := g.p.CountersNow()
	if k.RxICMP != before.RxICMP || k.RxChecksum != before.RxChecksum+1 || k.RxBad != before.RxBad+1 ||
		k.RxUnknown != before.RxUnknown+1 || k.RxOther != before.RxOther+1 || k.RxFault != 0 {
		t.Errorf("%+v", k)
	}
	if c.s.MSS() != 1460 {
		t.Fatalf("MSS %d: one of them was believed", c.s.MSS())
	}
	g.port.deliver(fragNeeded(packets[0], 1000))
	g.now += tcp.Microsecond
	n := g.pass()
	if k := g.p.CountersNow(); k.RxICMP != before.RxICMP+1 || c.s.MSS() != 960 || k.RxTCP != k.RxPackets-5 {
		t.Errorf("MSS %d: %+v", c.s.MSS(), k)
	}
	if sent := g.p.CountersNow().Submitted - before.Submitted; n != 1+int(sent) {
		t.Errorf("work of %d, sent %d", n, sent)
	}
	g.home(c)
}

// withPort is the packet with another source port.
func withPort(packet []byte, port uint16) []byte {
	b := bytes.Clone(packet)
	binary.BigEndian.PutUint16(b[34:], port)
	return b
}

// TestICMPOnAnotherQueue reaches its connection too.
func TestICMPOnAnotherQueue(t *testing.T) {
	d := new(Directory)
	g, c, packets := oneOut(t, func(cfg *Config) { cfg.Directory = d })
	other := newRig(t, 64, func(cfg *Config) { cfg.Directory = d })
	other.port.deliver(fragNeeded(packets[0], 1000))
	if n := other.pass(); n != 1 {
		t.Errorf("work of %d there, want the packet", n)
	}
	if n := g.pass(); n != 1 {
		t.Errorf("work of %d here, want what the other handed on", n)
	}
	if k := g.p.CountersNow(); k.RxOtherQueue != 1 || k.RxICMP != 1 || c.s.MSS() != 960 {
		t.Errorf("MSS %d: %+v", c.s.MSS(), k)
	}
	g.home(c)
	other.finish()
}

// TestChecksumIsVerified, unless the configuration trusts what arrives.
func TestChecksumIsVerified(t *testing.T) {
	for _, trust := range []bool{false, true} {
		g := newRig(t, 64, func(c *Config) { c.TrustRX = trust })
		w := g.writer(0)
		s := g.open(w)
		g.idle()
		send := g.peer.send
		g.peer.send = func(b []byte) { b[len(b)-1] ^= 1; send(b) } // in the urgent pointer
		before := g.p.CountersNow()
		r := g.peer.flows[s.flow]
		g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
		g.pass()
		k := g.p.CountersNow()
		if dropped := k.RxChecksum == before.RxChecksum+1; dropped == trust || (k.RxTCP == before.RxTCP+1) != trust {
			t.Errorf("trusted %v: %+v", trust, k)
		}
		g.peer.send = send
		g.finish()
	}
}

// TestReleasedInTheStepOfTheACK, and what the window then has room for is sent in it.
func TestReleasedInTheStepOfTheACK(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.port.hold = true
	g.commits(c, 14)
	g.pass() // the initial window has room for ten
	if n := g.p.Out(); n != 10 {
		t.Fatalf("%d sent", n)
	}
	send := g.peer.send
	g.peer.send = func([]byte) {} // its ACKs are lost
	g.port.finish(10)
	g.peer.send = send
	g.now += tcp.Microsecond
	g.pass()
	drain(t, w, c)
	if len(c.log) != 0 || g.p.Out() != 0 {
		t.Fatalf("%d released, %d out", len(c.log), g.p.Out())
	}
	r := g.peer.flows[c.s.flow]
	all := r.next
	r.next -= 9 * 1460
	g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
	r.next = all
	g.now += tcp.Microsecond
	g.p.Step(g.now)
	drain(t, w, c)
	if len(c.log) != 1 || c.log[0].Reason != Acked || c.log[0].Acked != g.now {
		t.Errorf("released: %+v", c.log)
	}
	if g.p.Out() != 2 { // one for what left, one for what the window grew by
		t.Errorf("%d sent upon the ACK", g.p.Out())
	}
	g.p.Notify(false)
	g.home(c)
}

// TestDescriptorToTheEndOfItsFrame is read; one byte more is not. Packets longer than
// the headroom are nothing special.
func TestDescriptorToTheEndOfItsFrame(t *testing.T) {
	g := newRig(t, 64, nil)
	for _, c := range []struct {
		length uint32
		fault  bool
	}{{1792, false}, {1793, true}, {257, false}, {math32, true}} {
		before := g.p.CountersNow()
		g.port.kfill.Peek(1)
		addr := g.port.kfill.Take() + 256
		g.port.kfill.Release()
		g.port.krx.Put(umem.Desc{Addr: addr, Len: c.length})
		g.port.krx.Submit()
		g.pass()
		k := g.p.CountersNow()
		if fault := k.RxFault == before.RxFault+1; fault != c.fault || k.RxPackets != before.RxPackets+1 {
			t.Errorf("%d bytes: %+v", c.length, k)
		}
		if n := g.port.kfill.Peek(1 << 10); n != rigRx {
			t.Errorf("%d bytes: %d frames with the kernel", c.length, n)
		}
	}
	g.finish()
}

const math32 = 1<<32 - 1

// TestTapLosesExactly what it has no room for.
func TestTapLosesExactly(t *testing.T) {
	tap := NewTap(8, 2048)
	g := newRig(t, 64, func(c *Config) { c.Tap = tap })
	w := g.writer(0)
	g.transfer(newSource(1, w, g.open(w), 50000))
	k := g.p.CountersNow()
	kept := uint64(0)
	for _, ok := tap.Next(); ok; _, ok = tap.Next() {
		kept++
	}
	if kept != 8 || k.TapLost != k.Submitted+k.RxPackets-kept || k.RxTCP != k.RxPackets {
		t.Errorf("%d kept: %+v", kept, k)
	}
	g.finish()
}

// TestStarved: with no free frame the fill ring is not filled up, which is counted, and
// it is as soon as there is one.
func TestStarved(t *testing.T) {
	port := &narrowPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	port.narrow = true
	for range 5 {
		g.port.deliver(make([]byte, 60))
	}
	g.pass() // five frames are free that were with the kernel
	port.narrow = false
	var hoard []umem.Frame
	for f, ok := g.pool.Alloc(); ok; f, ok = g.pool.Alloc() {
		hoard = append(hoard, f)
	}
	g.pool.Return(hoard[len(hoard)-1])
	for i := range uint64(3) { // the first takes the last frame, and asks again
		g.pass()
		if k := g.p.CountersNow(); k.RxStarved != 2+i || g.p.filled != rigRx-4 {
			t.Errorf("starved %d times, %d frames with the kernel", k.RxStarved, g.p.filled)
		}
	}
	for _, f := range hoard[:len(hoard)-1] {
		g.pool.Return(f)
	}
	g.pass()
	if k := g.p.CountersNow(); k.RxStarved != 4 || g.p.filled != rigRx || g.port.kfill.Peek(1<<10) != rigRx {
		t.Errorf("starved %d times, %d frames with the kernel, counted %d", k.RxStarved, g.port.kfill.Peek(1<<10), g.p.filled)
	}
	g.finish()
}
