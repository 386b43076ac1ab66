package pcap

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Commented writes packets with a comment each, which pcapgo can't. What was sent and what was received are interfaces of their own,
// as in a Writer's file.
type Commented struct {
	w   *bufio.Writer
	buf []byte
}

// The parts of an enhanced packet block (section 4.3 of the draft) and of its comment (section 3.5).
const (
	blockPacket   = 6
	packetFixed   = 28 // type, length, interface, time, captured and original length
	optionComment = 1
)

// NewCommented begins a file. about is the section's comment; packets are of at most snap bytes, the rest of them is cut.
func NewCommented(w io.Writer, application, about string, snap int) (*Commented, error) {
	c := &Commented{w: bufio.NewWriterSize(w, 1<<18)}
	describe := func(direction string) pcapgo.NgInterface {
		return pcapgo.NgInterface{Name: direction, Description: "packets " + direction + ", by the trace", SnapLength: uint32(snap),
			LinkType: layers.LinkTypeEthernet, OS: "linux", TimestampResolution: 9}
	}
	ng, err := pcapgo.NewNgWriterInterface(c.w, describe("sent"),
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{OS: "linux", Application: application, Comment: about}})
	if err != nil {
		return nil, err
	}
	if _, err := ng.AddInterface(describe("received")); err != nil {
		return nil, err
	}
	return c, ng.Flush()
}

// Packet writes the first bytes of a packet of n bytes, of interface Sent or Received.
func (c *Commented) Packet(at time.Time, itf int, b []byte, n int, comment string) error {
	le, padding := binary.LittleEndian, [4]byte{}
	pad := func(n int) []byte { return padding[:-n&3] }
	comment = comment[:min(len(comment), 1<<16-1)]
	ns := uint64(at.UnixNano())
	p := c.buf[:0]
	for _, word := range []uint32{blockPacket, 0, uint32(itf), uint32(ns >> 32), uint32(ns), uint32(len(b)), uint32(n)} {
		p = le.AppendUint32(p, word)
	}
	p = append(append(p, b...), pad(len(b))...)
	p = le.AppendUint16(le.AppendUint16(p, optionComment), uint16(len(comment)))
	p = append(append(p, comment...), pad(len(comment))...)
	p = le.AppendUint32(p, 0) // the end of the options
	p = le.AppendUint32(p, uint32(len(p)+4))
	le.PutUint32(p[4:], uint32(len(p)))
	c.buf = p
	_, err := c.w.Write(p)
	return err
}

// Flush writes what is left.
func (c *Commented) Flush() error { return c.w.Flush() }
