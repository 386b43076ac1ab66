package dataplane

import (
	"context"
	"math"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// bookkeeping is what a poller keeps beside its counters for Books.
type bookkeeping struct {
	now     tcp.Time // of the last settle
	times   *Times   // nil where they are not asked for
	refused uint64   // what ports that are closed said, see Refused
	waits   []tcp.Waiting
}

func (b *bookkeeping) init(cfg *Config) {
	if cfg.Times {
		b.times = NewTimes()
	}
}

// lastOf is what a record keeps of the completion that was believed last: where in its frame the address is, plus one.
func (p *Poller) lastOf(f umem.Frame, addr uint64) uint32 { return uint32(addr-p.addr(f)) + 1 }

// noteCompleted is told of a completion that is believed, of frame f, whose commit is r.
func (p *Poller) noteCompleted(f umem.Frame, r *record, addr uint64) {
	r.last = p.lastOf(f, addr)
	if r.live && r.acked != 0 {
		p.counters.Late++
	}
}

// notBelieved counts a completion of a frame that the kernel does not hold.
func (p *Poller) notBelieved(f umem.Frame, addr uint64) {
	if p.records[p.pool.Index(f)].last == p.lastOf(f, addr) {
		p.counters.Duplicate++
	} else {
		p.counters.Spurious++
	}
}

// noteReleased is told of a commit that is answered.
func (p *Poller) noteReleased(r *record) {
	if p.books.times != nil {
		p.books.times.released(p.books.now, r)
	}
}

// noteLeft counts what a writer has whose frames are taken back from it, and that did not say that it leaves.
func (p *Poller) noteLeft(l *lane) {
	if l.left {
		return
	}
	for _, s := range l.writer.reserved {
		if s != nil {
			p.counters.Kept++
		}
	}
	p.counters.Untaken += uint64(l.writer.releases.Peek(l.writer.releases.Cap()))
}

// timing is a writer's own part of Times.
type timing struct {
	clock func() tcp.Time // nil where they are not asked for
	since []tcp.Time      // by index of the frame: when it was reserved
}

func (p *Poller) newTiming() timing {
	if p.books.times == nil {
		return timing{}
	}
	return timing{clock: p.clock, since: make([]tcp.Time, p.pool.Len())}
}

// reserved notes when frame number i was.
func (t *timing) reserved(i int) {
	if t.clock != nil {
		t.since[i] = t.clock()
	}
}

// fillUnits is the unit, in ns, that a commit says in how long it took to fill.
const fillUnits tcp.Duration = 64

// filled is how long the writer took, at least 1; 0 where nobody asks.
func (t *timing) filled(i int) uint32 {
	if t.clock == nil {
		return 0
	}
	return uint32(min(max(1, (t.clock()-t.since[i])/fillUnits), math.MaxUint32))
}

// noteFilled is told how long a writer took.
func (p *Poller) noteFilled(filled uint32) {
	if p.books.times != nil && filled > 0 {
		p.books.times.note(Filling, tcp.Duration(filled)*fillUnits)
	}
}

// Books is what a poller knows of itself at one moment, between two Steps.
type Books struct {
	Ledger  Ledger
	Holders Holders
}

// Add adds the books of another poller.
func (b *Books) Add(o *Books) {
	b.Ledger.Add(o.Ledger)
	b.Holders.Add(o.Holders)
}

// BooksNow looks at every frame and every send queue; for the poller's goroutine, between two Steps. The error wraps
// ErrUnbalanced: the sums of what was found are not what is counted on the way, a bug of ours. The books are
// as they are even then.
func (p *Poller) BooksNow() (Books, error) {
	b := Books{Holders: p.holders()}
	b.Ledger = p.ledger(&b.Holders)
	err := p.auditHolders(&b.Holders)
	if err == nil {
		err = b.Ledger.Balanced()
	}
	return b, err
}

// Books is BooksNow for any other goroutine. The error may also be ErrStopped, or that of ctx.
func (p *Poller) Books(ctx context.Context) (Books, error) {
	var b Books
	var unbalanced error
	if err := p.Do(ctx, func(tcp.Time) { b, unbalanced = p.BooksNow() }); err != nil {
		return Books{}, err
	}
	return b, unbalanced
}

// TimesNow is a copy of the times so far, nil without Config.Times; for the poller's goroutine.
func (p *Poller) TimesNow() *Times {
	if p.books.times == nil {
		return nil
	}
	return p.books.times.clone()
}

// Times is TimesNow for any other goroutine. The error is ErrStopped, or that of ctx.
func (p *Poller) Times(ctx context.Context) (*Times, error) {
	var t *Times
	err := p.Do(ctx, func(tcp.Time) { t = p.TimesNow() })
	return t, err
}

// lastBooks are those of a poller that was closed: what is neither free, nor was lent for receiving, nor in quarantine has no
// holder any more.
func (p *Poller) lastBooks(leaked int) Books {
	b, _ := p.BooksNow() // whoever reads them asks whether they are Settled
	b.Ledger.Placed -= uint64(leaked)
	return b
}
