package dataplane

import (
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

const none = int32(-1)

// flight is one descriptor that the kernel has not completed: whom its completion
// concerns.
type flight struct {
	stream *Stream
	addr   uint64
	ref    tcp.Ref
	next   int32 // the descriptor of the same frame that was submitted next
}

// flights are all descriptors out, in a fixed array, with a queue for each frame:
// of one frame usually one is out, in the wrong release modes sometimes several.
// The length of a frame's queue is what umem.Pool.InKernel reports of it.
type flights struct {
	slots      []flight
	free       int32
	out        int
	head, tail []int32 // by index of the frame in the pool
}

func (f *flights) init(descriptors, frames int) {
	f.slots = make([]flight, descriptors)
	f.head, f.tail = make([]int32, frames), make([]int32, frames)
	for i := range frames {
		f.head[i] = none
	}
	f.free = none
	for i := descriptors - 1; i >= 0; i-- {
		f.slots[i].next, f.free = f.free, int32(i)
	}
}

// room is how many more descriptors may go out.
func (f *flights) room() int { return len(f.slots) - f.out }

// push notes that a descriptor of the frame went out; the caller asked room first.
func (f *flights) push(frame int, addr uint64, s *Stream, ref tcp.Ref) {
	i := f.free
	slot := &f.slots[i]
	f.free = slot.next
	*slot = flight{stream: s, addr: addr, ref: ref, next: none}
	if f.head[frame] == none {
		f.head[frame] = i
	} else {
		f.slots[f.tail[frame]].next = i
	}
	f.tail[frame] = i
	f.out++
	s.out++
}

// pop takes the descriptor of the frame that is out with that address, or, as some kernels give addresses back
// in the order of submission whatever is complete, the oldest of the frame.
func (f *flights) pop(frame int, addr uint64) (*Stream, tcp.Ref, bool) {
	before, i := none, f.head[frame]
	for ; i != none && f.slots[i].addr != addr; i = f.slots[i].next {
		before = i
	}
	if i == none {
		before, i = none, f.head[frame]
	}
	if i == none {
		return nil, tcp.Ref{}, false
	}
	slot := &f.slots[i]
	if before == none {
		f.head[frame] = slot.next
	} else {
		f.slots[before].next = slot.next
	}
	if f.tail[frame] == i {
		f.tail[frame] = before
	}
	s, ref := slot.stream, slot.ref
	*slot = flight{next: f.free}
	f.free = i
	f.out--
	s.out--
	return s, ref, true
}

// record is what the poller knows of the last commit of a frame.
type record struct {
	stream    *Stream
	cookie    uint64
	start     uint64 // of its bytes in the stream
	committed tcp.Time
	submitted tcp.Time
	completed tcp.Time
	acked     tcp.Time
	length    uint32
	sent      uint32 // payload bytes that were submitted at least once
	xmits     uint32
	next      umem.Frame // the commit that waits behind this one for room in the connection
	last      uint32     // of the frame, whatever is in it: see lastOf
	reason    Reason
	live      bool // committed, and not released yet
}
