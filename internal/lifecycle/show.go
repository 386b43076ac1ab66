package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Select is whose life is shown: where none is given, a summary of the file.
type Select struct {
	Queue int   // -1 = any
	Frame int64 // -1 = none
	Conn  int   // 0 = none
	JSON  bool
}

// teller knows what is needed to tell an event: the connections so far, and whose each frame is.
type teller struct {
	queues map[int]*tellerQueue
}

type tellerQueue struct {
	geometry trace.Event
	conns    map[uint16]*conn
	frames   map[uint32]uint16 // the connection of the last commit or descriptor
	packet   uint64            // where in the stream the packet whose descriptors come is
}

func newTeller() *teller { return &teller{queues: map[int]*tellerQueue{}} }

// Line is an event as JSON: what it is of, and its text.
type Line struct {
	Queue int    `json:"queue"`
	Time  int64  `json:"time"` // ns, the poller's clock
	Kind  string `json:"kind"`
	Frame *int64 `json:"frame,omitempty"`
	Conn  uint16 `json:"conn,omitempty"`
	Text  string `json:"text"`
}

// take follows an event and gives its line.
func (t *teller) take(id int, e *trace.Event) Line {
	q := t.queues[id]
	if q == nil {
		q = &tellerQueue{conns: map[uint16]*conn{}, frames: map[uint32]uint16{}}
		t.queues[id] = q
	}
	l := Line{Queue: id, Time: e.Time, Kind: e.Kind.String(), Conn: e.Conn}
	if e.Kind == trace.Queue {
		l.Conn = 0
	}
	if e.Frame != trace.NoFrame {
		n := int64(e.Frame)
		l.Frame = &n
		switch e.Kind {
		case trace.Commit, trace.Submit:
			q.frames[e.Frame] = e.Conn
		case trace.Complete:
			l.Conn = q.frames[e.Frame]
		}
	}
	l.Text = q.tell(e)
	return l
}

// tell says what an event means, and follows it.
func (q *tellerQueue) tell(e *trace.Event) string {
	switch {
	case e.Kind == trace.Open:
		q.conns[e.Conn] = newConn(e)
		return fmt.Sprintf("initial sequence number %d", uint32(e.A>>32))
	case e.Kind < trace.Open:
		return q.tellQueue(e)
	}
	s := q.conns[e.Conn]
	switch e.Kind {
	case trace.Commit, trace.Release:
		return tellCommit(e)
	case trace.Complete:
		if f := umem.Fault(e.Flags); f != umem.FaultNone {
			return fmt.Sprintf("address %#x, which is not believed", e.A)
		}
		return fmt.Sprintf("address %#x", e.A)
	case trace.Lend, trace.Back, trace.Fill, trace.Recycle:
		return ""
	}
	if s == nil {
		return "of a connection that was not opened"
	}
	return tellConn(e, s)
}

func (q *tellerQueue) tellQueue(e *trace.Event) string {
	switch e.Kind {
	case trace.Queue:
		q.geometry = *e
		layout := "packets of one descriptor"
		if e.C > 1 {
			layout = fmt.Sprintf("packets of up to %d descriptors", e.C)
		}
		return fmt.Sprintf("%d frames of %d bytes from frame %d on, payload at %d, %s, release on %v",
			e.A>>32, uint32(e.A), e.Frame, e.B, layout, dataplane.ReleaseMode(e.Flags))
	case trace.Count:
		return fmt.Sprintf("%s: %d", [...]string{"submitted", "completed", "quarantined", "releases", "?"}[min(e.Flags, 4)], e.A)
	case trace.Lost:
		return fmt.Sprintf("%d events are missing here", e.A)
	case trace.Dead:
		return fmt.Sprintf("%d descriptors in quarantine", e.A)
	}
	return ""
}

func tellCommit(e *trace.Event) string {
	if e.Kind == trace.Commit {
		return fmt.Sprintf("[%d, %d), cookie %d", e.A, e.A+uint64(e.B), e.C)
	}
	return fmt.Sprintf("[%d, %d), %s, after %d packets", e.A, e.A+uint64(e.B), reasonName(e.Flags), e.C)
}

func tellConn(e *trace.Event, s *conn) string {
	switch e.Kind {
	case trace.Local, trace.Remote, trace.Path:
		s.describe(e)
		return [...]string{s.local.String(), s.remote.String(), s.String()}[e.Kind-trace.Local]
	case trace.State:
		text := stateName(e.Flags)
		if e.B != 0 {
			text += ", with an error"
		}
		return fmt.Sprintf("%s, %d bytes ACKed", text, e.A)
	case trace.Ack:
		s.acked, s.peer = e.A, e.C
		return fmt.Sprintf("%d bytes ACKed, by number %d", e.A, e.B)
	case trace.Demote:
		return fmt.Sprintf("%d bytes went to the arena so far", e.A)
	case trace.Submit:
		return tellSubmit(e, s)
	}
	return ""
}

func tellSubmit(e *trace.Event, s *conn) string {
	d := sendingOf(e)
	text := fmt.Sprintf("%d bytes at %d, sequence number %d: %s", d.length, d.off, d.seq, whyText(d.why, e.Flags))
	if !d.ofStream() {
		return text
	}
	from := s.offset(d.seq)
	to := from + uint64(d.payload())
	s.sent = max(s.sent, to)
	text += fmt.Sprintf(", [%d, %d) of the stream", from, to)
	switch d.source {
	case e.Frame:
	case trace.NoFrame:
		text += ", copied from the arena"
	default:
		text += fmt.Sprintf(", copied from frame %d", d.source)
	}
	return text
}

// whyText says why a descriptor is sent.
func whyText(w tcp.Why, flags uint8) string {
	text := w.String()
	if flags&trace.First == 0 {
		text += ", payload behind the headers"
	}
	if flags&trace.Again != 0 {
		text += ", sent before"
	}
	return text
}

// wants reports that the line is of what was asked for.
func (s *Select) wants(l *Line, e *trace.Event) bool {
	switch {
	case s.Queue >= 0 && s.Queue != l.Queue:
		return false
	case s.Frame >= 0:
		return int64(e.Frame) == s.Frame || e.Kind == trace.Submit && int64(e.B) == s.Frame || e.Kind == trace.Queue || e.Kind == trace.Lost
	}
	return s.Conn > 0 && int(l.Conn) == s.Conn || e.Kind == trace.Queue || e.Kind == trace.Lost
}

// Show writes the life of what is selected. The error is of reading or writing.
func Show(w io.Writer, t *trace.Reader, sel Select) error {
	tell, found := newTeller(), false
	enc := json.NewEncoder(w)
	err := each(t, func(queue int, e *trace.Event) error {
		l := tell.take(queue, e)
		if !sel.wants(&l, e) {
			return nil
		}
		found = found || e.Kind != trace.Queue && e.Kind != trace.Lost
		if sel.JSON {
			return enc.Encode(l)
		}
		return l.print(w)
	})
	if err == nil && !found {
		err = errors.New("nothing of that in the trace: without --frame and --conn it says what there is")
	}
	return err
}

func (l *Line) print(w io.Writer) error {
	who := ""
	if l.Frame != nil {
		who = fmt.Sprintf("frame %d", *l.Frame)
	}
	if l.Conn > 0 {
		who += fmt.Sprintf(" conn %d", l.Conn)
	}
	_, err := fmt.Fprintf(w, "%s  q%d  %-20s %-11s %s\n", seconds(l.Time), l.Queue, who, l.Kind, l.Text)
	return err
}

// each reads a trace to its end. One that ends within an event is taken as far as it goes.
func each(t *trace.Reader, do func(queue int, e *trace.Event) error) error {
	for {
		queue, e, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, trace.ErrTruncated):
			return nil
		case err != nil:
			return err
		}
		if err := do(queue, &e); err != nil {
			return err
		}
	}
}
