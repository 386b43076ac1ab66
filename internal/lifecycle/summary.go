package lifecycle

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trace"
)

// Summary is what a trace is about.
type Summary struct {
	Created     time.Time         `json:"created"`
	Application string            `json:"application"`
	Events      uint64            `json:"events"`
	Lost        uint64            `json:"lost"`
	Kinds       map[string]uint64 `json:"kinds"`
	Queues      []QueueSummary    `json:"queues"`
	Conns       []ConnSummary     `json:"connections"`
}

// QueueSummary is one queue.
type QueueSummary struct {
	Queue   int     `json:"queue"`
	First   uint32  `json:"first_frame"`
	Frames  uint64  `json:"frames"`
	Chunk   uint32  `json:"chunk"`
	Descs   uint32  `json:"descriptors_per_packet"`
	Release string  `json:"release"`
	Seconds float64 `json:"seconds"` // from the first event with a time to the last
	Ended   bool    `json:"ended"`
	from    int64
}

// ConnSummary is one connection.
type ConnSummary struct {
	Queue   int    `json:"queue"`
	Conn    uint16 `json:"conn"`
	Flow    string `json:"flow"`
	Commits uint64 `json:"commits"`
	Bytes   uint64 `json:"bytes"`
	Acked   uint64 `json:"acked"`
	Packets uint64 `json:"packets"`
	Again   uint64 `json:"sent_again"`
	State   string `json:"state"`
	conn    *conn
}

// Summarize reads a trace to its end.
func Summarize(t *trace.Reader) (Summary, error) {
	s := Summary{Created: t.Header.Created, Application: t.Header.Application, Kinds: map[string]uint64{}, Queues: []QueueSummary{}, Conns: []ConnSummary{}}
	last := map[[2]int]int{}
	err := each(t, func(queue int, e *trace.Event) error {
		s.Events++
		s.Kinds[e.Kind.String()]++
		if e.Kind == trace.Lost {
			s.Lost += e.A
		}
		s.queue(queue, e)
		if e.Kind == trace.Open {
			last[[2]int{queue, int(e.Conn)}] = len(s.Conns)
			s.Conns = append(s.Conns, ConnSummary{Queue: queue, Conn: e.Conn, conn: newConn(e)})
		} else if i, ok := last[[2]int{queue, int(e.Conn)}]; ok && e.Conn > 0 {
			s.Conns[i].add(e)
		}
		return nil
	})
	return s, err
}

func (s *Summary) queue(queue int, e *trace.Event) {
	if e.Kind == trace.Queue {
		s.Queues = append(s.Queues, QueueSummary{Queue: queue, First: e.Frame, Frames: e.A >> 32, Chunk: uint32(e.A), Descs: e.C, Release: dataplane.ReleaseMode(e.Flags).String()})
		return
	}
	i := slices.IndexFunc(s.Queues, func(q QueueSummary) bool { return q.Queue == queue })
	if i < 0 {
		return
	}
	q := &s.Queues[i]
	q.Ended = q.Ended || e.Kind == trace.End
	if q.from == 0 {
		q.from = e.Time
	}
	q.Seconds = float64(e.Time-q.from) / 1e9
}

func (c *ConnSummary) add(e *trace.Event) {
	switch e.Kind {
	case trace.Local, trace.Remote, trace.Path:
		c.conn.describe(e)
		c.Flow = c.conn.String()
	case trace.Commit:
		c.Commits++
		c.Bytes += uint64(e.B)
	case trace.Ack:
		c.Acked = e.A
	case trace.State:
		c.State = stateName(e.Flags)
	case trace.Submit:
		if e.Flags&trace.First != 0 {
			c.Packets++
			if e.Flags&trace.Again != 0 {
				c.Again++
			}
		}
	}
}

// Print writes the summary as text.
func (s *Summary) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "trace       %d events by %s, %s", s.Events, s.Application, s.Created.Format(time.DateTime))
	if s.Lost > 0 {
		fmt.Fprintf(&b, ", and %d LOST", s.Lost)
	}
	b.WriteByte('\n')
	for _, q := range s.Queues {
		fmt.Fprintf(&b, "queue %-5d %d frames of %d bytes from frame %d on, up to %d descriptors in a packet, release on %s, %.3f s",
			q.Queue, q.Frames, q.Chunk, q.First, q.Descs, q.Release, q.Seconds)
		if !q.Ended {
			b.WriteString(", without an end")
		}
		b.WriteByte('\n')
	}
	for _, c := range s.Conns {
		fmt.Fprintf(&b, "conn %-6d queue %d, %s: %d commits of %d bytes, %d ACKed, %d packets, %d of them again, %s\n",
			c.Conn, c.Queue, c.Flow, c.Commits, c.Bytes, c.Acked, c.Packets, c.Again, c.State)
	}
	names := []string{}
	for k, n := range s.Kinds {
		names = append(names, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(names)
	fmt.Fprintf(&b, "events      %s\n", strings.Join(names, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}
