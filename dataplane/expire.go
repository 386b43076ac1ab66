package dataplane

import "github.com/xsend/xsend/tcp"

// deadlines is a binary heap of the streams by when Advance is due. It is lazy: a
// stream's key is never later than its deadline and may be earlier, because nearly
// every ACK moves the retransmission timer away and nearly none lets it expire.
type deadlines struct{ heap []*Stream }

func (d *deadlines) init(streams int) { d.heap = make([]*Stream, 0, streams) }

// next is the earliest key.
func (d *deadlines) next() tcp.Time {
	if len(d.heap) == 0 {
		return tcp.Never
	}
	return d.heap[0].due
}

func (d *deadlines) add(s *Stream) {
	s.heapAt = len(d.heap)
	d.heap = append(d.heap, s)
	d.up(s.heapAt)
}

func (d *deadlines) remove(s *Stream) {
	i, last := s.heapAt, len(d.heap)-1
	d.swap(i, last)
	d.heap[last] = nil
	d.heap = d.heap[:last]
	if i < last {
		d.up(i)
		d.down(i)
	}
}

// earlier moves the key of s forward if its deadline asks for it.
func (d *deadlines) earlier(s *Stream) {
	if t := s.conn.Deadline(); t < s.due {
		s.due = t
		d.up(s.heapAt)
	}
}

// later moves the key of s, which is the first, back to t.
func (d *deadlines) later(s *Stream, t tcp.Time) {
	s.due = t
	d.down(s.heapAt)
}

func (d *deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].heapAt, d.heap[j].heapAt = i, j
}

func (d *deadlines) up(i int) {
	for i > 0 && d.heap[i].due < d.heap[(i-1)/2].due {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (d *deadlines) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(d.heap); c++ {
			if d.heap[c].due < d.heap[least].due {
				least = c
			}
		}
		if least == i {
			return
		}
		d.swap(i, least)
		i = least
	}
}

// expire advances the connections whose deadline has come, each at most once.
func (p *Poller) expire(now tcp.Time) int {
	fired := 0
	for range len(p.deadlines.heap) {
		s := p.deadlines.heap[0]
		if s.due > now {
			break
		}
		if s.conn.Deadline() <= now {
			s.conn.Advance(now)
			p.settle(now)
			p.touched(now, s)
			fired++
		}
		p.deadlines.later(s, max(s.conn.Deadline(), now+1))
	}
	return fired
}

// touched is what follows every call into a connection: it may have something to
// send, another deadline, another state.
func (p *Poller) touched(now tcp.Time, s *Stream) {
	p.ready.add(s)
	p.deadlines.earlier(s)
	p.observe(now, s)
}
