package dataplane

import (
	"context"
	"errors"
	"fmt"
)

// Pipe writes a stream from ordinary memory (Write), from readers and files (ReadFrom,
// SendFile), and from frames that the caller fills in place (Reserve, Send). It keeps
// nothing back: what a call took is committed when it returns, the last frame short
// where need be, as a net.Conn with TCP_NODELAY does it. Many small writes belong into
// a bufio.Writer in front of it.
//
// It belongs to the writer's goroutine. Its methods take the writer's releases, and
// call the Done functions and Writer.OnRelease for them; none of its methods may be
// called from there, except Mark.
type Pipe struct {
	writer *Writer
	stream *Stream
	ctx    context.Context // see SetContext

	pieces []piece  // by the cookie that their commits carry
	unused []uint64 // those that are not out; a stack
	lost   bool     // a release came whose bytes the peer did not ACK, and never will
	upTo   uint64   // end of the bytes whose release came before their ACK: see Demoted

	file   *fileSource
	bufs   []Buf    // reserved for a file to be read into
	ranges [][]byte // their bytes

	next  *Mark   // the one that the pieces committed now count for
	marks []*Mark // given out and not reached, in the order of the stream
}

// piece is a commit that has no release yet.
type piece struct {
	cookie uint64
	done   Done
	mark   *Mark
}

// Done is told of the release of one piece, on the writer's goroutine, within a method
// of its Pipe or Writer. payload is the piece in its frame, or nil where the frame did
// not come back; it is the writer's until the function returns.
type Done func(r Release, payload []byte)

// Pipe gives the pipe of a stream that was opened with w, making it the first time,
// which must be before anything is reserved or committed for the stream; Pipe panics
// otherwise. With a pipe, Reserve and ReserveWait take the writer's releases even if
// OnRelease is nil.
func (w *Writer) Pipe(s *Stream) *Pipe {
	w.check(s)
	if s.pipe == nil {
		if s.held > 0 {
			panic(fmt.Sprintf("dataplane: a pipe for a stream that has %d frames", s.held))
		}
		s.pipe = &Pipe{writer: w, stream: s, ctx: context.Background(), next: newMark(w)}
		w.piped = true
	}
	return s.pipe
}

// SetContext ends what waits in Write, ReadFrom and SendFile when ctx is done, with
// context.Cause of it: context.WithDeadline makes a deadline. A file or reader that
// waits for its own bytes is not interrupted; close it for that. The pipe goes on with
// another context. Without any they wait as long as the connection lives.
func (p *Pipe) SetContext(ctx context.Context) { p.ctx = ctx }

// Write copies b into frames and commits them; b is the caller's again when it
// returns. It waits while the stream's budget of frames is used up. n is the bytes
// that were committed. The error wraps the stream's where that ended, ErrClosed after
// CloseWrite or a clean end, ErrStopped, or the cause of SetContext's end.
func (p *Pipe) Write(b []byte) (n int, err error) {
	if err := p.begin(); err != nil {
		return 0, p.failed("write to", err)
	}
	for n < len(b) {
		buf, err := p.reserve(p.ctx)
		if err != nil {
			return n, p.failed("write to", err)
		}
		k := copy(buf.Bytes, b[n:])
		p.Send(buf, k, 0, nil)
		n += k
	}
	return n, nil
}

// Reserve waits for a frame to fill, which Send sends and Abandon gives back. The
// error is as that of Write, with ctx in place of SetContext's.
func (p *Pipe) Reserve(ctx context.Context) (Buf, error) {
	p.check()
	b, err := p.reserve(ctx)
	if err != nil {
		return Buf{}, p.failed("reserve for", err)
	}
	return b, nil
}

// Send sends the first n bytes of a reserved frame where they are, behind what was
// written before. They must not be touched until done is told, with the cookie: once,
// whatever becomes of the stream; Release.Reason says which. As with splice(2) no byte
// is copied, and unlike there the end is known. done may be nil. Send panics where b
// is not reserved for the stream, or n isn't from 1 to len(b.Bytes).
func (p *Pipe) Send(b Buf, n int, cookie uint64, done Done) {
	i := uint64(len(p.pieces))
	if k := len(p.unused) - 1; k >= 0 {
		i = p.unused[k]
	}
	p.writer.commit(p.stream, b, n, i)
	if i < uint64(len(p.pieces)) {
		p.unused = p.unused[:len(p.unused)-1]
	} else {
		p.pieces = append(p.pieces, piece{})
	}
	p.pieces[i] = piece{cookie: cookie, done: done, mark: p.next}
	p.next.left++
}

// Abandon gives a reserved frame back, unused.
func (p *Pipe) Abandon(b Buf) { p.writer.Abandon(p.stream, b) }

// CloseWrite sends our FIN behind everything that was written. It does not wait:
// Stream.WaitSendClosed does, and Flush for the frames. The error is the stream's
// where it ended before. Further calls do nothing.
func (p *Pipe) CloseWrite() error {
	p.writer.CloseWrite(p.stream)
	if err := p.stream.Err(); err != nil {
		return p.failed("close", err)
	}
	return nil
}

// begin is what every call begins with that SetContext can end.
func (p *Pipe) begin() error {
	p.check()
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if p.stream.closed {
		return ErrClosed
	}
	return p.ended()
}

// ended is why the stream takes no more; nil while it does.
func (p *Pipe) ended() error {
	switch {
	case !p.stream.Ended():
		return nil
	case p.stream.err != nil:
		return p.stream.err
	}
	return ErrClosed
}

// check panics in a release function: what it would wait for are releases.
func (p *Pipe) check() {
	if p.writer.polling {
		panic("dataplane: a pipe's method is called from a function that is told of releases")
	}
}

// reserve is ReserveWait that looks at the context before it waits, not only meanwhile,
// and at the releases before that.
func (p *Pipe) reserve(ctx context.Context) (Buf, error) {
	for range 2 {
		if b, ok := p.writer.Reserve(p.stream); ok {
			return b, nil
		}
		if p.writer.Poll() == 0 {
			break
		}
	}
	if ctx.Err() != nil {
		return Buf{}, context.Cause(ctx)
	}
	return p.writer.ReserveWait(ctx, p.stream)
}

// failed says what failed, and whose stream it is, once.
func (p *Pipe) failed(op string, err error) error {
	if end := p.ended(); end != nil && errors.Is(err, end) {
		err = end
	}
	return fmt.Errorf("%s %v: %w", op, p.stream.flow.RemoteAddr(), err)
}

// release tells the one who sent a piece, and then whoever waits for a Mark behind it.
// The release gets the cookie that Send was given.
func (p *Pipe) release(r *Release) {
	i := r.Cookie
	c := p.pieces[i]
	p.pieces[i] = piece{}
	p.unused = append(p.unused, i)
	r.Cookie = c.cookie
	if c.done != nil {
		c.done(*r, p.writer.Payload(r))
	}
	switch r.Reason {
	case Acked:
	case Demoted:
		p.upTo, c.mark.upTo = max(p.upTo, r.End), max(c.mark.upTo, r.End)
	default:
		p.lost, c.mark.lost = true, true
	}
	c.mark.left--
	p.reach()
}

// polls reports that somebody is told of releases by Poll, so that it may be called
// where a frame is wanted.
func (w *Writer) polls() bool { return w.OnRelease != nil || w.piped }

// tell tells a pipe of a release of its own; no method of a pipe may be called there.
func (w *Writer) tell(r *Release) {
	if p := r.Stream.pipe; p != nil {
		before := w.polling
		w.polling = true
		p.release(r)
		w.polling = before
	}
}
