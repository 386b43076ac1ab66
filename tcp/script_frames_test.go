package tcp

import (
	"fmt"

	"github.com/xsend/xsend/umem"
)

// frameBook is what a writer knows of its frames, kept apart from the pool's books: which
// bytes of the stream are in each, and how many of its transmissions are with the kernel.
// Frames have numbers in the order in which they were written, from 1.
type frameBook struct {
	frames  []writtenFrame
	written int // bytes of the stream
}

type writtenFrame struct {
	frame    umem.Frame
	from, to int // sequence numbers, relative: the first byte of the stream is 1
	out      int // transmissions that the kernel has not completed
	released bool
}

// fill puts the next bytes of the stream into b.
func (b *frameBook) fill(bytes []byte) {
	for k := range bytes {
		bytes[k] = stageByte(b.written + k)
	}
}

func (b *frameBook) commit(f umem.Frame, n int) {
	b.frames = append(b.frames, writtenFrame{frame: f, from: b.written + 1, to: b.written + 1 + n})
	b.written += n
}

// at is the number of the frame that is committed; 0 where f is not.
func (b *frameBook) at(f umem.Frame) int {
	for k := len(b.frames) - 1; k >= 0; k-- {
		if b.frames[k].frame == f && !b.frames[k].released {
			return k + 1
		}
	}
	return 0
}

// each calls f for every frame of a packet.
func (b *frameBook) each(tx *Tx, f func(umem.Frame)) {
	f(tx.Frame)
	for _, p := range tx.Rest[:tx.Parts] {
		f(p.Frame)
	}
}

func (b *frameBook) submitted(f umem.Frame) {
	if k := b.at(f); k > 0 {
		b.frames[k-1].out++
	}
}

func (b *frameBook) completed(f umem.Frame) {
	if k := b.at(f); k > 0 {
		b.frames[k-1].out--
	}
}

// release is what the writer hears: it writes at once.
func (b *frameBook) release(s *stage, f umem.Frame) error {
	k := b.at(f)
	if k == 0 {
		return fmt.Errorf("frame %d of the region was released and is nobody's", f)
	}
	w := &b.frames[k-1]
	if w.out > 0 {
		return fmt.Errorf("frame %d was released; the kernel holds it %d times", k, w.out)
	}
	if s.inArena() < w.to && s.c.State() != Closed {
		return fmt.Errorf("frame %d was released; it ends at %d, the peer ACKed %d", k, w.to, s.acked)
	}
	w.released = true
	bytes := s.pool.Region().WriterBytes(f)
	for i := range bytes {
		bytes[i] = 0xee
	}
	return nil
}

// check proves that the pool counts what we count, and that nothing is kept longer than
// it must be.
func (b *frameBook) check(s *stage) error {
	una := s.c.sndUna.Sub(s.cfg.ISS)
	for k := range b.frames {
		w := &b.frames[k]
		if w.released {
			continue
		}
		if n := s.pool.InKernel(w.frame); n != w.out {
			return fmt.Errorf("frame %d: the kernel holds it %d times, the pool says %d", k+1, w.out, n)
		}
		if w.out == 0 && (w.to <= una || s.c.State() == Closed) {
			return fmt.Errorf("frame %d is ACKed and completed, and was not released", k+1)
		}
	}
	return nil
}

// holders are who has frame k, in the words of ARCHITECTURE.md.
func (b *frameBook) holders(s *stage, k int) (string, error) {
	if k < 1 || k > len(b.frames) {
		return "", fmt.Errorf("frame %d: %d were written", k, len(b.frames))
	}
	w := &b.frames[k-1]
	tcp, kernel := s.pool.InTCP(w.frame) > 0, w.out > 0
	switch {
	case w.released:
		return "released", nil
	case tcp && kernel:
		return "tcp+kernel", nil
	case kernel:
		return "kernel", nil
	}
	return "tcp", nil
}

// engineFrames are those that the connection has beside the writer's: control segments,
// and copies of tails.
func (b *frameBook) engineFrames(s *stage) int {
	n := s.pool.Len() - s.pool.Free() - len(s.hoard)
	for k := range b.frames {
		if !b.frames[k].released {
			n--
		}
	}
	return n
}
