package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

// batch is how many frames are filled with one system call.
const batch = 64

// errRelease says that a release was not for what had been committed.
var errRelease = errors.New("a release does not match its commit")

// pump moves one stream's bytes from its source into frames, and takes the frames back. It belongs to the
// stream's goroutine.
type pump struct {
	conn    connection
	src     source
	hash    *hasher // nil: no hash
	rewrite bool
	meter   *streamMeter

	bufs    []dataplane.Buf // reserved, to be filled
	ranges  [][]byte        // their bytes
	pending []dataplane.Buf // filled, being summed
	lengths []int           // of the pending ones, bytes
	spare   [][]byte        // the ranges of the pending ones

	offset uint64 // of the next byte in the stream
	tally  tally
}

// tally counts what became of a stream's commits.
type tally struct {
	commits, releases uint64
	written           uint64 // bytes committed
	released          uint64 // bytes released, not those given up
	demoted           uint64 // bytes handed back before their ACK, from the arena they go on
	aborted           uint64 // bytes given up
	early             uint64 // releases while the frame was still held
	holdSum, holdMax  tcp.Duration
	wrong             error // errRelease
}

// streamMeter is what others may read while the stream runs.
type streamMeter struct {
	written, released atomic.Int64 // bytes
	demoted           atomic.Bool  // some were handed back before their ACK
}

func newPump(conn connection, src source, hash, rewrite bool, meter *streamMeter) *pump {
	p := &pump{
		conn: conn, src: src, rewrite: rewrite, meter: meter,
		bufs: make([]dataplane.Buf, 0, batch), ranges: make([][]byte, 0, batch),
		pending: make([]dataplane.Buf, 0, batch), lengths: make([]int, 0, batch), spare: make([][]byte, 0, batch),
	}
	if hash {
		p.hash = newHasher()
	}
	conn.OnRelease(p.released)
	return p
}

// run sends until the source's end, which closes the stream, or until stop ends, which closes it too. Any
// other end is an error: the connection's, which is gone then, or the source's, which the caller answers
// with a RST.
func (p *pump) run(stop context.Context) error {
	for {
		end, err := p.round(stop)
		if err != nil || end {
			p.flush()
			p.abandon()
		}
		switch {
		case err != nil:
			return err
		case end:
			p.conn.CloseWrite()
			return nil
		}
	}
}

// round fills and commits some frames; end is the source's end, or stop's.
func (p *pump) round(stop context.Context) (end bool, err error) {
	if stop.Err() != nil {
		return true, nil
	}
	if err := p.conn.Err(); err != nil { // which a source that pauses would hide
		return false, err
	}
	if err := p.gather(stop); err != nil {
		return stopped(stop, err), unlessEnd(stop, err)
	}
	n, err := p.src.fill(stop, p.ranges)
	err = p.conn.Explain(err, p.ranges...)
	p.take(n)
	if _, waits := p.src.(pausing); waits {
		p.flush()
	}
	return err == io.EOF || stopped(stop, err), unlessEnd(stop, err)
}

// stopped tells whether err only says that stop ended.
func stopped(stop context.Context, err error) bool {
	return err != nil && stop.Err() != nil && (errors.Is(err, stop.Err()) || errors.Is(err, context.Cause(stop)))
}

// unlessEnd is err, unless that is the source's end or stop's.
func unlessEnd(stop context.Context, err error) error {
	if err == io.EOF || stopped(stop, err) {
		return nil
	}
	return err
}

// gather reserves as many frames as there are, and waits for one if there is none. What is still being
// summed is committed before: the frames that it waits for may be those.
func (p *pump) gather(stop context.Context) error {
	p.conn.Poll()
	p.reserve()
	if len(p.bufs) > 0 {
		return nil
	}
	p.flush()
	b, err := p.conn.ReserveWait(stop)
	if err != nil {
		return err
	}
	p.add(b)
	p.reserve()
	return nil
}

func (p *pump) reserve() {
	for len(p.bufs) < batch {
		b, ok := p.conn.Reserve()
		if !ok {
			return
		}
		p.add(b)
	}
}

func (p *pump) add(b dataplane.Buf) {
	p.bufs, p.ranges = append(p.bufs, b), append(p.ranges, b.Bytes)
}

// take makes the frames that hold the first n bytes pending, and commits those that were pending before.
func (p *pump) take(n int) {
	if n == 0 {
		return
	}
	frames := 0
	var lengths [batch]int
	for ; n > 0; frames++ {
		lengths[frames] = min(n, len(p.ranges[frames]))
		p.ranges[frames] = p.ranges[frames][:lengths[frames]]
		n -= lengths[frames]
	}
	p.flush()
	p.pending = append(p.pending, p.bufs[:frames]...)
	p.lengths = append(p.lengths, lengths[:frames]...)
	p.spare = append(p.spare[:0], p.ranges[:frames]...)
	p.bufs = append(p.bufs[:0], p.bufs[frames:]...)
	p.ranges = append(p.ranges[:0], p.ranges[frames:]...)
	if p.hash == nil {
		p.flush()
		return
	}
	p.hash.start(p.spare)
}

// flush commits what is pending, once it is summed.
func (p *pump) flush() {
	if len(p.pending) == 0 {
		return
	}
	if p.hash != nil {
		p.hash.wait()
	}
	for i, b := range p.pending {
		p.conn.Commit(b, p.lengths[i], p.offset)
		p.offset += uint64(p.lengths[i])
	}
	p.tally.commits += uint64(len(p.pending))
	p.tally.written = p.offset
	p.meter.written.Store(int64(p.offset))
	p.pending, p.lengths = p.pending[:0], p.lengths[:0]
}

func (p *pump) abandon() {
	for _, b := range p.bufs {
		p.conn.Abandon(b)
	}
	p.bufs, p.ranges = p.bufs[:0], p.ranges[:0]
}

// marks is what a frame is overwritten with.
var marks = func() (m [4096]byte) {
	for i := range m {
		m[i] = Marker
	}
	return m
}()

// released is told of each release. The marker comes first: it must be as early as anyone could write.
func (p *pump) released(r dataplane.Release, payload []byte) {
	if p.rewrite {
		for b := payload; len(b) > 0; {
			b = b[copy(b, marks[:]):]
		}
	}
	p.tally.add(&r)
	p.meter.released.Store(int64(p.tally.released))
	if r.Reason == dataplane.Demoted {
		p.meter.demoted.Store(true)
	}
}

func (t *tally) add(r *dataplane.Release) {
	t.releases++
	if r.Cookie != r.Start || r.End <= r.Start {
		t.wrong = fmt.Errorf("%w: cookie %d answers bytes %d to %d", errRelease, r.Cookie, r.Start, r.End)
	}
	switch r.Reason {
	case dataplane.Acked:
		t.released += r.End - r.Start
	case dataplane.Demoted:
		t.demoted += r.End - r.Start
	default:
		t.aborted += r.End - r.Start
		return
	}
	if r.Early {
		t.early++
	}
	if hold := max(r.Completed, r.Acked) - r.Submitted; r.Submitted != 0 && hold > 0 {
		t.holdSum += hold
		t.holdMax = max(t.holdMax, hold)
	}
}

// settle waits until every commit has its release.
func (p *pump) settle(ctx context.Context) error {
	for {
		p.conn.Poll()
		if p.tally.releases >= p.tally.commits {
			return nil
		}
		if err := p.conn.Wait(ctx); err != nil {
			return err
		}
	}
}

// sum ends the hash and returns it, "" without.
func (p *pump) sum() string {
	if p.hash == nil {
		return ""
	}
	return p.hash.finish()
}

// holdMean is the mean time from a frame's first submission to the moment it was free.
func (t *tally) holdMean() time.Duration {
	if t.releases == 0 {
		return 0
	}
	return time.Duration(t.holdSum) / time.Duration(t.releases)
}
