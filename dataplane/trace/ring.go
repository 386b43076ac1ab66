package trace

import "github.com/xsend/xsend/umem"

// Room is how many events a ring of a Writer holds: 4 MiB, what a full 10 Gbit/s makes in 30 ms.
const Room = 1 << 17

// look is for how many places a Ring asks at a time.
const look = 256

// Ring hands events from a poller to whoever writes them down. Put, Add and Flush belong to the poller, Next to one other
// goroutine. Nothing of it allocates, waits, or takes a lock.
type Ring struct {
	// Now is the time of what is put without one; the poller's.
	Now int64

	in   *umem.Producer[words]
	room int    // places that are known to be free
	lost uint64 // events that were not put since the last that was
	all  uint64
	out  *umem.Consumer[words]
}

// NewRing makes a ring of n events, a power of two.
func NewRing(n int) *Ring {
	r := new(Ring)
	r.in, r.out = umem.NewRing[words](n)
	return r
}

// Put adds an event, which is seen after Flush. Where there is no room it is lost, and the next event that is
// put comes behind a Lost that says so.
func (r *Ring) Put(e Event) {
	r.add(words{uint64(e.Time), Who(e.Kind, e.Flags, e.Conn, e.Frame), e.A, Pair(e.B, e.C)})
}

// Add is Put of an event at Now, for those who put many.
func (r *Ring) Add(who, a, bc uint64) { r.add(words{uint64(r.Now), who, a, bc}) }

func (r *Ring) add(w words) {
	if r.room == 0 && !r.ask() {
		r.lost++
		r.all++
		return
	}
	r.room--
	r.in.Put(w)
}

// ask looks for room, and first of all tells what was lost.
func (r *Ring) ask() bool {
	r.room = r.in.Reserve(look)
	if r.lost > 0 && r.room >= 2 {
		r.in.Put(words{uint64(r.Now), Who(Lost, 0, 0, NoFrame), r.lost, 0})
		r.lost = 0
		r.room--
	}
	if r.lost > 0 {
		r.room = 0
	}
	return r.room > 0
}

// Flush lets the other side see what was put.
func (r *Ring) Flush() { r.in.Submit() }

// Lost is how many events found no room so far; for the poller's goroutine, or after it.
func (r *Ring) Lost() uint64 { return r.all }

// Next appends the bytes of at most n events to b and returns how many they are.
func (r *Ring) Next(b []byte, n int) ([]byte, int) {
	n = r.out.Peek(n)
	for range n {
		b = r.out.Take().append(b)
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
