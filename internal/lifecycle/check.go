package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
)

// most is how many violations are kept; the rest are counted.
const most = 1000

// mostFrames is what a queue is believed to have: more is no trace of ours.
const mostFrames = 1 << 24

// Violation is one thing that must not happen.
type Violation struct {
	Queue int    `json:"queue"`
	Time  int64  `json:"time"`            // the poller's clock, ns; 0 where it is the capture's finding
	Frame *int64 `json:"frame,omitempty"` // nil: it is of no frame
	Conn  uint16 `json:"conn,omitempty"`
	Flow  string `json:"flow,omitempty"`
	Event uint64 `json:"event,omitempty"` // the event's number in its queue, from 1
	What  string `json:"what"`
}

func (v Violation) String() string {
	s := fmt.Sprintf("queue %d", v.Queue)
	if v.Event > 0 {
		s += fmt.Sprintf(", event %d at %s", v.Event, seconds(v.Time))
	}
	if v.Frame != nil {
		s += fmt.Sprintf(", frame %d", *v.Frame)
	}
	if v.Conn > 0 {
		s += fmt.Sprintf(", connection %d (%s)", v.Conn, v.Flow)
	}
	return s + ": " + v.What
}

func seconds(ns int64) string { return fmt.Sprintf("%d.%09d s", ns/1e9, ns%1e9) }

// Result is what a check came to.
type Result struct {
	Events      uint64      `json:"events"`
	Lost        uint64      `json:"lost"`
	Queues      int         `json:"queues"`
	Conns       int         `json:"connections"`
	Commits     uint64      `json:"commits"`
	Releases    uint64      `json:"releases"`
	Submitted   uint64      `json:"submitted"`
	Completed   uint64      `json:"completed"`
	Quarantined uint64      `json:"quarantined"`
	Out         uint64      `json:"out"`
	Spurious    uint64      `json:"spurious"`
	Rebuilds    uint64      `json:"rebuilds"`
	ACKs        uint64      `json:"acks_in_capture"` // those that justify a release and are in the capture
	Compared    uint64      `json:"bytes_compared"`  // of retransmissions in the capture, with the first transmission
	Undecided   []string    `json:"undecided"`       // why the trace can't be called legal; empty = nothing
	Illegal     uint64      `json:"illegal"`
	Violations  []Violation `json:"violations"` // the first of them
}

// ExitCode is 0 where everything is legal, 1 where something isn't, 2 where that can't be decided.
func (r *Result) ExitCode() int {
	switch {
	case r.Illegal > 0:
		return 1
	case len(r.Undecided) > 0:
		return 2
	}
	return 0
}

// Checker follows a trace, event by event.
type Checker struct {
	queues  map[int]*queue
	capture *Capture // nil: there is none
	all     []traced // the connections, in the order in which they were opened
	r       Result
}

// NewChecker makes a checker. capture, where it isn't nil, is the peer's.
func NewChecker(capture *Capture) *Checker {
	return &Checker{queues: map[int]*queue{}, capture: capture, r: Result{Undecided: []string{}, Violations: []Violation{}}}
}

// Check reads a trace to its end. The error is of reading: then the trace can't be used.
func Check(t *trace.Reader, capture *Capture) (Result, error) {
	c := NewChecker(capture)
	for {
		queue, e, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return c.Finish(), nil
		case errors.Is(err, trace.ErrTruncated):
			c.undecided("the file ends within an event: it was cut, or its writer was ended")
			return c.Finish(), nil
		case err != nil:
			return Result{}, err
		}
		c.Event(queue, e)
	}
}

func (c *Checker) undecided(format string, args ...any) {
	c.r.Undecided = append(c.r.Undecided, fmt.Sprintf(format, args...))
}

// illegal notes a violation by event e.
func (c *Checker) illegal(q *queue, e *trace.Event, conn *conn, format string, args ...any) {
	v := Violation{Queue: q.id, Time: e.Time, Event: q.events, What: fmt.Sprintf(format, args...)}
	if e.Frame != trace.NoFrame {
		n := int64(e.Frame)
		v.Frame = &n
	}
	if conn != nil {
		v.Conn, v.Flow = conn.id, conn.String()
	}
	c.violation(v)
}

func (c *Checker) violation(v Violation) {
	if c.r.Illegal++; len(c.r.Violations) < most {
		c.r.Violations = append(c.r.Violations, v)
	}
}

// Event takes the next event.
func (c *Checker) Event(id int, e trace.Event) {
	q := c.queues[id]
	if q == nil {
		q = &queue{id: id, conns: map[uint16]*conn{}}
		c.queues[id] = q
	}
	q.events++
	c.r.Events++
	switch {
	case e.Kind == trace.Lost:
		q.lostEvents += e.A
		q.blind = true
		return
	case q.blind: // what follows would be judged by half of what happened
		if e.Kind == trace.End {
			q.ended = true
		}
		return
	case e.Kind == trace.Queue:
		c.begin(q, &e)
		return
	case !q.known || q.ended:
		c.illegal(q, &e, nil, "a %v before the queue's first event, or behind its last", e.Kind)
		return
	}
	c.overdue(q, &e)
	q.now = e.Time
	switch {
	case e.Kind < trace.Open:
		c.queueEvent(q, &e)
	case e.Kind < trace.Lend:
		c.connEvent(q, &e)
	case e.Kind == trace.Complete:
		c.complete(q, &e)
	default:
		c.frameEvent(q, &e)
	}
}

func (c *Checker) begin(q *queue, e *trace.Event) {
	frames := e.A >> 32
	if q.known || frames == 0 || frames > mostFrames || uint32(e.A) == 0 {
		c.illegal(q, e, nil, "a second first event, or one with %d frames", frames)
		q.blind = true
		return
	}
	q.known, q.first, q.chunk, q.payloadAt, q.parts, q.mode = true, e.Frame, uint32(e.A), e.B, e.C, e.Flags
	q.frames = make([]frame, frames)
}

// overdue finds releases whose reason did not come in their pass.
func (c *Checker) overdue(q *queue, e *trace.Event) {
	for len(q.pending) > 0 && (e == nil || e.Time > q.pending[0].e.Time) {
		p := q.pending[0]
		q.pending = q.pending[1:]
		c.illegal(q, &p.e, p.conn, "released as aborted, and its connection lives")
	}
}

func (c *Checker) queueEvent(q *queue, e *trace.Event) {
	switch e.Kind {
	case trace.Dead:
		if out := q.out(); out != e.A {
			c.illegal(q, e, nil, "%d descriptors go into quarantine, and %d are with the kernel", e.A, out)
		}
		q.dead = true
	case trace.Rebuilt:
		q.quarantined += q.out()
		q.dead = false
		q.rebuilds++
		for i := range q.frames {
			f := &q.frames[i]
			f.out = 0
			if f.holder == filled {
				f.holder = free
			}
		}
	case trace.Failed:
		q.failed = true
	case trace.Count:
		c.counted(q, e)
	case trace.End:
		q.ended = true
		c.atEnd(q, e)
	}
}

// inQuarantine is the descriptors that a dead queue never gave back.
func (q *queue) inQuarantine() uint64 {
	if q.dead {
		return q.quarantined + q.out()
	}
	return q.quarantined
}

// counted compares what the poller counted with what it told.
func (c *Checker) counted(q *queue, e *trace.Event) {
	told := map[uint8]struct {
		n    uint64
		what string
	}{
		trace.CountedSubmitted:   {q.submitted, "descriptors submitted"},
		trace.CountedCompleted:   {q.completed, "descriptors completed"},
		trace.CountedQuarantined: {q.inQuarantine(), "descriptors in quarantine"},
		trace.CountedReleases:    {q.releases, "releases"},
	}[e.Flags]
	if told.n != e.A {
		c.illegal(q, e, nil, "%s: the poller counted %d, the trace has %d", told.what, e.A, told.n)
	}
}

// atEnd is what must be true when the poller is closed.
func (c *Checker) atEnd(q *queue, e *trace.Event) {
	out := q.out()
	if q.dead {
		out = 0
	}
	if q.submitted != q.completed+q.inQuarantine()+out {
		c.illegal(q, e, nil, "descriptors: %d submitted, but %d completed, %d in quarantine and %d out", q.submitted, q.completed, q.inQuarantine(), out)
	}
	for i := range q.frames {
		f := &q.frames[i]
		if f.holder == committed && (!q.dead || f.out == 0) {
			at := *e
			at.Frame = q.first + uint32(i)
			c.illegal(q, &at, f.conn, "the commit of [%d, %d) was never released", f.start, f.end())
		}
	}
}

// Finish is the end of the trace.
func (c *Checker) Finish() Result {
	ids := []int{}
	for id := range c.queues {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		c.undecided("there are no events")
	}
	r := &c.r
	for _, id := range ids {
		q := c.queues[id]
		c.overdue(q, nil)
		switch {
		case q.lostEvents > 0:
			c.undecided("queue %d: %d events lost: not decidable from there on", id, q.lostEvents)
		case !q.ended:
			c.undecided("queue %d: the trace has no end: it was cut, or the program was killed", id)
		}
		r.Lost += q.lostEvents
		r.Queues++
		r.Releases += q.releases
		r.Submitted += q.submitted
		r.Completed += q.completed
		r.Quarantined += q.inQuarantine()
		r.Spurious += q.spurious
		r.Rebuilds += q.rebuilds
		if !q.dead {
			r.Out += q.out()
		}
	}
	if c.capture != nil {
		c.compare()
	}
	return *r
}

// reasonName is the name of a release's reason.
func reasonName(flags uint8) string { return dataplane.Reason(flags).String() }

// stateName is the name of a connection's state.
func stateName(flags uint8) string { return tcp.State(flags).String() }

// over adds and says whether that is more than a frame's offset can be.
func over(a, b, limit uint32) bool { return uint64(a)+uint64(b) > uint64(min(limit, math.MaxUint16+1)) }
