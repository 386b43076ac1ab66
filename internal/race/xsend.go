package race

import (
	"context"
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/pattern"
)

// frameWriter is a writer of xsend. A buffer is as many frames as carry a round; it is the writer's again when the last of
// them is, and each of them is rewritten the moment that it is.
type frameWriter struct {
	conn *session.Conn
	book *book
	left []int  // frames of each round that are not back
	full []bool // all frames of the round were committed
	out  int    // rounds that are not back
	err  error  // a release that should not be
}

// runXsend is a run over xsend.
func runXsend(ctx context.Context, cfg *WriterConfig, sender Sender, r *WriterReport) (err error) {
	mode, err := dataplane.ParseReleaseMode(sender.release)
	if err != nil {
		return err
	}
	sc := session.Config{Interface: cfg.Interface, Destination: cfg.Target.Addr(), Port: cfg.Target.Port(), Release: mode, Witness: true}
	if sender.late {
		sc.Late = cfg.Late
	}
	s, err := session.Open(ctx, sc)
	if err != nil {
		return err
	}
	defer func() {
		report, cerr := s.Close()
		err = errors.Join(err, cerr)
		r.RewrittenInFlight, r.LentWhileHeld = &report.RewrittenInFlight, &report.Counters.LentWhileHeld
	}()
	conn, err := s.Dial(ctx, session.DialConfig{Remote: cfg.Target})
	if err != nil {
		return err
	}
	w := &frameWriter{conn: conn, book: newBook(r, cfg.Rounds), left: make([]int, cfg.Rounds), full: make([]bool, cfg.Rounds)}
	r.Local = conn.LocalAddr()
	conn.Writer().OnRelease = w.released
	if err := w.write(ctx, cfg); err != nil {
		return errors.Join(err, conn.Abort(context.WithoutCancel(ctx)))
	}
	w.book.end()
	r.Bytes = int64(cfg.Rounds) * int64(cfg.Round)
	stats, err := conn.Stats(ctx)
	r.Retransmits = stats.Retransmits
	return err
}

// write sends the rounds and our FIN, and waits until the peer has everything and says so, and every frame is back.
func (w *frameWriter) write(ctx context.Context, cfg *WriterConfig) error {
	for round := range cfg.Rounds {
		for w.out >= cfg.Buffers {
			if err := w.wait(ctx); err != nil {
				return err
			}
		}
		if err := w.commit(ctx, round, cfg.Round); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	w.conn.CloseWrite()
	for w.out > 0 {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	return errors.Join(w.err, w.conn.WaitSent(ctx), w.conn.WaitPeerClosed(ctx))
}

// commit sends a round.
func (w *frameWriter) commit(ctx context.Context, round, size int) error {
	out, stream := w.conn.Writer(), w.conn.Stream()
	offset := int64(round) * int64(size)
	w.out++
	w.book.report.Rounds[round].Handed = w.book.now()
	for done := 0; done < size; {
		b, err := out.ReserveWait(ctx, stream)
		if err != nil {
			return err
		}
		n := min(len(b.Bytes), size-done)
		pattern.At(b.Bytes[:n], offset+int64(done))
		w.left[round]++
		out.Commit(stream, b, n, uint64(round))
		done += n
		out.Poll() // what is ours again is rewritten now
	}
	w.full[round] = true
	w.home(round)
	return nil
}

// wait takes releases, and waits for one where there is none.
func (w *frameWriter) wait(ctx context.Context) error {
	if w.conn.Writer().Poll() > 0 {
		return nil
	}
	if err := w.conn.Err(); err != nil {
		return err
	}
	return w.conn.Writer().Wait(ctx)
}

// released is told of each release. The marker comes first: it must be as early as anyone could write.
func (w *frameWriter) released(r dataplane.Release, payload []byte) {
	round := int(r.Cookie)
	m := &w.book.report.Rounds[round]
	m.Back = w.book.now()
	mark(payload)
	m.Rewritten = w.book.now()
	if r.Reason != dataplane.Acked {
		w.err = fmt.Errorf("bytes %d to %d came back as %v", r.Start, r.End, r.Reason)
	}
	w.left[round]--
	w.home(round)
}

// home notes a round whose last frame is back.
func (w *frameWriter) home(round int) {
	if w.full[round] && w.left[round] == 0 {
		w.out--
		w.full[round] = false
	}
}
