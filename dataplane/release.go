package dataplane

import (
	"fmt"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// ReleaseMode says when a writer is told that a frame is his again.
type ReleaseMode uint8

// The modes. All but the first are wrong on purpose: they show what a writer that
// believes them does to the receiver. Connections need tcp.Config.Resum in them.
const (
	// ReleaseAck: ACKed by the peer, and completed by the kernel as often as submitted.
	ReleaseAck ReleaseMode = iota
	// ReleaseCompletion: completed by the kernel. The ACK is not waited for.
	ReleaseCompletion
	// ReleaseSubmit: after the kick that followed the submission, as sendfile() returns.
	ReleaseSubmit
	// ReleaseAcked: ACKed by the peer. Clones that the kernel holds are ignored.
	ReleaseAcked
)

var modeNames = [...]string{"ack", "completion", "submit", "acked"}

// String is the name that ParseReleaseMode takes.
func (m ReleaseMode) String() string { return modeNames[min(int(m), len(modeNames)-1)] }

// ParseReleaseMode is the mode of a name: ack, completion, submit, acked.
func ParseReleaseMode(name string) (ReleaseMode, error) {
	for i, n := range modeNames {
		if n == name {
			return ReleaseMode(i), nil
		}
	}
	return 0, fmt.Errorf("%w: release mode %q: must be one of %v", ErrBadConfig, name, modeNames)
}

// Reason says why a commit was released.
type Reason uint8

// The reasons.
const (
	// Acked: the peer ACKed every byte (or, in a wrong mode, see Release.Early).
	Acked Reason = iota
	// Aborted: the connection ended before the peer ACKed every byte.
	Aborted
	// Quarantined: the queue died for good, and the kernel never gave the frame back:
	// it is not the writer's any more. Frame is umem.NoFrame.
	Quarantined
	// Demoted: the peer ACKed nothing for as long as tcp.Hold allows, and what it has not
	// ACKed was copied. The frame is the writer's again; the bytes are not with the peer before Stream.Acked has
	// reached End, and may never be.
	Demoted
)

// String is the reason in lower case.
func (r Reason) String() string {
	return [...]string{"acked", "aborted", "quarantined", "demoted"}[min(int(r), 3)]
}

// Release answers one commit: the frame is its writer's again.
type Release struct {
	Stream     *Stream
	Cookie     uint64 // as given to Commit
	Start, End uint64 // the commit's bytes in the stream: [Start, End)
	Frame      umem.Frame
	Reason     Reason
	Early      bool // the frame is still held: only in a wrong mode

	Transmissions int      // packets that carried bytes of the commit
	Submitted     tcp.Time // the first of them; 0: none
	Completed     tcp.Time // the last that the kernel completed; 0: none
	Acked         tcp.Time // when the cumulative ACK covered the last byte; 0: not yet, or never
}

// settle takes the pool's events: those ACKed or given up, and frames
// that nobody holds any more. It follows each call that may cause some, so that the
// connection's state tells which of the two it was.
func (p *Poller) settle(now tcp.Time) {
	p.books.now = now
	acked, done := p.pool.Acked(), p.pool.Done()
	if len(acked)+len(done) == 0 {
		return
	}
	if p.trace != nil {
		p.trace.Now = int64(now)
	}
	for _, f := range acked {
		p.acked(now, f)
	}
	for _, f := range done {
		p.release(f, false)
	}
	p.pool.Drain()
}

// acked notes that no un-ACKed segment refers to frame f any more.
func (p *Poller) acked(now tcp.Time, f umem.Frame) {
	r := &p.records[p.pool.Index(f)]
	if !r.live {
		return
	}
	if r.stream.conn.State() == tcp.Closed && r.stream.conn.Err() != nil {
		r.reason = Aborted
	}
	p.demotedNow(r)
	if r.reason == Acked {
		r.acked = now
	}
	if p.mode == ReleaseAcked && p.pool.InKernel(f) > 0 {
		p.releaseEarly(f)
	}
}

// mostHolds is the holds on a frame beyond which even a wrong mode waits: they are
// counted in 16 bits, and a writer that gets the same frame again and again adds one
// each time.
const mostHolds = 1 << 12

// releaseEarly is what the wrong modes do: the frame is held, and its writer is told
// that it is not.
func (p *Poller) releaseEarly(f umem.Frame) {
	if p.pool.InTCP(f) > mostHolds || p.pool.InKernel(f) > mostHolds {
		return
	}
	p.pool.LendEarly(f)
	p.counters.LentWhileHeld += uint64(p.records[p.pool.Index(f)].length)
	p.release(f, true)
}

// releaseCompleted is ReleaseCompletion: every byte of frame f was submitted, and
// the kernel has completed all of it.
func (p *Poller) releaseCompleted(f umem.Frame) {
	r := &p.records[p.pool.Index(f)]
	if r.live && r.sent >= r.length && p.pool.InKernel(f) == 0 && p.pool.InTCP(f) > 0 {
		p.releaseEarly(f)
	}
}

// releaseSubmitted is ReleaseSubmit, after the kick.
func (p *Poller) releaseSubmitted() {
	for _, f := range p.submitted {
		r := &p.records[p.pool.Index(f)]
		if r.live && r.sent >= r.length {
			p.releaseEarly(f)
		}
	}
	p.submitted = p.submitted[:0]
}

// release answers the commit of frame f, and gives the frame to its writer.
func (p *Poller) release(f umem.Frame, early bool) {
	r := &p.records[p.pool.Index(f)]
	if p.trace != nil {
		p.traceRelease(r, p.pool.Index(f))
	}
	l := r.stream.writer.lane
	p.auditRelease(f, r, early)
	p.count(r)
	l.lent++
	if l.left {
		p.takeBack(l, f)
	} else {
		l.releases.Put(r.release(f, early))
		l.fresh++
	}
	p.forget(r)
}

// release is the event that a record becomes.
func (r *record) release(f umem.Frame, early bool) Release {
	return Release{
		Stream: r.stream, Cookie: r.cookie, Start: r.start, End: r.start + uint64(r.length),
		Frame: f, Reason: r.reason, Early: early, Transmissions: int(r.xmits),
		Submitted: r.submitted, Completed: r.completed, Acked: r.acked,
	}
}

func (p *Poller) count(r *record) {
	p.noteReleased(r)
	p.counters.Releases++
	if r.reason == Acked {
		p.counters.BytesReleased += uint64(r.length)
		return
	}
	if r.reason == Demoted {
		p.counters.BytesDemoted += uint64(r.length)
		return
	}
	p.counters.Aborts++
	p.counters.BytesAborted += uint64(r.length)
}

// forget ends a record: its commit has its release.
func (p *Poller) forget(r *record) {
	s := r.stream
	s.committed--
	if s.committed < s.allowed {
		s.writer.lane.room++
	}
	r.live = false
	s.writer.lane.touch(p)
	if s.committed == 0 {
		s.writer.lane.urgent = true
		p.ready.add(s) // perhaps that was the last thing it waited for
		p.resharing = p.resharing || s.closing
	}
}
