package dataplane

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/trap"
	"github.com/xsend/xsend/umem"
)

// StrayWrite is a store to a frame that was not its writer's: see package trap.
type StrayWrite = trap.StrayWrite

// writerTrap is a writer's part of Config.Trap: whenever a frame becomes his, or stops being his, its protection changes.
type writerTrap struct {
	trap  *trap.Trap // nil: nothing is protected
	id    uint32
	shown []umem.Frame // released by Releases, and his until the next call
}

func (p *Poller) newWriterTrap(frames int) writerTrap {
	if p.trap == nil {
		return writerTrap{}
	}
	return writerTrap{trap: p.trap, id: p.trap.NewWriter(), shown: make([]umem.Frame, 0, frames)}
}

// share lets others see who holds what, once this process is dead.
func share(pool *umem.Pool, t *trap.Trap) error {
	if t == nil {
		return nil
	}
	first := umem.Frame(-pool.Index(0))
	if err := pool.Share(t.Ledger(first, pool.Len())); err != nil {
		return fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	return nil
}

func (t *writerTrap) allow(f umem.Frame) {
	if t.trap != nil && f != umem.NoFrame {
		t.trap.Allow(f)
	}
}

func (t *writerTrap) forbid(f umem.Frame) {
	if t.trap != nil && f != umem.NoFrame {
		t.trap.Forbid(f)
	}
}

// show is allow until conceal.
func (t *writerTrap) show(f umem.Frame) {
	if t.trap != nil && f != umem.NoFrame {
		t.trap.Allow(f)
		t.shown = append(t.shown, f)
	}
}

func (t *writerTrap) conceal() {
	for _, f := range t.shown {
		t.trap.Forbid(f)
	}
	t.shown = t.shown[:0]
}

// commit ends the writer's hold on a frame, and notes what he wrote.
func (t *writerTrap) commit(s *Stream, f umem.Frame, n int, cookie uint64) {
	if t.trap == nil {
		return
	}
	t.trap.Forbid(f)
	t.trap.Wrote(f, &trap.Last{
		Writer: t.id, Local: s.flow.LocalAddr(), Remote: s.flow.RemoteAddr(), Start: s.wrote, End: s.wrote + uint64(n), Cookie: cookie,
	})
	s.wrote += uint64(n)
}

// Guard runs f, and turns a store of f's, in this goroutine, to a frame that is not its writer's into a *StrayWrite; what f was
// about is undone by its deferred functions, as after a panic. Without Config.Trap it just runs f. Any goroutine may call it.
func (w *Writer) Guard(f func() error) error { return w.trap.trap.Guard(f) }

// Go is Guard in a goroutine of its own; the channel gets f's error, or nil, and is closed.
func (w *Writer) Go(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- w.Guard(f)
	}()
	return done
}

// Explain makes a *StrayWrite of a system call's EFAULT where it was to write to one of bufs, and that lies in a frame which is not
// its writer's; any other error is passed on. Any goroutine may call it.
func (w *Writer) Explain(err error, bufs ...[]byte) error { return w.trap.trap.Explain(err, bufs...) }
