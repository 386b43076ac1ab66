package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane"
)

// QueueBooks are the books of one queue at one moment.
type QueueBooks struct {
	Queue int
	dataplane.Books
}

// Books asks each queue's poller for its books. The error says which of them do not add up (dataplane.ErrUnbalanced, a bug
// of ours; the books are there nevertheless), or is dataplane.ErrStopped, or that of ctx.
func (s *Session) Books(ctx context.Context) ([]QueueBooks, error) {
	all := make([]QueueBooks, 0, len(s.queues))
	var errs []error
	for _, q := range s.queues {
		b, err := q.poller.Books(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("queue %d: %w", q.index, err))
			if !errors.Is(err, dataplane.ErrUnbalanced) {
				continue
			}
		}
		b.Ledger.Rewritten = q.rewrittenInFlight()
		all = append(all, QueueBooks{Queue: q.index, Books: b})
	}
	return all, errors.Join(errs...)
}

// Times is how long frames of all queues were in each stage so far; nil without Config.Times. The error is
// dataplane.ErrStopped, or that of ctx.
func (s *Session) Times(ctx context.Context) (*dataplane.Times, error) {
	var sum *dataplane.Times
	for _, q := range s.queues {
		t, err := q.poller.Times(ctx)
		if err != nil {
			return nil, err
		}
		sum = addTimes(sum, t)
	}
	return sum, nil
}

func addTimes(sum, t *dataplane.Times) *dataplane.Times {
	switch {
	case t == nil:
		return sum
	case sum == nil:
		return t
	}
	sum.Add(t)
	return sum
}

// addBooks takes over what remains of a queue.
func (r *Report) addBooks(q *queue) {
	b := q.remains.Books
	b.Ledger.Rewritten = q.rewrittenInFlight()
	r.Books.Add(&b)
	r.Times = addTimes(r.Times, q.remains.Times)
}
