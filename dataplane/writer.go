package dataplane

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/xsend/xsend/umem"
)

// Writer fills frames and commits them to the streams that were opened with it. It
// belongs to one goroutine. It owns the frames that it was lent until it commits or
// abandons them.
type Writer struct {
	poller *Poller
	lane   *lane // the poller's end

	// OnRelease is called by Poll, Reserve and ReserveWait for each release. payload
	// is the writers' view of what was committed; it is the writer's until the
	// function returns, and then the next Reserve may give it out. nil: the writer
	// calls Releases.
	OnRelease func(r Release, payload []byte)

	credits  *umem.Consumer[umem.Frame]
	commits  *umem.Producer[commit]
	releases *umem.Consumer[Release]
	free     []umem.Frame // a stack: the frame released last is still in the cache
	reserved []*Stream    // by index in the pool: whom the frame was reserved for
	bufs     int          // frames in a Buf
	piped    bool         // it has a pipe
	marked   []*Pipe      // with marks that were not reached
	trap     writerTrap
	polling  bool
	gone     bool
	timing   timing
	demoted  bool // a release said so since giveBack

	_    [64]byte
	room atomic.Int32  // frames that the streams may have more; the poller's
	seq  atomic.Uint32 // counts what the poller published; the poller's
	_    [64]byte

	seen    uint32
	waiting atomic.Bool
	wake    chan struct{}
}

// Buf is a reserved frame. Bytes is the writers' view of its payload: one full
// segment, or the whole frame where packets have several descriptors.
type Buf struct {
	Frame umem.Frame
	Bytes []byte
}

// NewWriter makes a writer that will own at most frames frames at a time; 0 means as
// many as there are. It is for the poller's goroutine, between two Steps.
func (p *Poller) NewWriter(frames int) (*Writer, error) {
	if frames < 0 {
		return nil, fmt.Errorf("%w: a writer with %d frames", ErrBadConfig, frames)
	}
	if frames == 0 || frames > p.lendable {
		frames = p.lendable
	}
	w := &Writer{
		poller: p, free: make([]umem.Frame, 0, frames), reserved: make([]*Stream, p.pool.Len()),
		wake: make(chan struct{}, 1), timing: p.newTiming(), trap: p.newWriterTrap(frames),
	}
	l := &lane{writer: w, most: frames}
	// Each frame is in one ring at a time, and a stream is closed once.
	l.credits, w.credits = umem.NewRing[umem.Frame](ceilPow2(frames))
	w.commits, l.commits = umem.NewRing[commit](ceilPow2(frames + p.maxStreams + 1))
	l.releases, w.releases = umem.NewRing[Release](ceilPow2(frames))
	w.lane = l
	p.lanes = append(p.lanes, l)
	p.touchedLanes = append(make([]*lane, 0, len(p.lanes)), p.touchedLanes...)
	return w, nil
}

// Reserve gives a frame to fill for stream s; false where the stream is not
// established, takes no more, has used up its budget, or no frame is there now.
func (w *Writer) Reserve(s *Stream) (Buf, bool) {
	w.check(s)
	w.trap.conceal()
	if s.closed || s.reached.Load()&(isEstablished|isEnded) != isEstablished || s.held >= int(s.budget.Load()) {
		return Buf{}, false
	}
	f, ok := w.frame()
	if !ok {
		return Buf{}, false
	}
	w.trap.allow(f)
	w.reserved[w.poller.pool.Index(f)] = s
	w.timing.reserved(w.poller.pool.Index(f))
	w.bufs++
	s.held++
	b := w.poller.pool.Region().WriterBytes(f)[w.poller.payloadAt:]
	if w.poller.perPacket == 1 {
		n := min(s.MSS(), len(b))
		b = b[:n:n]
	}
	return Buf{Frame: f, Bytes: b}, true
}

// frame takes a free frame: the one released last, or a new one from the poller, or
// one out of the releases where there is a function to tell of them.
func (w *Writer) frame() (umem.Frame, bool) {
	if len(w.free) == 0 && w.polls() {
		w.Poll()
	}
	if n := len(w.free); n > 0 {
		f := w.free[n-1]
		w.free = w.free[:n-1]
		return f, true
	}
	if w.credits.Peek(1) == 0 {
		return umem.NoFrame, false
	}
	f := w.credits.Take()
	w.credits.Release()
	return f, true
}

// Commit sends the first n bytes of a reserved frame on stream s, behind what was
// committed before. The frame's bytes must not be touched until the Release, which
// carries the cookie. n is from 1 to len(b.Bytes). Commit panics where b is not
// reserved for s.
func (w *Writer) Commit(s *Stream, b Buf, n int, cookie uint64) {
	if s.pipe != nil {
		s.pipe.Send(b, n, cookie, nil)
		return
	}
	w.commit(s, b, n, cookie)
}

func (w *Writer) commit(s *Stream, b Buf, n int, cookie uint64) {
	w.check(s)
	if n < 1 || n > len(b.Bytes) {
		panic(fmt.Sprintf("dataplane: commit of %d bytes in a frame of %d", n, len(b.Bytes)))
	}
	w.unreserve(s, b.Frame, "commit")
	w.trap.commit(s, b.Frame, n, cookie)
	w.poller.sums.committed(b.Frame, n)
	w.push(commit{stream: s, cookie: cookie, frame: b.Frame, length: uint32(n), filled: w.timing.filled(w.poller.pool.Index(b.Frame))})
}

// Abandon gives a frame that was reserved for s back, unused.
func (w *Writer) Abandon(s *Stream, b Buf) {
	w.check(s)
	w.unreserve(s, b.Frame, "abandon")
	w.trap.forbid(b.Frame)
	s.held--
	w.free = append(w.free, b.Frame)
}

// CloseWrite sends our FIN behind everything that was committed. Further calls do
// nothing.
func (w *Writer) CloseWrite(s *Stream) {
	w.check(s)
	if s.closed {
		return
	}
	s.closed = true
	w.push(commit{stream: s, op: opClose})
}

// Releases takes releases, at most len(out), and returns how many. Their bytes (see
// Payload) are the writer's until the next Reserve, Releases, Poll or Wait.
func (w *Writer) Releases(out []Release) int {
	w.trap.conceal()
	w.giveBack() // what was shown the last time
	n := w.releases.Peek(len(out))
	for i := range out[:n] {
		out[i] = w.releases.Take()
		w.trap.show(out[i].Frame)
		w.tell(&out[i])
		w.took(&out[i])
	}
	if n > 0 {
		w.releases.Release()
	}
	return n
}

// Poll calls OnRelease for every release that is there, behind the piece's own
// function where a Pipe sent it, and returns how many were.
func (w *Writer) Poll() int {
	if w.polling {
		return 0
	}
	w.polling = true
	w.trap.conceal()
	n := w.releases.Peek(w.releases.Cap())
	for range n {
		r := w.releases.Take()
		w.trap.allow(r.Frame)
		w.tell(&r)
		if w.OnRelease != nil {
			w.OnRelease(r, w.Payload(&r))
		}
		w.trap.forbid(r.Frame)
		w.took(&r)
	}
	w.reachAll()
	w.polling = false
	if n > 0 {
		w.releases.Release()
		w.giveBack()
	}
	return n
}

func (w *Writer) took(r *Release) {
	r.Stream.held--
	w.demoted = w.demoted || r.Reason == Demoted
	if r.Frame != umem.NoFrame {
		w.free = append(w.free, r.Frame)
	}
}

// Payload is the writers' view of the bytes that a release is about; nil where the
// frame did not come back.
func (w *Writer) Payload(r *Release) []byte {
	if r.Frame == umem.NoFrame {
		return nil
	}
	at, n := w.poller.payloadAt, int(r.End-r.Start)
	return w.poller.pool.Region().WriterBytes(r.Frame)[at : at+n : at+n]
}

// giveBack returns free frames that no budget of this writer's streams allows it to
// use, so that others can.
func (w *Writer) giveBack() {
	for room := int(w.room.Load()); len(w.free) > room; {
		n := len(w.free) - 1
		w.push(commit{frame: w.free[n], op: opAbandon})
		w.free = w.free[:n]
	}
	w.giveBackLent()
}

// Held is the number of frames that are reserved or committed for s and not
// released; for the writer's goroutine.
func (w *Writer) Held(s *Stream) int { return s.held }

// Close gives every frame back. What was committed is still sent; nobody is told of
// its release. Reserved frames must be committed or abandoned before. The writer
// must not be used any more.
func (w *Writer) Close() {
	if w.gone {
		return
	}
	if w.bufs > 0 {
		panic(fmt.Sprintf("dataplane: writer closed with %d frames reserved", w.bufs))
	}
	w.gone = true
	w.trap.conceal()
	for _, p := range w.marked {
		p.leave()
	}
	w.push(commit{op: opLeave})
}

func (w *Writer) check(s *Stream) {
	if s.writer != w {
		panic("dataplane: stream of another writer")
	}
}

func (w *Writer) unreserve(s *Stream, f umem.Frame, op string) {
	i := w.poller.pool.Index(f)
	if uint(i) >= uint(len(w.reserved)) || w.reserved[i] != s {
		panic(fmt.Sprintf("dataplane: %s of frame %d, which is not reserved for that stream", op, f))
	}
	w.reserved[i] = nil
	w.bufs--
}

// push puts one request on the ring, which cannot be full, and wakes the poller.
func (w *Writer) push(c commit) {
	if w.commits.Reserve(1) == 0 {
		panic("dataplane: commit ring is full: more frames than the writer can own")
	}
	w.commits.Put(c)
	w.commits.Submit()
	w.poller.wakeUp()
}

// Wait blocks until the poller had something for this writer since the last Wait:
// frames, releases, or news of one of its streams. It may return early. It needs a
// poller that runs.
func (w *Writer) Wait(ctx context.Context) error {
	w.trap.conceal()
	w.giveBack()
	for {
		if n := w.seq.Load(); n != w.seen {
			w.seen = n
			return nil
		}
		w.waiting.Store(true)
		if w.seq.Load() != w.seen {
			w.waiting.Store(false)
			continue
		}
		select {
		case <-w.wake:
		case <-w.poller.stopped:
			return ErrStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReserveWait is Reserve that waits for a frame. The error is the stream's where it
// ended, ErrClosed after CloseWrite, ErrReleases, ErrStopped, or that of ctx.
func (w *Writer) ReserveWait(ctx context.Context, s *Stream) (Buf, error) {
	for {
		if b, ok := w.Reserve(s); ok {
			return b, nil
		}
		switch {
		case s.closed:
			return Buf{}, ErrClosed
		case s.Ended() && s.Err() != nil:
			return Buf{}, fmt.Errorf("%v: %w", s.flow.RemoteAddr(), s.Err())
		case s.Ended():
			return Buf{}, ErrClosed
		}
		if w.releases.Peek(1) > 0 {
			if !w.polls() {
				return Buf{}, ErrReleases
			}
			w.Poll()
			continue
		}
		if err := w.Wait(ctx); err != nil {
			return Buf{}, err
		}
	}
}
