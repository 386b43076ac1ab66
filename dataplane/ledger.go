package dataplane

import (
	"errors"
	"fmt"
)

// ErrUnbalanced says that a line of a Ledger does not add up: a bug of ours, or of whoever counted for us.
var ErrUnbalanced = errors.New("the books don't add up")

// Ledger is the account of every descriptor, byte, commit and frame. Its lines:
//
//	descriptors  Submitted = Completed + Quarantined + InFlight
//	bytes        Written = Released + Demoted + Aborted + Held
//	commits      Commits = Releases + Open
//	frames       Frames = Placed
//
// What is counted on the right is counted apart from what is on the left. The rest are lines of one number each, for what
// should not happen; Faults has them by name.
type Ledger struct {
	Submitted   uint64 // descriptors put on the TX ring
	Completed   uint64 // descriptors that the kernel gave back
	Quarantined uint64 // descriptors that a dead queue, or one that was closed, never gave back
	InFlight    uint64 // descriptors that the kernel has

	Written  uint64 // bytes committed
	Released uint64 // bytes whose commit was answered because they were ACKed (or too early, in a wrong mode)
	Demoted  uint64 // bytes whose commit was answered because they were copied to the arena
	Aborted  uint64 // bytes given up
	Held     uint64 // bytes of commits without an answer

	Commits  uint64 // by writers
	Releases uint64 // answers to them
	Open     uint64 // commits without one

	Frames uint64 // of the pool
	Placed uint64 // frames with a holder, free ones included; at the end those that are free, lent for receiving, or quarantined

	// Duplicate: completions of an address whose completion was the last one believed of its frame, while the kernel held no
	// descriptor of the frame. Spurious: the others of frames that the kernel held no descriptor of, which so were not
	// submitted since. OutOfRange: those of no frame of the pool. None was believed. A false completion of a
	// frame that is out cannot be told from the true one; then the true one is the Duplicate.
	Duplicate, Spurious, OutOfRange uint64

	Late    uint64 // completions of payload that the peer had ACKed already: the NIC was slower than the whole path
	NotSent uint64 // descriptors that the kernel gave back as completed and refused to send (XDP_STATISTICS, tx_invalid_descs)
	Dropped uint64 // packets completed and not sent, as the doorbell said (EBUSY)

	Rewritten     uint64 // descriptors whose bytes changed between submission and completion; counted where there is a witness
	LentWhileHeld uint64 // bytes handed back while the frame was held: 0 with ReleaseAck

	Kept    uint64 // at the end: frames that a writer had reserved, and neither committed nor gave back
	Untaken uint64 // at the end: answers to commits that their writer never took
}

// Line is one number of a Ledger that should be 0.
type Line struct {
	Name  string // as in JSON
	N     uint64
	Means string
}

// Faults are the lines for what should not happen, whether it did or not, always the same in the same order.
func (l *Ledger) Faults() []Line {
	return []Line{
		{"quarantined", l.Quarantined, "descriptors never came back from the kernel"},
		{"late", l.Late, "completions came after the ACK"},
		{"duplicate", l.Duplicate, "completions came again"},
		{"spurious", l.Spurious, "completions of what was not out"},
		{"out_of_range", l.OutOfRange, "completions of addresses that are none of ours"},
		{"not_sent", l.NotSent, "descriptors were completed and refused"},
		{"dropped", l.Dropped, "packets were completed and not sent"},
		{"rewritten_in_flight", l.Rewritten, "descriptors changed under the kernel"},
		{"lent_while_held", l.LentWhileHeld, "bytes were handed back while held"},
		{"kept", l.Kept, "frames stayed with a writer that had reserved them"},
		{"untaken", l.Untaken, "releases were not taken by their writer"},
	}
}

// Balanced is nil if every line adds up; else it wraps ErrUnbalanced and names those that do not. It holds between any two
// Steps.
func (l *Ledger) Balanced() error {
	var errs []error
	line := func(ok bool, format string, numbers ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrUnbalanced}, numbers...)...))
		}
	}
	line(l.Submitted == l.Completed+l.Quarantined+l.InFlight, "descriptors: %d submitted, %d completed, %d quarantined, %d in flight",
		l.Submitted, l.Completed, l.Quarantined, l.InFlight)
	line(l.Written == l.Released+l.Demoted+l.Aborted+l.Held, "bytes: %d written, %d released, %d demoted, %d aborted, %d held",
		l.Written, l.Released, l.Demoted, l.Aborted, l.Held)
	line(l.Commits == l.Releases+l.Open, "commits: %d, %d releases, %d open", l.Commits, l.Releases, l.Open)
	line(l.Frames == l.Placed, "frames: %d, of which %d have a holder", l.Frames, l.Placed)
	return errors.Join(errs...)
}

// Settled is Balanced for the end of everything: nothing may be on its way any more, either.
func (l *Ledger) Settled() error {
	err := l.Balanced()
	if l.InFlight > 0 || l.Held > 0 || l.Open > 0 {
		err = errors.Join(err, fmt.Errorf("%w: at the end %d descriptors in flight, %d bytes in %d commits held", ErrUnbalanced, l.InFlight, l.Held, l.Open))
	}
	return err
}

// Add adds the ledger of another poller.
func (l *Ledger) Add(o Ledger) {
	for _, f := range []struct {
		sum *uint64
		n   uint64
	}{
		{&l.Submitted, o.Submitted}, {&l.Completed, o.Completed}, {&l.Quarantined, o.Quarantined}, {&l.InFlight, o.InFlight},
		{&l.Written, o.Written}, {&l.Released, o.Released}, {&l.Demoted, o.Demoted}, {&l.Aborted, o.Aborted}, {&l.Held, o.Held},
		{&l.Commits, o.Commits}, {&l.Releases, o.Releases}, {&l.Open, o.Open}, {&l.Frames, o.Frames}, {&l.Placed, o.Placed},
		{&l.Duplicate, o.Duplicate}, {&l.Spurious, o.Spurious}, {&l.OutOfRange, o.OutOfRange},
		{&l.Late, o.Late}, {&l.NotSent, o.NotSent}, {&l.Dropped, o.Dropped},
		{&l.Rewritten, o.Rewritten}, {&l.LentWhileHeld, o.LentWhileHeld}, {&l.Kept, o.Kept}, {&l.Untaken, o.Untaken},
	} {
		*f.sum += f.n
	}
}

// ledger is the books between two Steps. Held and Open are counted anew from the commits, Placed from the frames.
func (p *Poller) ledger(h *Holders) Ledger {
	p.noteRefused()
	k := p.CountersNow()
	l := Ledger{
		Submitted: k.Submitted, Completed: k.Completed, Quarantined: k.Quarantined, InFlight: k.Out,
		Written: k.BytesWritten, Released: k.BytesReleased, Demoted: k.BytesDemoted, Aborted: k.BytesAborted, Commits: k.Commits, Releases: k.Releases,
		Frames: uint64(p.pool.Len()), Placed: uint64(h.Sum()),
		Duplicate: k.Duplicate, Spurious: k.Spurious, OutOfRange: k.OutOfRange, Late: k.Late, NotSent: k.NotSent,
		Dropped: k.Kicks[KickDropped], LentWhileHeld: k.LentWhileHeld, Kept: k.Kept, Untaken: k.Untaken,
	}
	for i := range p.records {
		if r := &p.records[i]; r.live {
			l.Open++
			l.Held += uint64(r.length)
		}
	}
	return l
}

// refuser is a Port whose kernel says how many descriptors it took for nonsense: completed, and not sent.
type refuser interface{ Refused() uint64 }

// Refused is the number of descriptors that the kernel gave back as completed and refused to send since the port was
// opened; 0 where the port can't say. It is for the poller's goroutine, and for ports around others.
func Refused(p Port) uint64 {
	if r, ok := p.(refuser); ok {
		return r.Refused()
	}
	return 0
}

// noteRefused takes over what the port says. It may cost a system call, and is not for a Step.
func (p *Poller) noteRefused() {
	if !p.rebuild.closed {
		p.counters.NotSent = p.books.refused + Refused(p.port)
	}
}

// lastRefused is noteRefused for a port that is about to be closed.
func (p *Poller) lastRefused() {
	p.noteRefused()
	p.books.refused = p.counters.NotSent
}
