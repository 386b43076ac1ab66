package dataplane

import (
	"context"
	"fmt"
	"slices"
)

// Flush waits until everything that was written before is done with: ACKed by the
// peer's TCP, and out of the NIC, so that nothing of it is read or sent any more. It
// is what a block device's completion would wait for.
//
// An ACK says that the peer's kernel has the bytes. It does not say that the program
// there has read them, or will: only an answer of its own protocol says that.
//
// The error wraps the stream's (or ErrClosed) where it ended before the peer ACKed
// everything; it comes once the frames are back. Otherwise it wraps ErrStopped or the
// cause of ctx, and a later Flush waits for the rest. With a release mode that is wrong
// on purpose Flush returns as early as that does.
func (p *Pipe) Flush(ctx context.Context) error {
	p.check()
	for {
		p.writer.Poll()
		if p.Outstanding() == 0 {
			break
		}
		if err := p.writer.Wait(ctx); err != nil {
			p.writer.Poll() // the poller's last words
			if n := p.Outstanding(); n > 0 {
				return p.failed("flush", fmt.Errorf("%d frames are not released: %w", n, err))
			}
		}
	}
	if p.lost {
		return p.failed("flush", p.lostTo())
	}
	if err := p.writer.WaitAcked(ctx, p.stream, p.upTo); err != nil {
		return p.failed("flush", err)
	}
	p.writer.reachAll()
	return nil
}

// Outstanding is the number of commits that have no release yet.
func (p *Pipe) Outstanding() int { return len(p.pieces) - len(p.unused) }

// lostTo is why bytes were given up.
func (p *Pipe) lostTo() error {
	if err := p.ended(); err != nil {
		return err
	}
	return ErrClosed // committed behind CloseWrite
}

// Mark is a place in a stream that any goroutine may wait for, while the writer's goes
// on writing.
type Mark struct {
	writer *Writer
	done   chan struct{}
	err    error // valid once done is closed

	// The writer's.
	left int    // pieces before it, and behind the last one, without a release
	lost bool   // one of them was not ACKed
	upTo uint64 // bytes that the peer must have ACKed, as releases of them came before
}

func newMark(w *Writer) *Mark { return &Mark{writer: w, done: make(chan struct{})} }

// Mark marks the place behind everything written so far. It is reached when Flush
// would return. The writer's goroutine has to see that: in any call that waits, in
// Writer.Poll, or when Writer.News tells it to Poll.
func (p *Pipe) Mark() *Mark {
	m := p.next
	p.next = newMark(p.writer)
	if len(p.marks) == 0 {
		p.writer.marked = append(p.writer.marked, p)
	}
	p.marks = append(p.marks, m)
	p.reach()
	return m
}

// Done is closed when the mark is reached, or cannot be reached any more.
func (m *Mark) Done() <-chan struct{} { return m.done }

// Err is nil until Done is closed, and then where all before the mark was ACKed; else it is
// that of Flush, or ErrClosed where the writer was closed before.
func (m *Mark) Err() error {
	select {
	case <-m.done:
		return m.err
	default:
		return nil
	}
}

// Wait waits for the mark. The error is that of Err, of ctx, or ErrStopped.
func (m *Mark) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		return m.err
	default:
	}
	select {
	case <-m.done:
		return m.err
	case <-m.writer.poller.stopped:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reach wakes those who wait for marks before which nothing is outstanding.
func (p *Pipe) reach() {
	for len(p.marks) > 0 && p.marks[0].left == 0 {
		m := p.marks[0]
		if late := p.stream.Acked() < m.upTo; late && !p.stream.Ended() {
			return // demoted: there is news of the ACK, and then Poll comes here
		} else if late {
			m.lost = p.stream.Acked() < m.upTo
		}
		if m.lost {
			m.err = p.failed("flush", p.lostTo())
			p.second().lost = true
		}
		close(m.done)
		p.marks = slices.Delete(p.marks, 0, 1)
		if len(p.marks) == 0 {
			p.writer.unmark(p)
		}
	}
}

// reachAll is reach for what an ACK, or the stream's end, decides without a release.
func (w *Writer) reachAll() {
	for i := len(w.marked) - 1; i >= 0; i-- {
		w.marked[i].reach()
	}
}

// second is the mark behind the first: what was lost before that one was lost before this.
func (p *Pipe) second() *Mark {
	if len(p.marks) > 1 {
		return p.marks[1]
	}
	return p.next
}

// leave ends the wait for marks: the writer is gone.
func (p *Pipe) leave() {
	for _, m := range p.marks {
		m.err = ErrClosed
		close(m.done)
	}
	p.marks = nil
}

func (w *Writer) unmark(p *Pipe) {
	i := slices.Index(w.marked, p)
	w.marked = slices.Delete(w.marked, i, i+1)
}

// News returns a channel that gets a value when Wait would return, for writers that
// wait for other things too: for {select {case <-w.News(): w.Poll() ...}}. It may get
// one for nothing. Call News each time: it is what asks the poller for it. What the
// poller's end leaves is told; nothing is after that.
func (w *Writer) News() <-chan struct{} {
	w.waiting.Store(true)
	if n := w.seq.Load(); n != w.seen {
		w.seen = n
		w.waiting.Store(false)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return w.wake
}
