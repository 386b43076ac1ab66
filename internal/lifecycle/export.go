package lifecycle

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/pcap"
	"github.com/xsend/xsend/internal/wire"
)

// about is the comment of the section.
const about = "Made from a lifecycle trace of xsend, which has no packets: addresses, ports, sequence numbers, TCP flags and lengths are those of the trace; " +
	"payload is cut; options are padding of the length that they had; window, IP ID and checksums are not those that were sent. " +
	"Received packets are the ACKs that advanced the cumulative ACK."

// headerMost is the longest headers: Ethernet with a tag, IPv6, TCP with options.
const headerMost = 14 + 4 + 40 + 60

// exporter makes packets of a trace.
type exporter struct {
	teller
	out  *pcap.Commented
	zero map[int]time.Time
	of   map[int]*packet // whose descriptors are coming, by queue
}

// packet is one whose descriptors are coming.
type packet struct {
	first   trace.Event
	payload uint32
	comment string
}

// Export writes the packets of a trace as pcapng with comments. The error is of reading or writing.
func Export(w io.Writer, t *trace.Reader, application string) error {
	out, err := pcap.NewCommented(w, application, about, headerMost)
	if err != nil {
		return err
	}
	x := &exporter{teller: *newTeller(), out: out, zero: t.Zero, of: map[int]*packet{}}
	if err := each(t, x.event); err != nil {
		return err
	}
	return out.Flush()
}

func (x *exporter) event(queue int, e *trace.Event) error {
	l := x.take(queue, e)
	s := x.queues[queue].conns[e.Conn]
	if s == nil {
		return nil
	}
	switch e.Kind {
	case trace.Submit:
		return x.submit(queue, e, s, &l)
	case trace.Ack:
		h := wire.Header{Seq: e.C, Ack: e.B, Flags: wire.FlagACK, Window: 0xffff}
		return x.put(queue, e.Time, pcap.Received, s, &h, 0, l.Text)
	}
	return nil
}

// submit collects the descriptors of a packet, and writes it with the last.
func (x *exporter) submit(queue int, e *trace.Event, s *conn, l *Line) error {
	d := sendingOf(e)
	if e.Flags&trace.First != 0 {
		x.of[queue] = &packet{first: *e}
	}
	p := x.of[queue]
	if p == nil {
		return nil // events of its beginning are lost
	}
	p.payload += d.payload()
	if p.comment != "" {
		p.comment += "\n"
	}
	p.comment += fmt.Sprintf("connection %d, frame %d: %s", e.Conn, e.Frame, l.Text)
	if e.Flags&trace.More != 0 {
		return nil
	}
	delete(x.of, queue)
	d = sendingOf(&p.first)
	h := wire.Header{Seq: d.seq, Flags: d.flags, Window: 0xffff, Options: padding(s, d.headers)}
	if d.flags&wire.FlagACK != 0 {
		h.Ack = s.peer
	}
	return x.put(queue, e.Time, pcap.Sent, s, &h, int(p.payload), p.comment)
}

// padding is options that mean nothing, of the length that headers leave for them.
func padding(s *conn, headers uint32) []byte {
	t, _ := s.template()
	n := min(max(int(headers)-t.HeaderLen(0), 0), 40) &^ 3
	b := make([]byte, n)
	for i := range b {
		b[i] = 1 // no operation
	}
	return b
}

// template is the headers of what the connection sends, and the flow.
func (s *conn) template() (t wire.Template, f wire.Flow) {
	f = wire.FlowOf(s.local, s.remote)
	t.Init(f, s.wirePath())
	return t, f
}

func (s *conn) wirePath() (p wire.Path) {
	copy(p.SrcMAC[:], s.path[:6])
	copy(p.DstMAC[:], s.path[6:12])
	if tag := uint16(s.path[12])<<8 | uint16(s.path[13]); tag != 0xffff {
		p.Tagged, p.VLAN = true, tag
	}
	return p
}

func (x *exporter) put(queue int, at int64, direction int, s *conn, h *wire.Header, payload int, comment string) error {
	if (s.local.Addr() == netip.Addr{}) || (s.remote.Addr() == netip.Addr{}) {
		return nil // its addresses are lost
	}
	t, f := s.template()
	if direction == pcap.Received {
		p := s.wirePath()
		p.SrcMAC, p.DstMAC = p.DstMAC, p.SrcMAC
		f.Local, f.Remote, f.LocalPort, f.RemotePort = f.Remote, f.Local, f.RemotePort, f.LocalPort
		t.Init(f, p)
	}
	var buf [headerMost + 64]byte
	n := t.Put(buf[:], h, payload, 0)
	b := buf[len(buf)-n:]
	return x.out.Packet(x.zero[queue].Add(time.Duration(at)), direction, b, n+payload, comment)
}
