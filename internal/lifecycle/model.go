package lifecycle

import (
	"fmt"
	"net/netip"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
)

// holder is whose a frame is. That descriptors of it are with the kernel is counted beside it.
type holder uint8

const (
	free      holder = iota
	lent             // its writer's
	committed        // TCP's, until it is released
	filled           // with the kernel, to receive into
	lost             // in quarantine for good
)

func (h holder) String() string {
	return [...]string{"free", "its writer's", "committed", "in the fill ring", "in quarantine"}[h]
}

// frame is what the model knows of one.
type frame struct {
	holder holder
	out    int // descriptors that the kernel has not completed
	conn   *conn
	start  uint64
	length uint32
	xmits  uint32 // descriptors that carried bytes of the commit
}

func (f *frame) end() uint64 { return f.start + uint64(f.length) }

// conn is a connection.
type conn struct {
	id            uint16
	iss           uint32
	local, remote netip.AddrPort
	path          [16]byte // MAC addresses and tag, as in trace.Path
	acked         uint64   // payload bytes, by the cumulative ACK
	peer          uint32   // sequence number that the peer sends next
	acks          []ack
	end           uint64 // bytes committed
	sent          uint64 // bytes that left at least once
	open          int    // commits without a release
	commits       uint64
	closing       bool // the writer commits no more
	ended         bool
	state         tcp.State
	demoted       uint64 // bytes copied to the arena
	given         uint64 // bytes not ACKed of frames that were released for that
	probes        map[uint32]struct{}
	seen          *capturedConn
}

// ack is one cumulative ACK: the payload bytes that it covers, and its number in the segment.
type ack struct {
	to  uint64
	raw uint32
}

func (c *conn) String() string { return fmt.Sprintf("%v > %v", c.local, c.remote) }

// offset is where in the stream a sequence number is, the candidate next to what was sent.
func (c *conn) offset(seq uint32) uint64 {
	return c.sent + uint64(int64(int32(seq-c.iss-1-uint32(c.sent))))
}

// queue is one poller's frames and connections.
type queue struct {
	id        int
	known     bool // its Queue event was there
	first     uint32
	chunk     uint32
	payloadAt uint32
	parts     uint32
	mode      uint8
	frames    []frame
	conns     map[uint16]*conn
	pending   []pending // aborts whose reason must come at the same time

	dead, failed, ended, blind bool
	now                        int64
	events, lostEvents         uint64
	submitted, completed       uint64
	quarantined, releases      uint64
	spurious, rebuilds         uint64
}

// pending is a release for an end of its connection that the trace has not told yet.
type pending struct {
	e    trace.Event
	conn *conn
}

// out is the descriptors that the kernel has, by the frames.
func (q *queue) out() (n uint64) {
	for i := range q.frames {
		n += uint64(q.frames[i].out)
	}
	return n
}

// frame is the frame of a number; nil where the queue has no such frame.
func (q *queue) frame(n uint32) *frame {
	if i := n - q.first; i < uint32(len(q.frames)) {
		return &q.frames[i]
	}
	return nil
}
