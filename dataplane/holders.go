package dataplane

import (
	"fmt"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Holder says who holds a frame and what would set it free: finer than umem.Holder by what the connections know.
type Holder uint8

// The holders. They exclude each other, and every frame has one.
const (
	Free         Holder = iota // nobody: to be lent to writers
	Reserve                    // nobody: kept back for the engine's own packets
	EngineOwn                  // the engine's packets without payload in place: being made, sent, or to be sent again
	WithWriter                 // lent to a writer
	Unsent                     // committed, and part of it was never sent
	Unacked                    // sent, and part of it is neither ACKed nor SACKed by the peer
	BehindHole                 // SACKed: the peer has all of it, and lacks something in front of it
	TCPAndNIC                  // not ACKed, and a transmission of it is with the NIC
	SlowNIC                    // ACKed, and a transmission of it is still with the NIC
	ForReceiving               // lent to the kernel through the fill ring
	InQuarantine               // a dead queue never gave it back
	TooEarly                   // handed back while held; only in a wrong release mode
	NumHolders   = int(TooEarly) + 1
)

// String is the holder's name in reports.
func (h Holder) String() string {
	return [...]string{"free", "reserve", "engine", "writer", "unsent", "unacked", "sack_hole", "tcp_and_nic", "slow_nic",
		"receiving", "quarantine", "lent_early"}[h]
}

// Holders is where every frame is at one moment.
type Holders struct {
	Frames [NumHolders]int // by Holder
	Total  int             // frames of the pool
	Chunk  int             // bytes of a frame
}

// Sum is the frames over all holders; Total, or the books are wrong.
func (h *Holders) Sum() (n int) {
	for _, k := range h.Frames {
		n += k
	}
	return n
}

// Bytes is the memory that a holder has.
func (h *Holders) Bytes(who Holder) int64 { return int64(h.Frames[who]) * int64(h.Chunk) }

// Add adds the frames of another poller, of the same size.
func (h *Holders) Add(o Holders) {
	for i, n := range o.Frames {
		h.Frames[i] += n
	}
	h.Total += o.Total
	h.Chunk = max(h.Chunk, o.Chunk)
}

// holders looks at every frame and every send queue, between two Steps: some 60 µs for 4096 frames (BenchmarkBooks, the
// ledger's part included).
func (p *Poller) holders() Holders {
	h := Holders{Total: p.pool.Len(), Chunk: p.pool.Region().ChunkSize()}
	waits := p.waits()
	for i := range p.records {
		f := p.frameAt(i)
		who, payload := p.pool.Holder(f)
		h.Frames[holderOf(who, payload, waits[i])]++
	}
	h.Frames[Reserve] = min(h.Frames[Free], p.pool.Reserve())
	h.Frames[Free] -= h.Frames[Reserve]
	return h
}

// waits is by frame what its slowest segment waits for, as tcp.Waiting has them in order: a frame of which
// the peer lacks a part is not behind a hole.
func (p *Poller) waits() []tcp.Waiting {
	if p.books.waits == nil {
		p.books.waits = make([]tcp.Waiting, p.pool.Len())
	}
	waits := p.books.waits
	clear(waits)
	see := func(f umem.Frame, w tcp.Waiting) {
		if i := p.pool.Index(f); uint(i) < uint(len(waits)) {
			waits[i] = max(waits[i], w)
		}
	}
	for _, s := range p.deadlines.heap {
		s.conn.EachWaiting(see)
		for f := s.parked; f != umem.NoFrame; f = p.records[p.pool.Index(f)].next {
			see(f, tcp.WaitsForSend)
		}
	}
	return waits
}

func holderOf(who umem.Holder, payload bool, w tcp.Waiting) Holder {
	switch who {
	case umem.HeldByNobody:
		return Free
	case umem.HeldByWriter:
		return WithWriter
	case umem.HeldByFillRing, umem.HeldByRX:
		return ForReceiving
	case umem.HeldByQuarantine:
		return InQuarantine
	case umem.HeldAndLent:
		return TooEarly
	}
	if !payload {
		return EngineOwn
	}
	switch who {
	case umem.HeldByTCPAndKernel:
		return TCPAndNIC
	case umem.HeldByKernel:
		return SlowNIC
	}
	return [...]Holder{tcp.WaitsForHole: BehindHole, tcp.WaitsForSend: Unsent, tcp.WaitsForACK: Unacked}[w]
}

// auditHolders compares what was found frame by frame with what poller and pool count on the way. Under
// quarantine the counts on the way go on as if the frames were where they were.
func (p *Poller) auditHolders(h *Holders) error {
	lent, committed := 0, 0
	for _, l := range p.lanes {
		lent += l.lent
	}
	for _, s := range p.deadlines.heap {
		committed += s.committed
	}
	n := &h.Frames
	payload := n[Unsent] + n[Unacked] + n[BehindHole] + n[TCPAndNIC] + n[SlowNIC]
	switch {
	case h.Sum() != h.Total:
		return fmt.Errorf("%w: holders have %d frames of %d: %+v", ErrUnbalanced, h.Sum(), h.Total, n)
	case n[Free]+n[Reserve] != p.pool.Free():
		return fmt.Errorf("%w: %d frames without a holder, %d are free", ErrUnbalanced, n[Free]+n[Reserve], p.pool.Free())
	case n[InQuarantine] > 0 || p.failed != nil:
		return nil
	case n[WithWriter]+n[TooEarly] != lent:
		return fmt.Errorf("%w: %d frames with writers, counted %d", ErrUnbalanced, n[WithWriter]+n[TooEarly], lent)
	case payload != committed:
		return fmt.Errorf("%w: %d frames with payload, counted %d", ErrUnbalanced, payload, committed)
	case n[ForReceiving] != p.filled:
		return fmt.Errorf("%w: %d frames to receive into, counted %d", ErrUnbalanced, n[ForReceiving], p.filled)
	}
	return nil
}
