package tcp

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// What begins where payload begins goes out of the frame that the writer filled.
func TestTransmitInPlace(t *testing.T) {
	linearOnly(t)
	h := established(t, func(_ *Config, h *harness) { h.hold = true })
	f := h.writeFrame(payloadAt, 700)
	h.transmit()
	s := h.want(1, 700, wire.FlagACK)
	if s.tx.Frame != f || s.tx.Source != f || s.tx.Again || h.c.Stats().Splits != 0 {
		t.Fatalf("%+v", s.tx)
	}
	if h.pool.InKernel(f) != 1 || h.pool.InTCP(f) != 1 {
		t.Fatalf("kernel %d, tcp %d", h.pool.InKernel(f), h.pool.InTCP(f))
	}
	h.ack(700)
	h.complete()
}

// What begins elsewhere is copied, once, and the writer's frame stays held until its
// last byte is ACKed.
func TestTransmitSplit(t *testing.T) {
	linearOnly(t)
	h := established(t, nil)
	f := h.writeFrame(payloadAt+13, 700)
	h.transmit()
	s := h.want(1, 700, wire.FlagACK)
	if s.tx.Frame == f || s.tx.Source != f {
		t.Fatalf("%+v", s.tx)
	}
	h.ack(699)
	if h.done[f] {
		t.Fatal("back before its last byte was ACKed")
	}
	h.advance(300 * Millisecond)
	h.want(1, 700, wire.FlagACK)
	h.ack(700)
	if !h.done[f] || h.pool.Free() != h.pool.Len() {
		t.Fatal("not back")
	}
}

// The copy is of the reserve, and goes back to it: a pool without a frame to lend.
func TestTransmitSplitFromTheReserve(t *testing.T) {
	h := established(t, nil)
	h.writeFrame(payloadAt+1, 100)
	hoard := h.starve(controlFrames)
	h.transmit()
	h.wantNothing()
	if h.c.Stats().NoFrame == 0 || h.c.Deadline() != h.now+frameRetry {
		t.Fatalf("%+v", h.c.Stats())
	}
	h.pool.Return(hoard[0])
	h.advance(frameRetry)
	h.want(1, 100, wire.FlagACK)
	h.ack(100)
	for _, f := range hoard[1:] {
		h.pool.Return(f)
	}
}

// Without a frame there is no SYN, ACK, FIN or RST; each goes as soon as there is one.
func TestTransmitNoFrame(t *testing.T) {
	step := func(h *harness, do func(), want uint8) {
		h.t.Helper()
		hoard := h.starve(0)
		do()
		h.transmit()
		h.wantNothing()
		if h.c.Deadline() > h.now+frameRetry {
			h.t.Fatal("nobody will try again")
		}
		for _, f := range hoard {
			h.pool.Return(f)
		}
		h.advance(frameRetry)
		if len(h.out) == 0 || h.out[0].seg.Flags&^wire.FlagPSH != want {
			h.t.Fatalf("%d segments, flags %02x wanted", len(h.out), want)
		}
		h.out = nil
	}
	h := newHarness(t, nil)
	step(h, func() { _ = h.c.Connect(h.now) }, wire.FlagSYN)
	step(h, h.synAck, wire.FlagACK)
	step(h, func() { h.c.CloseWrite(h.now) }, wire.FlagFIN|wire.FlagACK)
	step(h, func() { h.c.Abort(h.now) }, wire.FlagRST|wire.FlagACK)
	if !h.c.Done() {
		t.Fatal("not done")
	}
}

// Room for one packet is enough: what did not fit comes next.
func TestTransmitOneAtATime(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.ack(0, [2]int{3 * mss, 4 * mss})
	for range 2 {
		h.writeFrame(payloadAt, mss)
	}
	seg := h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 5
	h.c.Receive(h.now, &seg)
	var txs [1]Tx
	total := 0
	for h.c.Transmit(h.now, txs[:]) == 1 {
		h.take(txs[0])
		if total++; total > 10 {
			t.Fatal("does not end")
		}
	}
	if h.c.Transmit(h.now, nil) != 0 || total != 2 || h.c.ackNow {
		t.Fatalf("%d packets, ACK left %v", total, h.c.ackNow)
	}
	h.out = nil
	h.irs += 5
	h.ack(6 * mss)
}

// With Resum each transmission sums the bytes as they are; without, a byte that changed
// on the way is found out by the receiver, which is what the wrong modes are to show.
func TestTransmitResum(t *testing.T) {
	for _, resum := range []bool{false, true} {
		h := established(t, func(c *Config, _ *harness) { c.Resum, c.Checksum = resum, ChecksumSoftware })
		f := h.writeFrame(payloadAt, 100)
		h.transmit()
		h.want(1, 100, wire.FlagACK)
		h.region.WriterBytes(f)[payloadAt+50] ^= 0xff
		h.now += Second
		h.c.Advance(h.now)
		var txs [4]Tx
		if n := h.c.Transmit(h.now, txs[:]); n != 1 {
			t.Fatalf("%d packets", n)
		}
		var seg wire.Segment
		err := wire.Parse(packet(h.region, &txs[0]), true, &seg)
		if resum != (err == nil) {
			t.Errorf("resum %v: %v", resum, err)
		}
		h.completeTx(txs[0])
		h.ack(100)
	}
}

// What we send, somebody else's decoder must read, checksums included; over IPv4 and
// IPv6, with and without a tag, of odd and even lengths.
func TestTransmitSecondOpinion(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, vlan := range []uint16{0, 7} {
			h := newHarness(t, func(c *Config, h *harness) {
				if v6 {
					c.Flow = testFlow6
				}
				h.hold = true // so that what was sent stays where it was
				c.Path = wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2}, Tagged: vlan != 0, VLAN: vlan, DSCP: 10, TTL: 9}
			})
			h.connect()
			h.advance(Millisecond)
			h.synAck()
			for _, n := range []int{1, 2, 3, 100, 777, h.c.MSS()} {
				h.writeFrame(payloadAt, n)
			}
			h.writeFrame(payloadAt+3, 55)
			h.transmit()
			h.c.CloseWrite(h.now)
			h.transmit()
			h.c.Abort(h.now)
			h.transmit()
			if n := len(h.out); testSegs <= 1 && n != 2+7+1+2 || n < 2+3+1+2 { // small ones are joined
				t.Fatalf("%d packets", len(h.out))
			}
			for _, s := range h.out {
				decode(t, h.packet(s.tx), &s)
			}
			h.out = nil
			h.complete()
		}
	}
}

// decode reads a packet with gopacket, and lets it make the same packet anew.
func decode(t *testing.T, pkt []byte, s *sent) {
	t.Helper()
	p := gopacket.NewPacket(pkt, layers.LayerTypeEthernet, gopacket.Default)
	tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		t.Fatalf("no TCP in %v", p)
	}
	if tcp.Seq != s.seg.Seq || tcp.Window != s.seg.Window || string(tcp.Payload) != s.payload {
		t.Fatalf("%+v", tcp)
	}
	if err := tcp.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	var parts []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		parts = append(parts, l.(gopacket.SerializableLayer))
		if l == gopacket.Layer(tcp) {
			break // what gopacket takes the payload for is its own affair
		}
	}
	parts = append(parts, gopacket.Payload(tcp.Payload))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true}, parts...); err != nil {
		t.Fatal(err)
	}
	if got := buf.Bytes(); string(got[:len(pkt)]) != string(pkt) {
		t.Fatalf("gopacket makes it\n%x, we made it\n%x", got, pkt)
	}
}

// Sequence numbers and timestamps wrap in mid-stream, during recovery, in the FIN: what
// happens is the same, to the microsecond, as where nothing wraps.
func TestTransmitWrap(t *testing.T) {
	for _, sack := range []bool{true, false} {
		want := transfer(t, Config{Flow: testFlow, ISS: 1000}, func(l *link) { l.sack = sack }).trace.String()
		for _, iss := range []Seq{^Seq(0), ^Seq(0) - 1, ^Seq(0) - 30_000, ^Seq(0) - 150_000, ^Seq(0) - 299_999, ^Seq(0) - 300_001, 1<<31 - 1, 1<<31 - 150_000} {
			l := transfer(t, Config{Flow: testFlow, ISS: iss, TSOffset: ^uint32(0) - 1200}, func(l *link) { l.sack = sack })
			if got := l.trace.String(); got != want {
				t.Errorf("SACK %v, ISS %d: another course", sack, iss)
			}
		}
	}
}

// Over a link with loss everything arrives, and every frame comes back, whatever the
// kernel's delay: less than a round trip, more than a timeout.
func TestTransmitLateKernel(t *testing.T) {
	for _, late := range []Duration{0, 100 * Microsecond, 3 * Millisecond, 20 * Millisecond, 150 * Millisecond, 700 * Millisecond} {
		for _, v6 := range []bool{false, true} {
			cfg := Config{Flow: testFlow}
			if v6 {
				cfg.Flow = testFlow6
			}
			l := transfer(t, cfg, func(l *link) { l.late = late })
			if st := l.c.Stats(); late == 0 && st.RetransmitsHeld+st.TimeoutsHeld != 0 || late > Second/2 && st.TimeoutsHeld == 0 {
				t.Errorf("late %d ms: %+v", late/Millisecond, st)
			}
		}
	}
}

func TestTransmitNarrowWindows(t *testing.T) {
	for _, wnd := range []uint16{100, 500, 1448, 1449, 2048, 3000} {
		l := newLink(t, Config{Flow: testFlow}, 20_000)
		l.wnd = wnd
		l.drop = func(n int) bool { return n%9 == 8 }
		l.run()
		l.verify()
	}
}

func TestTransmitNarrowMTU(t *testing.T) {
	linearOnly(t)
	for _, mtu := range []int{576, 1280, 1400} {
		l := transfer(t, Config{Flow: testFlow}, func(l *link) {
			l.after(40*Millisecond, func() { l.c.SetMTU(mtu) })
			l.after(90*Millisecond, func() { l.c.SetMTU(1500) })
		})
		if l.c.Stats().Splits == 0 {
			t.Errorf("MTU %d: nothing was cut", mtu)
		}
	}
}

// The control of all this: an engine that sends again what the kernel still holds
// writes into a packet that the NIC has yet to read, and the harness sees it.
func TestMutantThatIgnoresTheKernel(t *testing.T) {
	linearOnly(t)
	for _, ignore := range []bool{false, true} {
		h := established(t, func(_ *Config, h *harness) { h.hold, h.mutant = true, true })
		h.write(3 * mss)
		h.wantData(0, 3*mss)
		for range 3 {
			if ignore {
				for i := h.c.q.head; i != none; i = h.c.q.slots[i].next {
					h.c.q.slots[i].out = 0
				}
			}
			h.advance(500 * Millisecond)
		}
		h.out = nil
		h.complete()
		if ignore != (h.rewritten > 0) {
			t.Errorf("kernel ignored: %v, %d packets rewritten", ignore, h.rewritten)
		}
		h.out = nil
		h.ack(3 * mss)
		h.complete()
	}
}

// Where there is no room for a packet none is made, whatever is to be sent.
func TestTransmitWithoutRoom(t *testing.T) {
	for name, ask := range map[string]func(*Conn){
		"reset":      func(c *Conn) { c.sendRST = true },
		"refusal":    func(c *Conn) { c.refuse = true },
		"SYN":        func(c *Conn) { c.sendSYN = true },
		"tail probe": func(c *Conn) { c.tlp.wanted = true },
		"probe":      func(c *Conn) { c.probeNow = true },
		"keepalive":  func(c *Conn) { c.keep.now = true },
		"ACK":        func(c *Conn) { c.ackNow = true },
		"lost":       func(c *Conn) { c.markLost(c.q.head) },
	} {
		h := flightOf(t, 2, nil)
		ask(h.c)
		if n := h.c.Transmit(h.now, nil); n != 0 || h.pool.Free() != h.pool.Len()-2 {
			t.Errorf("%s: %d packets, %d of %d frames free", name, n, h.pool.Free(), h.pool.Len())
		}
	}
}

// What was sent before says so: SYNs, probes, retransmissions.
func TestAgain(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	if h.want(0, 0, wire.FlagSYN).tx.Again {
		t.Error("the first SYN")
	}
	h.advance(Second)
	if !h.want(0, 0, wire.FlagSYN).tx.Again {
		t.Error("the second SYN")
	}
	h = closedWindow(t, 1, nil)
	h.advance(h.c.Deadline() - h.now)
	if !h.out[0].tx.Again {
		t.Error("a probe of the window")
	}
	h.wantProbe(mss)
	h = flightOf(t, 2, nil)
	h.advance(h.c.Deadline() - h.now)
	if !h.want(mss+1, mss, wire.FlagACK).tx.Again {
		t.Error("a tail loss probe")
	}
	h.ack(2 * mss)
}

// The count of transmissions stands still before it would begin anew: a segment that was sent once is measured.
func TestTransmissionsAreCountedToTheEnd(t *testing.T) {
	h := flightOf(t, 1, nil)
	s := &h.c.q.slots[h.c.q.head]
	h.c.rack.flight.again++ // as many as the slot will say
	s.xmits = 1<<16 - 2
	for range 2 {
		h.advance(h.c.Deadline() - h.now)
		h.want(1, mss, wire.FlagACK)
	}
	if s.xmits != 1<<16-2 {
		t.Fatalf("%d", s.xmits)
	}
	h.ack(mss)
}

// That a retransmission was put off counts once for each transmission that the kernel held.
func TestDeferredIsForOneTransmission(t *testing.T) {
	h := established(t, nil)
	h.hold = true
	h.write(2 * mss)
	h.wantData(0, 2*mss)
	for want := range uint64(2) {
		h.c.markLost(h.c.q.last)
		h.transmit()
		h.transmit()
		h.wantNothing()
		if got := h.c.Stats().RetransmitsHeld; got != want+1 {
			t.Fatalf("%d, want %d", got, want+1)
		}
		h.complete()
		h.want(mss+1, mss, wire.FlagACK)
	}
	h.hold = false
	h.complete()
	h.ack(2 * mss)
}

// A FIN carries nothing of a writer's frame, whichever frame is the first.
func TestFinHasNoSource(t *testing.T) {
	h := established(t, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	if s := h.want(1, 0, wire.FlagFIN|wire.FlagACK); s.tx.Source != umem.NoFrame {
		t.Fatalf("frame %d", s.tx.Source)
	}
	h.ack(1)
}
