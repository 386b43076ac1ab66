package simnet

import (
	"fmt"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Step implements Stepper: one pass of the poller, then what follows it, then the writer.
func (r *Run) Step(now tcp.Time) int {
	work := r.Poller.Step(now)
	r.Poller.Notify(work == 0)
	if r.Poller.Dead() != nil {
		r.Poller.Rebuild(now)
	}
	work += r.write(now)
	r.idle = work == 0
	return work
}

// Where nothing else says when the kernel goes on, the poller wants to look again after
// kickTick. A queue that stands still is not asked so often here, but at every idleTick.
const (
	kickTick = 10 * tcp.Microsecond
	idleTick = 200 * tcp.Microsecond
)

// Next implements Stepper. Timers are exact: to a connection it makes no difference how
// often the poller was called in between.
func (r *Run) Next(now tcp.Time) tcp.Time {
	t := min(r.Poller.Deadline(), r.wakeAt)
	if r.idle && (t <= now || t == now+kickTick) {
		t = now + idleTick
	}
	for _, s := range r.Streams {
		t = min(t, s.lingerAt)
	}
	return t
}

// write is a turn of the writer, unless it sleeps.
func (r *Run) write(now tcp.Time) int {
	if now < r.wakeAt && r.wakeAt != tcp.Never {
		return 0
	}
	r.wakeAt = tcp.Never
	n := r.writer.Poll()
	if r.looker != nil {
		r.looker.polled(n)
	}
	for _, s := range r.Streams {
		if now < s.startAt {
			r.wakeAt = min(r.wakeAt, s.startAt)
			continue
		}
		n += r.fill(s) + r.linger(now, s)
		if s.Sent == 0 && s.SendClosed() {
			s.Sent = now
		}
	}
	if n > 0 && r.WriterSleep > 0 {
		r.wakeAt = now + 1 + r.World.upTo(r.WriterSleep)
		return 0
	}
	return n
}

// fill commits as much of a stream as there are frames for, then closes it.
func (r *Run) fill(s *Stream) (n int) {
	for s.Written < uint64(r.Bytes) {
		b, ok := r.writer.Reserve(s.Stream)
		if !ok {
			return n
		}
		k := min(len(b.Bytes), r.Bytes-int(s.Written))
		if r.Commit > 0 {
			k = min(k, 1+r.World.random.IntN(r.Commit))
		}
		s.Pattern.Fill(b.Bytes[:k], s.Written)
		r.writer.Commit(s.Stream, b, k, s.Commits)
		s.commits = append(s.commits, commitRecord{start: s.Written, end: s.Written + uint64(k)})
		s.Commits++
		s.Written += uint64(k)
		r.World.note('w', uint64(b.Frame), uint64(k))
		n++
	}
	if !s.closed && s.Established() {
		s.closed = true
		r.writer.CloseWrite(s.Stream)
		n++
	}
	return n
}

// linger ends a stream whose peer does not say FIN in time.
func (r *Run) linger(now tcp.Time, s *Stream) int {
	switch {
	case r.Linger == 0 || !s.SendClosed() || s.lingered:
		return 0
	case s.PeerClosed() || s.Ended():
		s.lingerAt = tcp.Never
	case s.lingerAt == tcp.Never:
		s.lingerAt = now + r.Linger
	case s.lingerAt <= now:
		s.lingerAt, s.lingered = tcp.Never, true
		r.Poller.Abort(now, s.Stream)
		return 1
	}
	return 0
}

// released is the writer being told that a frame is its own again: the moment at
// which everything that was promised must be true.
func (r *Run) released(rel dataplane.Release, payload []byte) {
	s := r.stream(rel.Stream)
	s.answer(&rel)
	if r.looker != nil {
		r.looker.released(&rel)
	}
	r.World.note('l', uint64(rel.Frame), rel.Start)
	switch rel.Reason {
	case dataplane.Acked:
		s.Released += rel.End - rel.Start
		if c := r.peerOf(s); c == nil || uint64(c.Received()) < rel.End {
			r.wrong.BeforeACK++
		}
	case dataplane.Demoted:
		s.Demoted += rel.End - rel.Start
	default:
		s.Aborted += rel.End - rel.Start
	}
	if r.OnRelease != nil {
		r.OnRelease(r, &rel)
	}
	if rel.Frame == umem.NoFrame {
		return
	}
	if r.Kernel().Holds(rel.Frame) > 0 {
		r.wrong.BeforeKernel++
	}
	r.wrong.ReleaseWrong += uint64(s.Pattern.Wrong(payload, rel.Start))
	if r.Rewrite {
		copy(r.region.WriterBytes(rel.Frame)[tcp.PayloadOffset(r.Trial.Kernel.Segments, true):], marked)
	}
}

// answer checks that a release is of a commit, and the only one.
func (s *Stream) answer(rel *dataplane.Release) {
	s.Answers++
	if rel.Cookie >= uint64(len(s.commits)) {
		panic(fmt.Sprintf("simnet: release with cookie %d of %d commits", rel.Cookie, len(s.commits)))
	}
	c := &s.commits[rel.Cookie]
	if c.answered || c.start != rel.Start || c.end != rel.End {
		panic(fmt.Sprintf("simnet: commit %d [%d, %d), answered %v: release of [%d, %d)", rel.Cookie, c.start, c.end, c.answered, rel.Start, rel.End))
	}
	c.answered = true
}

func (r *Run) stream(d *dataplane.Stream) *Stream {
	return r.Streams[d.Flow().LocalPort-firstPort]
}

// peerOf is the peer's end of a stream; nil where there is none.
func (r *Run) peerOf(s *Stream) *PeerConn {
	for _, c := range r.Peer.Conns() {
		if c.Port() == s.Flow().LocalPort {
			return c
		}
	}
	return nil
}

// onWire looks at each packet that leaves the NIC: payload must be as promised
// wherever it is sent from, and however often. A window probe's byte is not of the
// stream.
func (r *Run) onWire(frame []byte) {
	if wire.Parse(frame, false, &r.seg) != nil {
		return
	}
	s := r.Streams[r.seg.Flow.RemotePort-firstPort]
	if !s.checkMark(&r.seg, r.peerOf(s)) {
		r.wrong.WrongMarks++
	}
	if r.seg.PayloadLen <= 1 {
		return
	}
	off := r.seg.Seq - uint32(s.iss) - 1
	r.wrong.WireWrong += uint64(s.Pattern.Wrong(r.seg.Payload, uint64(off)))
}

// Check implements Stepper: the books must add up after each pass.
func (r *Run) Check() error {
	r.audits++
	if r.idle || r.audits%r.Audit != 0 {
		return nil
	}
	census, err := r.Poller.Audit()
	if err != nil {
		return err
	}
	if _, err := r.Poller.BooksNow(); err != nil {
		return err
	}
	r.wrong.LentWhileHeld = max(r.wrong.LentWhileHeld, uint64(census.LentWhileHeld))
	r.dry = r.dry || census.Free <= reserveFrames
	if out := r.Poller.Out(); r.Poller.Dead() == nil && census.Descriptors != out {
		return fmt.Errorf("%d descriptors out by the pool's books, %d by the poller's", census.Descriptors, out)
	}
	return nil
}
