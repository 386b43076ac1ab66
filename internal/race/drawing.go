package race

import (
	"encoding/hex"
	"fmt"
	"math"

	"github.com/xsend/xsend/internal/units"
)

// Sizes in a drawing, in pixels.
const (
	drawingWidth = 960.0
	stripLeft    = 20.0
	stripWidth   = drawingWidth - 2*stripLeft
	byteWidth    = 28.0
	mostCells    = 32 // bytes shown one by one
	leastMark    = 1.0
)

// drawing is one corrupted round.
type drawing struct {
	Row   *Row
	Block string
	Round int64
	Width float64

	Left, Long float64 // of the strip
	Size       string  // of the round
	Wrong      []bar   // its wrong parts
	WrongBytes int64

	At    int64  // the first byte of the cells, counted from the round's begin
	Cells []cell // bytes one by one

	Events []event // nil: the writer has no moments for them
}

// bar is a part of a strip.
type bar struct{ X, Width float64 }

// cell is a byte.
type cell struct {
	X                 float64
	Promised, Arrived string
	Wrong             bool
}

// event is a moment on the time line.
type event struct {
	X, Label float64 // of the moment, and of its text, where others are near
	Y        float64
	Anchor   string
	Text     string
	When     string
	Receiver bool
}

// drawings are of a round of sendfile() and of one of xsend's wrong modes, where those were hit; else of any row.
func (r *Result) drawings() (all []drawing) {
	for _, name := range []string{Sendfile, Completion} {
		if d, ok := r.draw(func(row *Row) bool { return row.Name == name }); ok {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		if d, ok := r.draw(func(*Row) bool { return true }); ok {
			all = append(all, d)
		}
	}
	return all
}

// draw draws the example of the last block that has one of a row that is asked for: that with the most loss.
func (r *Result) draw(wanted func(*Row) bool) (d drawing, ok bool) {
	for i := len(r.Blocks) - 1; i >= 0; i-- {
		b := &r.Blocks[i]
		for j := range b.Rows {
			if row := &b.Rows[j]; row.Example != nil && wanted(row) {
				return newDrawing(row, b.title(), r.Round), true
			}
		}
	}
	return d, false
}

func newDrawing(row *Row, block string, round int64) drawing {
	e := row.Example
	d := drawing{Row: row, Block: block, Round: e.Round, Width: drawingWidth, Left: stripLeft, Long: stripWidth, Size: units.Bytes(round), At: e.At}
	scale := stripWidth / float64(round)
	for _, x := range e.Extents {
		d.WrongBytes += x[1] - x[0]
		d.Wrong = append(d.Wrong, bar{stripLeft + float64(x[0])*scale, max(leastMark, float64(x[1]-x[0])*scale)})
	}
	d.Cells = cellsOf(e)
	if wholeBuffers(row.Name) {
		d.Events = eventsOf(e)
	}
	return d
}

// wholeBuffers tells whether a buffer of the row goes as a whole, so that its moments are those of each of its bytes.
func wholeBuffers(name string) bool {
	s, err := lookup(name)
	return err == nil && s.release == ""
}

// cellsOf are the first bytes of an example.
func cellsOf(e *Example) (cells []cell) {
	promised, err := hex.DecodeString(e.Promised)
	arrived, aerr := hex.DecodeString(e.Arrived)
	if err != nil || aerr != nil {
		return nil
	}
	for i := range min(len(promised), len(arrived), mostCells) {
		cells = append(cells, cell{
			X: stripLeft + float64(i)*byteWidth, Promised: fmt.Sprintf("%02x", promised[i]), Arrived: fmt.Sprintf("%02x", arrived[i]),
			Wrong: promised[i] != arrived[i],
		})
	}
	return cells
}

// eventsOf puts the moments on a line. What is first takes microseconds and the rest milliseconds: the line is logarithmic.
func eventsOf(e *Example) []event {
	events := []event{
		{Text: "the writer calls", When: "0"},
		{Text: "the call returns: \u201cyours again\u201d", When: microseconds(e.Back), X: e.Back},
		{Text: "the buffer is rewritten", When: microseconds(e.Rewritten), X: e.Rewritten},
		{Text: "the receiver reads the byte", When: microseconds(e.Seen), X: e.Seen, Receiver: true},
	}
	most := 1.0
	for _, ev := range events {
		most = max(most, ev.X)
	}
	for i := range events {
		ev := &events[i]
		ev.X = stripLeft + stripWidth*math.Log1p(max(0, ev.X))/math.Log1p(most)
		ev.Y, ev.Label, ev.Anchor = 30+float64(i)*22, ev.X+6, "start"
		if ev.X > drawingWidth/2 {
			ev.Label, ev.Anchor = ev.X-6, "end"
		}
	}
	return events
}

func microseconds(us float64) string {
	if us < 1000 {
		return fmt.Sprintf("after %.0f µs", us)
	}
	return fmt.Sprintf("after %.2f ms", us/1000)
}
