package netem

// entry is a packet under way. Packets due at the same moment leave in the order in which they came.
type entry struct {
	due   Time
	order uint64
	frame []byte
	old   bool // not to be counted
}

func (e *entry) before(o *entry) bool {
	return e.due < o.due || e.due == o.due && e.order < o.order
}

// schedule is a heap of entries, the next one first.
type schedule struct {
	heap []entry
	made uint64
}

func (s *schedule) len() int { return len(s.heap) }

func (s *schedule) push(due Time, frame []byte) {
	s.made++
	s.heap = append(s.heap, entry{due: due, order: s.made, frame: frame})
	h := s.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (s *schedule) pop() entry {
	h := s.heap
	first, n := h[0], len(h)-1
	h[0], h[n] = h[n], entry{}
	s.heap = h[:n]
	s.sink(0)
	return first
}

// sink moves entry i down to where it belongs.
func (s *schedule) sink(i int) {
	h := s.heap
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && h[right].before(&h[least]) {
			least = right
		}
		if !h[least].before(&h[i]) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// fifo keeps the moments at which packets will have left the bottleneck, in order.
type fifo struct {
	ring        []Time
	first, held int
}

func (f *fifo) len() int { return f.held }

func (f *fifo) join(t Time) {
	if f.held == len(f.ring) {
		f.grow()
	}
	f.ring[(f.first+f.held)%len(f.ring)] = t
	f.held++
}

// leave forgets those that have left.
func (f *fifo) leave(now Time) {
	for f.held > 0 && f.ring[f.first] <= now {
		f.first = (f.first + 1) % len(f.ring)
		f.held--
	}
}

func (f *fifo) grow() {
	ring := make([]Time, max(64, 2*len(f.ring)))
	for i := range f.held {
		ring[i] = f.ring[(f.first+i)%len(f.ring)]
	}
	f.ring, f.first = ring, 0
}

// bufferSize holds a frame of the usual MTU; larger ones get memory of their own each time.
const bufferSize = 2048

// buffers are frames to be used again.
type buffers [][]byte

// take returns a copy of a frame.
func (b *buffers) take(frame []byte) []byte {
	if len(frame) > bufferSize {
		return append([]byte(nil), frame...)
	}
	n := len(*b) - 1
	if n < 0 {
		return append(make([]byte, 0, bufferSize), frame...)
	}
	buf := (*b)[n]
	*b = (*b)[:n]
	return append(buf[:0], frame...)
}

func (b *buffers) put(buf []byte) {
	if cap(buf) == bufferSize {
		*b = append(*b, buf)
	}
}
