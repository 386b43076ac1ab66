package dataplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// demoteSlice is about how many bytes a Step moves into the arena: some tens of microseconds' worth, so that one
// stopped peer does not make the others' streams stand still.
const demoteSlice = 256 << 10

// holds is the streams whose peers ACK nothing any more, and where their bytes go.
type holds struct {
	arena   *umem.Arena // nil: none
	streams []*Stream   // those that have something to demote, first come first served
	busy    bool        // what is settled now was demoted
}

// streamHold is what the poller knows of one stream's demotion.
type streamHold struct {
	most                    int // payload bytes that frames may be held for; 0 = as many as the budget says
	queued                  bool
	stopped                 bool   // the peer makes no progress, and no frame is lent
	acked                   uint64 // payload bytes
	copied, arrived, lostIn uint64 // of the arena: what the counters know of it
}

func (h *holds) init(cfg *Config) {
	h.arena, h.streams = cfg.Arena, make([]*Stream, 0, cfg.MaxStreams)
}

// demote moves a slice of what stopped peers hold into the arena.
func (p *Poller) demote(now tcp.Time) (work int) {
	left := demoteSlice
	for n := len(p.holds.streams); n > 0 && left > 0; n-- {
		s := p.holds.streams[0]
		p.holds.streams = p.holds.streams[:copy(p.holds.streams, p.holds.streams[1:])]
		s.hold.queued = false
		if s.bits&isHome != 0 {
			continue
		}
		p.unpark(now, s)
		p.holds.busy = true
		left -= s.conn.Demote(now, left)
		if p.trace != nil {
			p.traceDemoted(s)
		}
		if p.stuck(s) && !s.conn.Demoting() {
			s.conn.HoldFull(now)
		}
		p.settle(now)
		p.holds.busy = false
		p.touched(now, s)
		work++
	}
	return work
}

// stuck reports that commits wait for room in the connection of a stopped peer.
func (p *Poller) stuck(s *Stream) bool {
	return s.parked != umem.NoFrame && s.conn.Stopped() && s.conn.Room() == 0
}

// demotedNow marks the commit of a frame whose last hold by TCP went because its bytes are in the arena.
func (p *Poller) demotedNow(r *record) {
	if p.holds.busy && r.reason == Acked {
		r.reason = Demoted
	}
}

// heldBudget is the budget b of a stream, less what its own limit, or its bytes in the arena, take of it. While its peer
// stands still it gets none: what it commits would go the same way.
func (p *Poller) heldBudget(s *Stream, b int) int {
	if s.hold.most > 0 {
		b = min(b, max(minBudget, s.hold.most/p.perFrame(s)))
	}
	if s.hold.stopped {
		return 0
	}
	_, commits := s.conn.Demoted()
	return max(b-commits, min(b, minBudget))
}

// observeHold follows every call into a connection, as observe does.
func (p *Poller) observeHold(s *Stream) {
	h := &s.hold
	if n := s.conn.BytesAcked(); n != h.acked {
		h.acked = n
		s.acked.Store(n)
		if h.copied > h.arrived+h.lostIn { // of these bytes there will be no release that wakes the writer
			s.writer.lane.urgent = true
			s.writer.lane.touch(p)
		}
	}
	if s.stateNow == tcp.Closed && s.bits&isEnded == 0 && errors.Is(s.conn.Err(), tcp.ErrHoldLimit) {
		p.counters.HoldAborts++
	}
	if stopped := s.conn.Stopped(); stopped != h.stopped {
		h.stopped = stopped
		p.resharing = true
		if stopped {
			p.counters.Demotions++
		}
		p.rebudget(s)
	}
	if h.stopped || h.copied > h.arrived+h.lostIn {
		p.countArena(s)
	}
	if h.stopped && !h.queued && (s.conn.Demoting() || p.stuck(s)) {
		h.queued = true
		p.holds.streams = append(p.holds.streams, s)
	}
}

// countArena takes over what the connection counted since.
func (p *Poller) countArena(s *Stream) {
	h := &s.hold
	copied, arrived, lost := s.conn.ArenaBytes()
	p.counters.ArenaCopied += copied - h.copied
	p.counters.ArenaAcked += arrived - h.arrived
	p.counters.ArenaAborted += lost - h.lostIn
	h.copied, h.arrived, h.lostIn = copied, arrived, lost
}

// showArena puts the arena's own figures into the counters.
func (p *Poller) showArena() {
	if a := p.holds.arena; a != nil {
		c := &p.counters
		c.ArenaSize, c.ArenaUsed, c.ArenaPeak = uint64(a.Size()), uint64(a.Used()), uint64(a.Peak())
	}
}

// auditHolds proves that the arena's books are those of the connections.
func (p *Poller) auditHolds() error {
	if p.holds.arena == nil {
		return nil
	}
	bytes := uint64(0)
	for _, s := range p.deadlines.heap {
		n, _ := s.conn.Demoted()
		bytes += uint64(n)
	}
	c := &p.counters
	switch used := p.holds.arena.Used(); {
	case c.ArenaCopied != c.ArenaAcked+c.ArenaAborted+bytes:
		return fmt.Errorf("dataplane: audit: %d bytes went to the arena, %d were ACKed, %d given up, %d are there",
			c.ArenaCopied, c.ArenaAcked, c.ArenaAborted, bytes)
	case bytes > uint64(used) || bytes == 0 && used > 0:
		return fmt.Errorf("dataplane: audit: %d bytes in %d bytes of the arena", bytes, used)
	}
	return p.holds.arena.Audit()
}

// giveBackLent returns frames that were lent for a stream whose peer stands still meanwhile, and that nobody has taken yet.
func (w *Writer) giveBackLent() {
	if !w.demoted {
		return
	}
	w.demoted = false
	n := w.credits.Peek(w.credits.Cap()) + len(w.free) - int(w.room.Load())
	for ; n > 0; n-- {
		w.push(commit{frame: w.credits.Take(), op: opAbandon})
	}
	w.credits.Release()
}

// Acked is how many bytes of what was committed the peer has ACKed, from the first on. A release with the reason Demoted came
// before that: its bytes are with the peer when Acked has reached its End. (A TCP ACK says that the peer's TCP has
// them, not that its application has read them.)
func (s *Stream) Acked() uint64 { return s.acked.Load() }

// WaitAcked blocks until the peer has ACKed the first n bytes of stream s (see Stream.Acked): what a flush has to wait for
// besides the releases, as those of a stopped peer come before the ACK. It is for the writer's goroutine and takes no releases.
// The error is the stream's where it ended before, ErrClosed where that had no error, ErrStopped, or that of ctx.
func (w *Writer) WaitAcked(ctx context.Context, s *Stream, n uint64) error {
	w.check(s)
	for s.Acked() < n {
		switch ended := s.Ended(); {
		case s.Acked() >= n:
		case ended && s.Err() != nil:
			return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), s.Err())
		case ended:
			return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), ErrClosed)
		default:
			if err := w.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
