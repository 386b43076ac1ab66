package simnet

import "github.com/xsend/xsend/tcp"

// entry is one thing to happen.
type entry struct {
	at    tcp.Time
	order uint64 // those at the same moment happen in the order in which they were added
	do    func()
}

func (e *entry) before(f *entry) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

// agenda is a binary heap of what is to happen, the earliest first.
type agenda struct {
	heap  []entry
	added uint64
}

// next is when the earliest is due, tcp.Never without any.
func (a *agenda) next() tcp.Time {
	if len(a.heap) == 0 {
		return tcp.Never
	}
	return a.heap[0].at
}

func (a *agenda) add(at tcp.Time, do func()) {
	a.added++
	a.heap = append(a.heap, entry{at, a.added, do})
	h := a.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// take removes the earliest.
func (a *agenda) take() func() {
	h := a.heap
	first, last := h[0].do, len(h)-1
	h[0] = h[last]
	h[last] = entry{}
	a.heap = h[:last]
	a.sink()
	return first
}

func (a *agenda) sink() {
	h := a.heap
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
