package trace

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// pause is how long the goroutine sleeps when all rings are empty: long enough that waking up costs nothing, and
// a small part of what a ring holds.
const pause = 5 * time.Millisecond

// batch is the events of a block at most: 256 KiB.
const batch = 1 << 13

// Writer is a trace file that is being written.
type Writer struct {
	path string
	file *os.File
	name string

	mu    sync.Mutex
	rings []*ringOf

	fresh, started bool // the file was not there before; Start was called

	quit, done chan struct{}
	buf        []byte
	events     uint64
	err        error // the first failure to write
}

// ringOf is one queue's ring.
type ringOf struct {
	*Ring
	queue  int
	clocks bool // what its clock's zero is in time of day was written
}

// Create opens the file, or makes it, and changes nothing in one that is there: Start does. application names the program.
func Create(path, application string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	fresh := err == nil
	if errors.Is(err, os.ErrExist) {
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	return &Writer{path: path, file: file, name: application, fresh: fresh, quit: make(chan struct{}), done: make(chan struct{})}, nil
}

// SameFile reports that the trace would overwrite the file.
func (w *Writer) SameFile(file *os.File) bool {
	mine, err := w.file.Stat()
	if err != nil {
		return false
	}
	other, err := file.Stat()
	return err == nil && os.SameFile(mine, other)
}

// Start empties the file and begins to write what the rings give.
func (w *Writer) Start() error {
	if st, err := w.file.Stat(); err == nil && st.Mode().IsRegular() {
		if err := w.file.Truncate(0); err != nil {
			return fmt.Errorf("trace %s: %w", w.path, err)
		}
	}
	h := Header{Created: time.Now(), Application: w.name}
	if _, err := w.file.Write(h.append(nil)); err != nil {
		return fmt.Errorf("trace %s: %w", w.path, err)
	}
	w.started = true
	go w.run()
	return nil
}

// Ring makes a ring for the poller of a queue. Any goroutine may call it.
func (w *Writer) Ring(queue int) *Ring {
	r := &ringOf{Ring: NewRing(Room), queue: queue}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rings = append(w.rings, r)
	return r.Ring
}

// Close writes what is left in the rings, whose pollers must be closed, and closes the file. It returns the events written and
// those that were lost. Without Start it removes a file that Create made, and leaves any other alone.
func (w *Writer) Close() (events, lost uint64, err error) {
	if !w.started {
		err := w.file.Close()
		if w.fresh {
			err = errors.Join(err, os.Remove(w.path))
		}
		return 0, 0, err
	}
	close(w.quit)
	<-w.done
	for _, r := range w.rings {
		w.write(r, r.Rest(w.buf[:0]))
		lost += r.Lost()
	}
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return w.events, lost, fmt.Errorf("trace %s: %w", w.path, w.err)
	}
	return w.events, lost, nil
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		if !w.empty() {
			time.Sleep(pause)
		}
	}
}

// empty writes a block of each ring; it reports that one was full, so that there may be more.
func (w *Writer) empty() (more bool) {
	w.mu.Lock()
	rings := w.rings // only ever appended to
	w.mu.Unlock()
	for _, r := range rings {
		b, n := r.Next(w.buf[:0], batch)
		w.write(r, b)
		more = more || n == batch
	}
	return more
}

// write writes a block, with its head. After a failure the rings go on being emptied.
func (w *Writer) write(r *ringOf, b []byte) {
	w.buf = b[:0]
	if len(b) == 0 || w.err != nil {
		return
	}
	n := len(b) / Size
	head := Event{Kind: Block, Conn: uint16(r.queue), Frame: NoFrame, B: uint32(n)}
	heads := head.Append(nil)
	if last := Decode(b[len(b)-Size:]); !r.clocks && last.Time > 0 {
		r.clocks = true
		zero := Event{Kind: Clock, Frame: NoFrame, A: uint64(time.Now().UnixNano() - last.Time)}
		heads = zero.Append(heads)
	}
	if _, w.err = w.file.Write(heads); w.err != nil {
		return
	}
	if _, w.err = w.file.Write(b); w.err == nil {
		w.events += uint64(n)
	}
}
