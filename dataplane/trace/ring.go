package trace

import "github.com/xsend/xsend/umem"

// Room is how many events a ring of a Writer holds: 8 MiB, a tenth of a second of a full 10 Gbit/s.
const Room = 1 << 18

// Ring hands events from a poller to whoever writes them down. Put and Flush belong to the poller, Next to one other
// goroutine. Nothing of it allocates, waits, or takes a lock.
type Ring struct {
	// Now is the time of what is put without one; the poller's.
	Now int64

	in   *umem.Producer[Event]
	lost uint64 // events that were not put since the last that was
	all  uint64
	out  *umem.Consumer[Event]
}

// NewRing makes a ring of n events, a power of two.
func NewRing(n int) *Ring {
	r := new(Ring)
	r.in, r.out = umem.NewRing[Event](n)
	return r
}

// Put adds an event, which is seen after Flush. Where there is no room it is lost, and the next event that is
// put comes behind a Lost that says so.
func (r *Ring) Put(e Event) {
	if r.lost > 0 && !r.confess() || r.in.Reserve(1) == 0 {
		r.lost++
		r.all++
		return
	}
	r.in.Put(e)
}

// confess puts what was lost, once there is room for that and for what follows.
func (r *Ring) confess() bool {
	if r.in.Reserve(2) < 2 {
		return false
	}
	r.in.Put(Event{Time: r.Now, Kind: Lost, A: r.lost, Frame: NoFrame})
	r.lost = 0
	return true
}

// Flush lets the other side see what was put.
func (r *Ring) Flush() { r.in.Submit() }

// Lost is how many events found no room so far; for the poller's goroutine, or after it.
func (r *Ring) Lost() uint64 { return r.all }

// Next appends the bytes of at most n events to b and returns how many they are.
func (r *Ring) Next(b []byte, n int) ([]byte, int) {
	n = r.out.Peek(n)
	for range n {
		e := r.out.Take()
		b = e.Append(b)
	}
	if n > 0 {
		r.out.Release()
	}
	return b, n
}

// Rest appends what Next does when the poller is gone, and behind it what was lost last.
func (r *Ring) Rest(b []byte) []byte {
	for n := 1; n > 0; {
		b, n = r.Next(b, r.in.Cap())
	}
	if r.lost > 0 {
		e := Event{Time: r.Now, Kind: Lost, A: r.lost, Frame: NoFrame}
		b = e.Append(b)
		r.lost = 0
	}
	return b
}
