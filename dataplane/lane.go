package dataplane

import "github.com/xsend/xsend/umem"

// commitOp is what a writer asks for through its commit ring.
type commitOp uint8

const (
	opCommit  commitOp = iota
	opAbandon          // the frame is given back
	opClose            // the stream's FIN goes behind what was committed
	opLeave            // the writer is gone
)

type commit struct {
	stream *Stream
	cookie uint64
	frame  umem.Frame
	length uint32
	op     commitOp
	filled uint32 // how long the writer took, in fillUnits; 0 = not measured
}

// lane is the poller's end of a writer. Its rings cannot fill up: there are as many
// entries as the writer can own frames, and each frame is in one place only.
type lane struct {
	writer   *Writer
	credits  *umem.Producer[umem.Frame]
	commits  *umem.Consumer[commit]
	releases *umem.Producer[Release]

	most  int // frames that the writer may own: lent to it, or committed by it
	owned int
	lent  int // those that are not committed
	room  int // frames that its streams may commit within their budgets
	shown int // what the writer knows of room

	streams int // opened with the writer and not over

	fresh   int // frames given since the writer was last woken
	changed bool
	urgent  bool // wake the writer, however little there is
	left    bool
}

// touch notes that there is something to publish to the writer.
func (l *lane) touch(p *Poller) {
	if !l.changed {
		l.changed = true
		p.touchedLanes = append(p.touchedLanes, l) // never more than there are lanes
	}
}

// publishLanes makes visible what was put on the writers' rings in this Step.
func (p *Poller) publishLanes() {
	for _, l := range p.touchedLanes {
		l.changed = false
		if l.room != l.shown {
			l.shown = l.room
			l.writer.room.Store(int32(max(0, l.room)))
		}
		l.credits.Submit()
		l.releases.Submit()
		l.writer.seq.Add(1)
		p.news = true
	}
	p.touchedLanes = p.touchedLanes[:0]
}
