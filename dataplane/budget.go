package dataplane

// How many frames a stream may have is bounded twice. What it needs, which its connection
// knows, and a batch. What is fair: with n
// streams none gets more than 4T/(4n+1) of T frames, which leaves a little for the
// next one to come. That is the fixed point of dynamic thresholds with alpha = 4
// (Choudhury, Hahne: Dynamic queue length thresholds for shared-memory packet
// switches, 1998). A peer that stops reading holds at most its share, for ever.
const (
	budgetBatch = 64
	minBudget   = 2
)

// fairShare is the most that one of n streams may have of total frames.
func fairShare(total, n int) int { return 4 * total / (4*max(n, 1) + 1) }

// perFrame is the payload bytes that a writer of s finds room for in a frame.
func (p *Poller) perFrame(s *Stream) int {
	if p.perPacket > 1 {
		return p.pool.Region().ChunkSize() - p.payloadAt
	}
	return s.mssNow
}

// rebudget adapts the budget of s to what it needs. It grows at once and shrinks only
// by a quarter or more, so that frames do not wander to and fro.
func (p *Poller) rebudget(s *Stream) {
	need := budgetBatch + s.conn.Memory()/p.perFrame(s)
	b := p.heldBudget(s, min(need, p.share))
	if s.closing && s.committed == 0 || s.bits&isEnded != 0 {
		b = 0
	}
	if b > s.allowed || b < s.allowed-s.allowed/4 {
		p.setBudget(s, b)
	}
}

func (p *Poller) setBudget(s *Stream, b int) {
	s.writer.lane.room += max(0, b-s.committed) - max(0, s.allowed-s.committed)
	s.allowed = b
	s.budget.Store(int32(b))
	s.writer.lane.touch(p)
}

// share out anew: a stream came, or one needs nothing any more.
func (p *Poller) reshare() {
	n := 0
	for _, s := range p.deadlines.heap {
		if s.writes() {
			n++
		}
	}
	p.share = fairShare(p.lendable, n)
	for _, s := range p.deadlines.heap {
		if s.allowed > p.share {
			p.setBudget(s, p.share)
		}
		p.rebudget(s)
	}
}

// writes reports that the stream holds frames or may want some.
func (s *Stream) writes() bool {
	return s.committed > 0 || !s.closing && s.bits&isEnded == 0 && !s.hold.stopped
}
