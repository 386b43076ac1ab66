package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// PeerConfig is how the receiving host behaves. Zero values are those of an
// ordinary one that reads at once and closes when its peer does.
type PeerConfig struct {
	MSS    int   // announced; 0 = 1460
	Buffer int   // receive buffer, bytes; 0 = 65535
	Scale  uint8 // window shift

	ECN        bool // agrees to it
	EchoAlways bool // and says in every ACK that a mark came

	NoSACK, NoDSACK, NoTimestamps, NoScale bool

	AckDelay tcp.Duration // of a delayed ACK; 0 = 40 ms
	AckEvery int          // segments that make an ACK due at once; 0 = 2
	AckTick  tcp.Duration // delayed ACKs come at multiples of it, as BSD's did, instead of after AckDelay; 0 = no
	AckLazy  bool         // what is out of order does not hurry an ACK (https://www.rfc-editor.org/rfc/rfc5681#section-4.2 wants it to)
	AckParts int          // ACKs that an ACK of new bytes comes in; 0 = 1

	ReadSize  int          // bytes that the application reads at a time; 0 = everything, at once
	ReadEvery tcp.Duration // how often it does
	StallAt   int64        // stream byte from which it stops reading; 0 = never
	StallFor  tcp.Duration // for so long; 0 = for ever

	Shrink float64 // chance for each ACK that the window's right edge moves back
	Renege float64 // chance for each segment that everything out of order is thrown away

	Refuse   bool         // RST in answer to a SYN
	Silent   bool         // no answer at all
	SilentAt int64        // no answer from this stream byte on; 0 = never
	ResetAt  int64        // RST when this stream byte arrived; 0 = never
	Send     int          // bytes that it sends itself
	FinAt    int64        // it says that it sends no more when this stream byte arrived; 0 = at our FIN
	NoFIN    bool         // it never says so
	FinDelay tcp.Duration // from our FIN to its own

	// For changes a copy of all this for the connection from one port; nil = all alike.
	For func(port uint16, cfg *PeerConfig)
	// Promise is the stream that the connection from this port was promised to carry.
	Promise func(port uint16) Pattern
}

// Peer is a host with a TCP that accepts every connection and reads what comes.
type Peer struct {
	w      *World
	cfg    PeerConfig
	random *rand.Rand
	out    *Link
	conns  []*PeerConn
	seg    wire.Segment

	Unparsed uint64 // frames that were not TCP, contradicted themselves, or had a wrong checksum
	Strays   uint64 // segments of no connection
	Parts    uint64 // ACKs of a part of what had arrived
	Ticks    uint64 // ACKs put off to the next tick
	Updates  uint64 // ACKs that only opened the window
	Marks    uint64 // segments that bore a mark of congestion
	Told     uint64 // segments that said that a window was reduced for one
	Echoes   uint64 // windows of its own for which such a mark came back
	Shrunk   uint64 // times a window's right edge moved back
}

// NewPeer makes a host that answers through out.
func (w *World) NewPeer(cfg PeerConfig, out *Link) *Peer {
	orInt(&cfg.MSS, 1460)
	orInt(&cfg.Buffer, 65535)
	orInt(&cfg.AckEvery, 2)
	if cfg.AckDelay == 0 {
		cfg.AckDelay = 40 * tcp.Millisecond
	}
	return &Peer{w: w, cfg: cfg, random: w.source(), out: out}
}

func orInt(p *int, v int) {
	if *p == 0 {
		*p = v
	}
}

// Reverse names the link that answers take; NewPeer got nil where it did not exist yet.
func (p *Peer) Reverse(out *Link) { p.out = out }

// Conns are the connections that were opened, in that order.
func (p *Peer) Conns() []*PeerConn { return p.conns }

// Deliver is a frame from the wire.
func (p *Peer) Deliver(frame []byte) {
	if err := wire.Parse(frame, true, &p.seg); err != nil {
		p.Unparsed++
		return
	}
	if c := p.find(&p.seg.Flow); c != nil {
		c.receive(&p.seg)
		return
	}
	p.stray(frame)
}

func (p *Peer) find(f *wire.Flow) *PeerConn {
	for _, c := range p.conns {
		if c.flow == *f {
			return c
		}
	}
	return nil
}

// stray is a segment of no connection: a SYN makes one, all else is answered by a
// RST (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1).
func (p *Peer) stray(frame []byte) {
	seg := &p.seg
	switch {
	case p.cfg.Silent || seg.Flags&wire.FlagRST != 0:
		return
	case seg.Flags&(wire.FlagSYN|wire.FlagACK) == wire.FlagSYN && !p.cfg.Refuse:
		c := p.accept(seg, [6]byte(frame[0:6]))
		p.conns = append(p.conns, c)
		c.sendSYN()
		return
	}
	p.Strays++
	c := &PeerConn{p: p, cfg: &p.cfg, flow: seg.Flow, sndUna: seg.Ack, rcvNxt: seg.Seq + seg.Len()}
	c.tmpl.Init(seg.Flow, wire.Path{SrcMAC: [6]byte(frame[0:6]), DstMAC: seg.SrcMAC})
	c.put(wire.FlagRST|wire.FlagACK, seg.Ack, nil, nil)
}

// accept makes the connection that a SYN asks for.
func (p *Peer) accept(seg *wire.Segment, mac [6]byte) *PeerConn {
	o := &seg.Options
	cfg := p.cfg
	if cfg.For != nil {
		cfg.For(seg.Flow.RemotePort, &cfg)
	}
	c := &PeerConn{p: p, cfg: &cfg, flow: seg.Flow, irs: seg.Seq, rcvNxt: seg.Seq + 1, iss: p.random.Uint32(),
		ts: o.HasTS && !cfg.NoTimestamps, sack: o.SACKPermitted && !cfg.NoSACK,
		ecn: cfg.ECN && offered(seg), tsRecent: o.TSVal, sndMSS: 536, sndWnd: uint32(seg.Window)}
	if o.HasMSS {
		c.sndMSS = int(o.MSS)
	}
	if c.scaled = o.HasWScale && !cfg.NoScale; c.scaled {
		c.rcvShift, c.sndShift = cfg.Scale, o.WScale
	}
	if c.ts {
		c.sndMSS -= 12
	}
	c.sndUna, c.sndNxt, c.sndMax = c.iss, c.iss+1, c.iss+1
	c.rcvAdv = c.rcvNxt + uint32(min(cfg.Buffer, 65535))
	c.end = c.iss + 1 + uint32(cfg.Send)
	if cfg.Promise != nil {
		c.promise = cfg.Promise(seg.Flow.RemotePort)
	}
	c.tmpl.Init(seg.Flow, wire.Path{SrcMAC: mac, DstMAC: seg.SrcMAC})
	c.timers = [numTimers]tcp.Time{tcp.Never, tcp.Never, tcp.Never, tcp.Never}
	return c
}
