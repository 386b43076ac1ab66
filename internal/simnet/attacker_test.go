package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// attacker forges what any host can send that knows the addresses and ports of a
// connection, and guesses the rest. What it must not hit by chance, because that is what
// a blind attacker does not know, it is told to leave out: the exact sequence number that
// we expect, and together with one that is near it an ACK that can be true.
type attacker struct {
	r        *Run
	random   *rand.Rand
	peer     *PeerConn
	peers    wire.Template // the peer's headers
	ours     wire.Template // ours, as an ICMP error quotes them
	v6       bool
	spoil    bool   // break each checksum: as much traffic, and all of it is thrown away
	sent     int    // so far
	highest  uint32 // behind the last byte that we sent
	segments [numForgeries]int
}

// forgery is a kind of segment.
type forgery int

const (
	forgeRST forgery = iota
	forgeSYN
	forgeACK
	forgeText
	forgeFIN
	forgeFlags // any that make no sense
	forgeTooBig
	forgeUnreachable
	numForgeries
)

func newAttacker(r *Run, seed uint64) *attacker {
	flow := r.Streams[0].Flow()
	back := wire.Flow{Local: flow.Remote, Remote: flow.Local, LocalPort: flow.RemotePort, RemotePort: flow.LocalPort}
	a := &attacker{r: r, random: rand.New(rand.NewPCG(seed, 0xbad)), peer: r.peerOf(r.Streams[0]), v6: r.IPv6}
	a.peers.Init(back, wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 2}, DstMAC: [6]byte{2, 0, 0, 0, 0, 1}})
	a.ours.Init(flow, wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2}})
	return a
}

// attack forges n segments, a gap of up to twice as long as the mean between them.
func (a *attacker) attack(n int, mean tcp.Duration) {
	if n == 0 {
		return
	}
	a.forge()
	a.r.World.After(1+between(a.random, 0, 2*mean), func() { a.attack(n-1, mean) })
}

func (a *attacker) forge() {
	kind := forgery(a.random.IntN(int(numForgeries)))
	a.segments[kind]++
	near := a.random.IntN(2) == 0
	h := wire.Header{Seq: a.far(), Ack: a.likelyACK(), Window: uint16(a.random.Uint32()), Options: a.options()}
	if near {
		h.Seq, h.Ack = a.near(), a.impossibleACK()
	}
	payload := 0
	switch kind {
	case forgeRST:
		h.Flags = wire.FlagRST | uint8(a.random.IntN(2))*wire.FlagACK
	case forgeSYN:
		h.Flags = wire.FlagSYN | uint8(a.random.IntN(2))*wire.FlagACK
	case forgeACK:
		h.Flags = wire.FlagACK
	case forgeText:
		h.Flags, payload = wire.FlagACK|wire.FlagPSH, 1+a.random.IntN(1400)
	case forgeFIN:
		h.Flags, payload = wire.FlagACK|wire.FlagFIN, a.random.IntN(100)
	case forgeFlags:
		h.Flags, payload = uint8(a.random.Uint32())&^(wire.FlagRST|wire.FlagACK), a.random.IntN(100)
	default:
		a.send(a.icmp(kind))
		return
	}
	a.send(segment(&a.peers, &h, payload))
}

func segment(of *wire.Template, h *wire.Header, payload int) []byte {
	n := of.HeaderLen(len(h.Options))
	frame := make([]byte, n+payload)
	of.Put(frame[:n], h, payload, 0)
	return frame
}

// send hands a frame to the NIC, as if it had come over another path than the peer's.
func (a *attacker) send(frame []byte) {
	if a.spoil {
		frame[len(frame)-1] ^= 0x5a
	}
	a.sent++
	a.r.Kernel().Deliver(frame)
}

// expected is the sequence number that we expect next.
func (a *attacker) expected() uint32 { return a.peer.sndNxt }

// near is a sequence number in our window or as far before it, never the one expected.
func (a *attacker) near() uint32 {
	seq := a.expected() + uint32(a.random.IntN(2*65535)) - 65535
	if seq == a.expected() {
		seq++
	}
	return seq
}

// far is one that is not near.
func (a *attacker) far() uint32 {
	return a.expected() + 1<<17 + a.random.Uint32N(1<<32-1<<18)
}

// likelyACK is an ACK that can be true.
func (a *attacker) likelyACK() uint32 { return a.highest - a.random.Uint32N(1<<16) }

// impossibleACK is one of what was never sent, or left the network long ago.
func (a *attacker) impossibleACK() uint32 {
	return a.highest + 1<<20 + a.random.Uint32N(1<<32-1<<25)
}

// options are timestamps and SACK blocks of any value, or none.
func (a *attacker) options() (b []byte) {
	if a.random.IntN(8) > 0 {
		b = wire.PutTimestamps(b, a.random.Uint32(), a.random.Uint32())
	}
	if a.random.IntN(4) == 0 {
		start := a.highest - a.random.Uint32N(1<<16)
		b = wire.PutSACK(b, []wire.SACKBlock{{Start: start, End: start + a.random.Uint32N(1<<16)}})
	}
	return b
}

// icmp is an error about a segment that is not outstanding.
func (a *attacker) icmp(kind forgery) []byte {
	quoted := segment(&a.ours, &wire.Header{Seq: a.impossibleACK(), Flags: wire.FlagACK}, 1000)
	switch {
	case kind == forgeTooBig:
		return TooBig(quoted, 68+a.random.IntN(1500))
	case a.v6:
		return ICMPError(quoted, wire.ICMPv6Unreachable, uint8(a.random.IntN(7)), 0)
	}
	return ICMPError(quoted, wire.ICMPUnreachable, uint8(a.random.IntN(16)), 0)
}
