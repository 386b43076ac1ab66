package dataplane

import (
	"github.com/xsend/xsend/internal/wire"
)

// peer is a host with TCP receivers, one for each flow, that answers every packet at
// once through send.
type peer struct {
	send  func(packet []byte)
	flows map[wire.Flow]*receiver      // by the sender's flow
	drop  func(seg *wire.Segment) bool // packets lost on the way to the peer
	mute  bool                         // nothing is answered
	bad   int                          // packets that did not parse
	buf   [2048]byte
}

// receiver is one connection of the peer.
type receiver struct {
	tmpl    wire.Template
	irs     uint32
	next    uint32
	iss     uint32
	sndNext uint32
	window  uint16
	stopped bool // reads nothing: the window closes
	later   map[uint32][]byte
	stream  []byte // what it got
	keep    bool   // keep the bytes, not only their number
	got     uint64
	fin     bool
	reset   bool
}

func newPeer(send func([]byte)) *peer {
	return &peer{send: send, flows: map[wire.Flow]*receiver{}}
}

const peerWindow = 65535

// packet is what the wire brings.
func (p *peer) packet(b []byte) {
	var seg wire.Segment
	if err := wire.Parse(b, true, &seg); err != nil {
		p.bad++
		return
	}
	if p.mute || p.drop != nil && p.drop(&seg) {
		return
	}
	r := p.flows[theirs(seg.Flow)]
	if r == nil {
		if seg.Flags&wire.FlagSYN == 0 {
			return
		}
		r = p.accept(&seg)
	}
	switch {
	case seg.Flags&wire.FlagRST != 0:
		r.reset = true
	case seg.Flags&wire.FlagSYN != 0:
		p.reply(r, r.iss, wire.FlagSYN|wire.FlagACK, nil)
	default:
		p.segment(r, &seg)
	}
}

func (p *peer) accept(seg *wire.Segment) *receiver {
	r := &receiver{irs: seg.Seq, next: seg.Seq + 1, iss: 7000, sndNext: 7001, window: peerWindow, later: map[uint32][]byte{}, keep: true}
	r.tmpl.Init(seg.Flow, wire.Path{})
	p.flows[theirs(seg.Flow)] = r
	return r
}

// segment takes payload and FIN and ACKs them.
func (p *peer) segment(r *receiver, seg *wire.Segment) {
	if seg.Len() == 0 {
		return
	}
	if r.stopped && len(r.stream) > 100000 {
		r.window = 0
	}
	if r.window == 0 {
		p.reply(r, r.sndNext, wire.FlagACK, nil)
		return
	}
	if seg.PayloadLen > 0 && int32(seg.Seq-r.next) >= 0 {
		r.later[seg.Seq] = append([]byte(nil), seg.Payload...)
	}
	for b, ok := r.later[r.next]; ok; b, ok = r.later[r.next] {
		delete(r.later, r.next)
		if r.keep {
			r.stream = append(r.stream, b...)
		}
		r.got += uint64(len(b))
		r.next += uint32(len(b))
	}
	if seg.Flags&wire.FlagFIN != 0 && seg.Seq+uint32(seg.PayloadLen) == r.next && !r.fin {
		r.fin = true
		r.next++
		p.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
		return
	}
	p.reply(r, r.sndNext, wire.FlagACK, nil)
}

func (p *peer) reply(r *receiver, seq uint32, flags uint8, payload []byte) {
	h := wire.Header{Seq: seq, Ack: r.next, Flags: flags, Window: r.window}
	var opts [40]byte
	if flags&wire.FlagSYN != 0 {
		h.Options = wire.PutWScale(wire.PutMSS(opts[:0], 1460), 0)
	}
	copy(p.buf[256:], payload)
	n := r.tmpl.Put(p.buf[:256], &h, len(payload), wire.Sum(payload, 0))
	p.send(p.buf[256-n : 256+len(payload)])
}

// theirs is a flow seen from the other side.
func theirs(f wire.Flow) wire.Flow {
	return wire.Flow{Local: f.Remote, Remote: f.Local, LocalPort: f.RemotePort, RemotePort: f.LocalPort}
}
