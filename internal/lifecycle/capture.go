package lifecycle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sort"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/dataplane/trace"
)

// ErrCapture: a file is no capture, or can't be read as one.
var ErrCapture = errors.New("capture")

// maxLead is how far ahead of everything seen a packet may be of the stream: no window is larger.
const maxLead = 1 << 30

// Capture is what was seen at the peer.
type Capture struct {
	Packets uint64
	Cut     uint64 // packets whose payload is not there whole
	conns   map[pair][]*capturedConn
}

// pair is a connection's endpoints, ours first.
type pair struct{ local, remote netip.AddrPort }

// capturedConn is one connection, from a SYN on.
type capturedConn struct {
	iss     uint32
	acks    map[uint32]struct{} // acknowledgement numbers that the peer sent
	top     uint32              // the highest of them
	ended   bool                // a FIN or a reset was seen
	behind  uint64              // releases for ACKs that are higher
	bytes   []byte              // the payload as it was first seen, from the first byte on
	gaps    []gap               // what of it was not seen
	differs []differs
	again   uint64 // bytes that were compared
}

type gap struct{ from, to uint64 }

// differs is a retransmission that is not the first transmission.
type differs struct {
	at     time.Time
	offset uint64
	seq    uint32
	length int // of its payload
	was    byte
	is     byte
}

// packetSource is either reader of pcapgo.
type packetSource interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// ReadCapture reads a pcap or pcapng file to its end. One that ends within a packet is taken as far as it goes. The error wraps ErrCapture.
func ReadCapture(r io.Reader) (*Capture, error) {
	src, err := openCapture(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: neither pcap nor pcapng: %w", ErrCapture, err)
	}
	switch src.LinkType() {
	case layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
	default:
		return nil, fmt.Errorf("%w: link type %d is not read here, nor what tcpdump -i any writes: capture on the interface itself", ErrCapture, src.LinkType())
	}
	c := &Capture{conns: map[pair][]*capturedConn{}}
	for {
		b, ci, err := src.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return c, nil // one that was ended by a signal ends anywhere
		case err != nil:
			return nil, fmt.Errorf("%w: packet %d: %w", ErrCapture, c.Packets+1, err)
		}
		c.Packets++
		c.packet(gopacket.NewPacket(b, src.LinkType(), gopacket.DecodeOptions{NoCopy: true, Lazy: true}), ci.Timestamp)
	}
}

func openCapture(r *bufio.Reader) (packetSource, error) {
	head, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	if string(head) == "\x0a\x0d\x0d\x0a" {
		return pcapgo.NewNgReader(r, pcapgo.DefaultNgReaderOptions)
	}
	return pcapgo.NewReader(r)
}

func (c *Capture) packet(p gopacket.Packet, at time.Time) {
	t, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		return
	}
	src, dst, n := endpoints(p, t)
	if !src.IsValid() {
		return
	}
	if t.SYN {
		c.syn(src, dst, t)
		return
	}
	if k := last(c.conns[pair{dst, src}]); k != nil {
		k.ended = k.ended || t.FIN || t.RST
		if t.ACK {
			k.ack(t.Ack)
		}
	}
	k := last(c.conns[pair{src, dst}])
	if k == nil || n <= 0 {
		return
	}
	b := t.LayerPayload()
	b = b[:min(len(b), n)]
	if len(b) < n {
		c.Cut++
	}
	k.payload(at, t.Seq, b)
}

func last(s []*capturedConn) *capturedConn {
	if len(s) == 0 {
		return nil
	}
	return s[len(s)-1]
}

// endpoints are a packet's, and the bytes of its payload by its headers: the capture may be cut.
func endpoints(p gopacket.Packet, t *layers.TCP) (src, dst netip.AddrPort, n int) {
	var from, to netip.Addr
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		from, _ = netip.AddrFromSlice(ip.SrcIP)
		to, _ = netip.AddrFromSlice(ip.DstIP)
		n = int(ip.Length) - int(ip.IHL)*4
	case *layers.IPv6:
		from, _ = netip.AddrFromSlice(ip.SrcIP)
		to, _ = netip.AddrFromSlice(ip.DstIP)
		n = int(ip.Length)
	default:
		return
	}
	return netip.AddrPortFrom(from.Unmap(), uint16(t.SrcPort)), netip.AddrPortFrom(to.Unmap(), uint16(t.DstPort)), n - int(t.DataOffset)*4
}

// syn begins a connection, unless it is the same SYN again.
func (c *Capture) syn(src, dst netip.AddrPort, t *layers.TCP) {
	if t.ACK { // the answer: what it ACKs is no payload
		return
	}
	k := pair{src, dst}
	if l := last(c.conns[k]); l != nil && l.iss == t.Seq {
		return
	}
	c.conns[k] = append(c.conns[k], &capturedConn{iss: t.Seq, acks: map[uint32]struct{}{}})
}

// payload takes bytes of the stream: those seen before are compared with what they were.
func (k *capturedConn) payload(at time.Time, seq uint32, b []byte) {
	top := uint64(len(k.bytes))
	from := int64(top) + int64(int32(seq-k.iss-1-uint32(top)))
	if from < 0 || from > int64(top)+maxLead {
		return // a probe below the first byte
	}
	lo, hi := uint64(from), uint64(from)+uint64(len(b))
	if lo > top {
		k.gaps = append(k.gaps, gap{top, lo})
		k.bytes = append(k.bytes, make([]byte, lo-top)...)
	}
	k.old(at, seq, lo, min(hi, top), b)
	if hi > uint64(len(k.bytes)) {
		k.bytes = append(k.bytes, b[uint64(len(k.bytes))-lo:]...)
	}
}

// old takes what lies below the top: bytes of gaps are new, the others were there.
func (k *capturedConn) old(at time.Time, seq uint32, lo, hi uint64, b []byte) {
	if lo >= hi {
		return
	}
	i := sort.Search(len(k.gaps), func(i int) bool { return k.gaps[i].to > lo })
	var kept []gap
	x, j := lo, i
	for ; j < len(k.gaps) && k.gaps[j].from < hi; j++ {
		g := k.gaps[j]
		k.same(at, seq, x, min(max(g.from, x), hi), lo, b)
		from, to := max(g.from, lo), min(g.to, hi)
		copy(k.bytes[from:to], b[from-lo:to-lo])
		if g.from < from {
			kept = append(kept, gap{g.from, from})
		}
		if to < g.to {
			kept = append(kept, gap{to, g.to})
		}
		x = to
	}
	k.same(at, seq, x, hi, lo, b)
	if j > i {
		k.gaps = append(k.gaps[:i:i], append(kept, k.gaps[j:]...)...)
	}
}

// same compares bytes [from, to), which were seen, with those of a packet that begins at lo.
func (k *capturedConn) same(at time.Time, seq uint32, from, to, lo uint64, b []byte) {
	if from >= to {
		return
	}
	k.again += to - from
	for x := from; x < to; x++ {
		if k.bytes[x] != b[x-lo] {
			k.differs = append(k.differs, differs{at: at, offset: x, seq: seq, length: len(b), was: k.bytes[x], is: b[x-lo]})
			return
		}
	}
}

func (k *capturedConn) ack(n uint32) {
	if len(k.acks) == 0 || int32(n-k.top) > 0 {
		k.top = n
	}
	k.acks[n] = struct{}{}
}

// tooShort reports that the capture ended before the peer can have sent that number.
func (k *capturedConn) tooShort(raw uint32) bool { return !k.ended && int32(raw-k.top) > 0 }

// acked reports that the peer sent that acknowledgement number.
func (k *capturedConn) acked(raw uint32) bool {
	_, ok := k.acks[raw]
	return ok
}

// find is the connection of the trace in the capture; nil where there is none.
func (c *Capture) find(s *conn) *capturedConn {
	for _, k := range c.conns[pair{s.local, s.remote}] {
		if k.iss == s.iss {
			return k
		}
	}
	return nil
}

// compare reports retransmissions that are not what was sent first. A probe's byte is below what is ACKed and of no stream.
func (c *Checker) compare() {
	if c.capture.Cut > 0 {
		c.undecided("capture: %d packets are cut: capture them whole (tcpdump -s 0), or what they carry can't be compared", c.capture.Cut)
	}
	for _, s := range c.all {
		k := s.conn.seen
		if k == nil {
			if s.conn.commits > 0 {
				c.undecided("capture: it has no SYN of connection %d (%v): begin it before the connection", s.conn.id, s.conn)
			}
			continue
		}
		if k.behind > 0 {
			c.undecided("capture: it ends before connection %d (%v) does: no ACK for %d releases", s.conn.id, s.conn, k.behind)
		}
		c.r.Compared += k.again
		for _, d := range k.differs {
			if _, probe := s.conn.probes[d.seq]; probe && d.length == 1 {
				continue
			}
			c.violation(Violation{Queue: s.queue, Conn: s.conn.id, Flow: s.conn.String(), What: fmt.Sprintf(
				"capture at %s: byte %d of the stream is %#02x in a retransmission, and was %#02x when it was first sent", d.at.UTC().Format(time.RFC3339Nano), d.offset, d.is, d.was)})
		}
	}
}

// traced is a connection of the trace, with its queue.
type traced struct {
	queue int
	conn  *conn
}

// remember keeps a connection for the comparison at the end.
func (c *Checker) remember(q *queue, e *trace.Event) *conn {
	s := newConn(e)
	c.all = append(c.all, traced{q.id, s})
	return s
}
