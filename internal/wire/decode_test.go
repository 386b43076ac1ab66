package wire_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
)

// random makes the values of one seed.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r random) addr(v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte(append([]byte{0x20}, r.bytes(15)...)))
	}
	return netip.AddrFrom4([4]byte(r.bytes(4)))
}

func (r random) port() uint16 { return uint16(1 + r.IntN(65535)) }

func (r random) flow(v6 bool) wire.Flow {
	return wire.FlowOf(netip.AddrPortFrom(r.addr(v6), r.port()), netip.AddrPortFrom(r.addr(v6), r.port()))
}

func (r random) path() wire.Path {
	p := wire.Path{SrcMAC: [6]byte(r.bytes(6)), DstMAC: [6]byte(r.bytes(6)), DSCP: uint8(r.IntN(64)), TTL: uint8(1 + r.IntN(255))}
	if r.IntN(2) == 0 {
		p.Tagged, p.VLAN = true, uint16(r.IntN(65536))
	}
	return p
}

// options encodes a random choice, in the orders that TCP uses, and says what it must decode to.
func (r random) options() (b []byte, want wire.Options) {
	if r.IntN(3) == 0 {
		want.HasMSS, want.MSS = true, uint16(r.Uint32())
		b = wire.PutMSS(b, want.MSS)
	}
	if r.IntN(3) == 0 {
		want.SACKPermitted = true
		b = wire.PutSACKPermitted(b)
	}
	if r.IntN(2) == 0 {
		want.HasTS, want.TSVal, want.TSEcr = true, r.Uint32(), r.Uint32()
		b = wire.PutTimestamps(b, want.TSVal, want.TSEcr)
	}
	if r.IntN(3) == 0 {
		want.HasWScale, want.WScale = true, uint8(r.IntN(15))
		b = wire.PutWScale(b, want.WScale)
	}
	blocks := make([]wire.SACKBlock, r.IntN(6))
	for i := range blocks {
		blocks[i] = wire.SACKBlock{Start: r.Uint32(), End: r.Uint32()}
	}
	want.NumSACK = copy(want.SACK[:(36-len(b))/8], blocks)
	return wire.PutSACK(b, blocks), want
}

// TestPutDecodes has gopacket and Parse read what Put wrote, and recomputes every checksum.
func TestPutDecodes(t *testing.T) {
	for seed := range uint64(4000) {
		r := newRandom(seed)
		f, p := r.flow(seed&1 == 1), r.path()
		opts, want := r.options()
		h := wire.Header{Seq: r.Uint32(), Ack: r.Uint32(), Flags: uint8(r.Uint32()) &^ wire.FlagURG, Window: uint16(r.Uint32()), ID: uint16(r.Uint32()), ECN: uint8(r.IntN(4)), Options: opts}
		payload := r.bytes(r.IntN(1461))
		var tmpl wire.Template
		tmpl.Init(r.flow(seed&2 == 2), r.path()) // what a second Init must forget
		tmpl.Init(f, p)

		buf := r.bytes(wire.MaxHeaderLen) // stale bytes must not shine through
		n := tmpl.Put(buf, &h, len(payload), wire.Sum(payload, 0))
		if n != tmpl.HeaderLen(len(opts)) {
			t.Fatalf("seed %d: Put returned %d, HeaderLen says %d", seed, n, tmpl.HeaderLen(len(opts)))
		}
		frame := append(buf[len(buf)-n:], payload...)
		checkDecoded(t, seed, frame, f, p, &h, payload)

		var s wire.Segment
		if err := wire.Parse(frame, true, &s); err != nil {
			t.Fatalf("seed %d: Parse: %v", seed, err)
		}
		mirror := wire.Flow{Local: f.Remote, Remote: f.Local, LocalPort: f.RemotePort, RemotePort: f.LocalPort}
		if s.Flow != mirror || s.SrcMAC != p.SrcMAC || s.Seq != h.Seq || s.Ack != h.Ack || s.Flags != h.Flags ||
			s.Window != h.Window || s.Urgent != 0 || s.ECN != h.ECN || s.PayloadLen != len(payload) ||
			!bytes.Equal(s.Payload, payload) {
			t.Fatalf("seed %d: Parse read\n%+v from\n%+v %+v %+v", seed, s, f, p, h)
		}
		if s.Options != want {
			t.Fatalf("seed %d: options %+v, want %+v", seed, s.Options, want)
		}
	}
}

// checkDecoded compares gopacket's reading of frame with what it was made from. Serializing the layers again, with the
// lengths and checksums computed by gopacket, must give the same bytes.
func checkDecoded(t *testing.T, seed uint64, frame []byte, f wire.Flow, p wire.Path, h *wire.Header, payload []byte) {
	t.Helper()
	pkt := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	if e := pkt.ErrorLayer(); e != nil {
		t.Fatalf("seed %d: gopacket: %v\n% x", seed, e.Error(), frame)
	}
	eth := pkt.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !bytes.Equal(eth.SrcMAC, p.SrcMAC[:]) || !bytes.Equal(eth.DstMAC, p.DstMAC[:]) {
		t.Fatalf("seed %d: MACs %v > %v", seed, eth.SrcMAC, eth.DstMAC)
	}
	tag, _ := pkt.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q)
	if (tag != nil) != p.Tagged {
		t.Fatalf("seed %d: tag %v, want TCI %#x", seed, tag, p.VLAN)
	}
	if tag != nil && uint16(tag.Priority)<<13|tag.VLANIdentifier != p.VLAN&^0x1000 || tag != nil && tag.DropEligible != (p.VLAN&0x1000 != 0) {
		t.Fatalf("seed %d: tag %+v, want TCI %#x", seed, tag, p.VLAN)
	}
	checkIP(t, seed, pkt, f, p, h)
	tcp := pkt.Layer(layers.LayerTypeTCP).(*layers.TCP)
	flags := uint8(0)
	for i, on := range []bool{tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR} {
		if on {
			flags |= 1 << i
		}
	}
	if uint16(tcp.SrcPort) != f.LocalPort || uint16(tcp.DstPort) != f.RemotePort || tcp.Seq != h.Seq || tcp.Ack != h.Ack ||
		tcp.Window != h.Window || flags != h.Flags || tcp.NS || tcp.Urgent != 0 || !bytes.Equal(tcp.Payload, payload) {
		t.Fatalf("seed %d: TCP %+v, want %+v", seed, tcp, h)
	}
	checkAgain(t, seed, pkt, frame, payload)
}

func checkIP(t *testing.T, seed uint64, pkt gopacket.Packet, f wire.Flow, p wire.Path, h *wire.Header) {
	t.Helper()
	local, remote := f.LocalAddr().Addr(), f.RemoteAddr().Addr()
	switch ip := pkt.NetworkLayer().(type) {
	case *layers.IPv4:
		if !local.Is4() || ip.TOS != p.DSCP<<2|h.ECN || ip.TTL != p.TTL || ip.Id != h.ID || ip.Flags != layers.IPv4DontFragment || ip.FragOffset != 0 || len(ip.Options) != 0 ||
			!bytes.Equal(ip.SrcIP, local.AsSlice()) || !bytes.Equal(ip.DstIP, remote.AsSlice()) {
			t.Fatalf("seed %d: IPv4 %+v, want %+v %+v", seed, ip, f, p)
		}
	case *layers.IPv6:
		if !local.Is6() || ip.TrafficClass != p.DSCP<<2|h.ECN || ip.HopLimit != p.TTL || ip.FlowLabel != 0 ||
			!bytes.Equal(ip.SrcIP, local.AsSlice()) || !bytes.Equal(ip.DstIP, remote.AsSlice()) {
			t.Fatalf("seed %d: IPv6 %+v, want %+v %+v", seed, ip, f, p)
		}
	default:
		t.Fatalf("seed %d: no IP layer: %v", seed, pkt)
	}
}

func checkAgain(t *testing.T, seed uint64, pkt gopacket.Packet, frame, payload []byte) {
	t.Helper()
	var all []gopacket.SerializableLayer
	for _, l := range pkt.Layers() {
		if l.LayerType() == gopacket.LayerTypePayload || !knownLayer(l.LayerType()) {
			continue // by port number gopacket believes the payload to be DNS, TLS, ...
		}
		all = append(all, l.(gopacket.SerializableLayer))
	}
	pkt.TransportLayer().(*layers.TCP).SetNetworkLayerForChecksum(pkt.NetworkLayer())
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, gopacket.Payload(payload))...)
	if err != nil {
		t.Fatalf("seed %d: serialize: %v", seed, err)
	}
	if !bytes.Equal(out.Bytes()[:len(frame)], frame) {
		t.Fatalf("seed %d: gopacket writes\n% x\nwe wrote\n% x", seed, out.Bytes(), frame)
	}
}

func knownLayer(l gopacket.LayerType) bool {
	switch l {
	case layers.LayerTypeEthernet, layers.LayerTypeDot1Q, layers.LayerTypeIPv4, layers.LayerTypeIPv6, layers.LayerTypeTCP:
		return true
	}
	return false
}
