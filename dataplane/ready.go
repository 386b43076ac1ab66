package dataplane

// readyQueue is the streams that may have something to send, each at most once,
// first in first out: that is the round robin.
type readyQueue struct {
	ring []*Stream // a power of two, at least as many as there can be streams
	head uint32
	tail uint32
}

func (q *readyQueue) init(streams int) { q.ring = make([]*Stream, ceilPow2(streams)) }

func (q *readyQueue) len() int { return int(q.tail - q.head) }

// add queues s, unless it is queued, or gone for good: a writer may speak of it even
// then, and there are places only for as many as can be open.
func (q *readyQueue) add(s *Stream) {
	if s.ready || s.bits&isHome != 0 {
		return
	}
	s.ready = true
	q.ring[int(q.tail)&(len(q.ring)-1)] = s
	q.tail++
}

func (q *readyQueue) pop() *Stream {
	i := int(q.head) & (len(q.ring) - 1)
	s := q.ring[i]
	q.ring[i] = nil
	q.head++
	s.ready = false
	return s
}

// remove takes s out, whose place may be needed for another.
func (q *readyQueue) remove(s *Stream) {
	for range q.len() {
		if next := q.pop(); next != s {
			q.add(next)
		}
	}
}

// ceilPow2 is the least power of two that is at least n.
func ceilPow2(n int) int {
	p := 1
	for p < n {
		p <<= 1
	}
	return p
}
