package lifecycle

import (
	"fmt"
	"sort"
	"strings"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

func (c *Checker) frameEvent(q *queue, e *trace.Event) {
	f := q.frame(e.Frame)
	if f == nil {
		c.illegal(q, e, nil, "%v of a frame that the queue doesn't have", e.Kind)
		return
	}
	switch e.Kind {
	case trace.Lend:
		c.move(q, e, f, free, lent)
	case trace.Back:
		c.move(q, e, f, lent, free)
	case trace.Fill:
		c.move(q, e, f, free, filled)
	case trace.Recycle:
		c.move(q, e, f, filled, free)
	case trace.Commit:
		c.commit(q, e, f)
	case trace.Submit:
		c.submit(q, e, f)
	case trace.Release:
		c.release(q, e, f)
	}
}

// move is a frame that passes from one holder to another while the kernel has nothing of it.
func (c *Checker) move(q *queue, e *trace.Event, f *frame, from, to holder) {
	if f.holder != from || f.out > 0 {
		c.illegal(q, e, f.conn, "%v, but it is %v%s", e.Kind, f.holder, f.withKernel())
	}
	f.holder = to
}

func (f *frame) withKernel() string {
	if f.out == 0 {
		return ""
	}
	return fmt.Sprintf(", and the kernel has not completed %d of its descriptors", f.out)
}

func (c *Checker) commit(q *queue, e *trace.Event, f *frame) {
	c.r.Commits++
	s := q.conns[e.Conn]
	if s == nil {
		c.illegal(q, e, nil, "commit to connection %d, which was not opened", e.Conn)
		return
	}
	c.move(q, e, f, lent, committed)
	if e.A != s.end {
		c.illegal(q, e, s, "commit of [%d, %d), and the one before it ended at %d", e.A, e.A+uint64(e.B), s.end)
	}
	if e.B == 0 || over(q.payloadAt, e.B, q.chunk) {
		c.illegal(q, e, s, "commit of %d bytes in a frame of %d", e.B, q.chunk)
	}
	s.end = e.A + uint64(e.B)
	s.open++
	s.commits++
	f.conn, f.start, f.length, f.xmits = s, e.A, e.B, 0
}

// sending is what a Submit says.
type sending struct {
	seq     uint32
	off     uint32
	length  uint32
	headers uint32
	source  uint32
	why     tcp.Why
	flags   uint8 // TCP's
}

func sendingOf(e *trace.Event) sending {
	return sending{
		seq: uint32(e.A >> 32), off: uint32(e.A>>16) & 0xffff, length: uint32(e.A) & 0xffff,
		headers: e.C >> 16, source: e.B, why: tcp.Why(e.C), flags: uint8(e.C >> 8),
	}
}

// payload is the bytes of payload in the descriptor.
func (d *sending) payload() uint32 { return d.length - min(d.headers, d.length) }

// ofStream reports that its payload is of the stream, and not a probe's garbage.
func (d *sending) ofStream() bool { return d.why <= tcp.WhyTailProbe && d.payload() > 0 }

func (c *Checker) submit(q *queue, e *trace.Event, f *frame) {
	s, d := q.conns[e.Conn], sendingOf(e)
	q.submitted++
	f.out++
	switch {
	case s == nil:
		c.illegal(q, e, nil, "a packet of connection %d, which was not opened", e.Conn)
		return
	case q.dead:
		c.illegal(q, e, s, "submitted to a queue that is closed")
	case over(d.off, d.length, q.chunk) || d.headers > d.length:
		c.illegal(q, e, s, "a descriptor of %d bytes at %d, %d of them headers, in a frame of %d", d.length, d.off, d.headers, q.chunk)
	case f.holder != free && f.holder != committed:
		c.illegal(q, e, s, "submitted (%v), but it is %v", d.why, f.holder)
	case f.holder == committed && d.source != e.Frame:
		c.illegal(q, e, s, "submitted (%v) as the engine's own, but it is %v", d.why, f.holder)
	}
	if !d.ofStream() {
		s.probes[d.seq] = struct{}{}
		return
	}
	if to := s.offset(d.seq) + uint64(d.payload()); int64(to-s.sent) > 0 {
		s.sent = to
	}
	if d.source != trace.NoFrame {
		c.carried(q, e, s, &d)
	}
}

// carried checks that payload is of the commit that it is said to be of, and lies where that was put.
func (c *Checker) carried(q *queue, e *trace.Event, s *conn, d *sending) {
	f := q.frame(d.source)
	if f == nil || f.holder != committed || f.conn != s {
		c.illegal(q, e, s, "submitted (%v) with payload of frame %d, which is not committed to the connection", d.why, d.source)
		return
	}
	f.xmits++
	from := d.seq - s.iss - 1 - uint32(f.start) // mod 2^32
	switch {
	case uint64(from)+uint64(d.payload()) > uint64(f.length):
		c.illegal(q, e, s, "sequence number %d with %d bytes is not of the commit of [%d, %d) in frame %d", d.seq, d.payload(), f.start, f.end(), d.source)
	case d.source == e.Frame && d.off+d.headers != q.payloadAt+from:
		c.illegal(q, e, s, "byte %d of the commit is sent from %d in its frame", from, d.off+d.headers)
	}
}

// complete takes an address of the completion ring, whatever the ledger made of it.
func (c *Checker) complete(q *queue, e *trace.Event) {
	n := e.A / uint64(max(q.chunk, 1))
	var f *frame
	if n <= trace.NoFrame {
		f = q.frame(uint32(n))
	}
	believed := umem.Fault(e.Flags) == umem.FaultNone
	held := f != nil && f.out > 0 && f.holder != filled
	switch {
	case believed && !held:
		c.illegal(q, e, nil, "address %#x is taken for a completion, and the kernel has no descriptor there", e.A)
	case believed && uint64(e.Frame) != n:
		c.illegal(q, e, nil, "address %#x is of frame %d", e.A, n)
	case !believed && held:
		c.illegal(q, e, nil, "the completion of %#x is not believed, and the kernel has %d descriptors of frame %d", e.A, f.out, n)
	}
	if !believed {
		q.spurious++
		return
	}
	q.completed++
	if held {
		f.out--
	}
}

// release is what all of it is for: a frame is its writer's when every byte is ACKed, and every descriptor completed.
func (c *Checker) release(q *queue, e *trace.Event, f *frame) {
	q.releases++
	s := q.conns[e.Conn]
	if f.holder != committed {
		c.illegal(q, e, s, "released (%s), but it is %v: twice, or never committed", reasonName(e.Flags), f.holder)
		return
	}
	if f.conn != s || e.A != f.start || e.B != f.length {
		c.illegal(q, e, s, "released as [%d, %d), but connection %d committed [%d, %d) in it", e.A, e.A+uint64(e.B), f.conn.id, f.start, f.end())
	}
	if e.C != f.xmits {
		c.illegal(q, e, f.conn, "released after %d packets, but %d carried bytes of it", e.C, f.xmits)
	}
	f.conn.open--
	c.mayRelease(q, e, f)
	f.holder = lent
	if dataplane.Reason(e.Flags) == dataplane.Quarantined {
		f.holder = lost
	}
}

// mayRelease is the decision.
func (c *Checker) mayRelease(q *queue, e *trace.Event, f *frame) {
	s, why := f.conn, []string{}
	switch dataplane.Reason(e.Flags) {
	case dataplane.Acked:
		if s.acked < f.end() {
			why = append(why, fmt.Sprintf("the peer has ACKed %d", s.acked))
		} else {
			c.justify(q, e, f)
		}
	case dataplane.Aborted:
		if !s.ended && !s.closing && !q.failed {
			q.pending = append(q.pending, pending{*e, s})
		}
	case dataplane.Demoted:
		s.given += f.end() - min(f.end(), max(f.start, s.acked))
		if s.given > s.demoted {
			why = append(why, fmt.Sprintf("%d bytes were copied to the arena, too few for the %d released for that", s.demoted, s.given))
		}
	case dataplane.Quarantined:
		if !q.failed || f.out == 0 {
			why = append(why, "it is not in quarantine for good")
		}
		c.refuse(q, e, f, why)
		return
	default:
		why = append(why, "for no known reason")
	}
	if f.out > 0 {
		why = append(why, fmt.Sprintf("the kernel has not completed %d of its descriptors", f.out))
	}
	c.refuse(q, e, f, why)
}

func (c *Checker) refuse(q *queue, e *trace.Event, f *frame, why []string) {
	if len(why) > 0 {
		c.illegal(q, e, f.conn, "[%d, %d) is released (%s), but %s", f.start, f.end(), reasonName(e.Flags), strings.Join(why, ", and "))
	}
}

// justify finds the first ACK that covers the commit in the capture.
func (c *Checker) justify(q *queue, e *trace.Event, f *frame) {
	s := f.conn
	if s.seen == nil {
		return
	}
	i := sort.Search(len(s.acks), func(i int) bool { return s.acks[i].to >= f.end() })
	if s.seen.acked(s.acks[i].raw) {
		c.r.ACKs++
		return
	}
	if s.seen.tooShort(s.acks[i].raw) {
		s.seen.behind++
		return
	}
	c.illegal(q, e, s, "[%d, %d) is released for ACK %d, which the peer's capture doesn't have", f.start, f.end(), s.acks[i].raw)
}
