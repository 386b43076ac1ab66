package pcap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

// The interfaces of the file, by which a reader tells the directions apart.
const (
	Sent     = 0
	Received = 1
)

// room is how many packets a tap holds: at a million packets per second, 8 ms.
const room = 8192

// pause is how long the goroutine sleeps when all taps are empty.
const pause = 500 * time.Microsecond

// Writer is a capture file that is being written.
type Writer struct {
	path string
	file *os.File
	ng   *pcapgo.NgWriter

	name, application string

	mu   sync.Mutex
	taps []*tap

	fresh, started bool // the file was not there before; Start was called

	quit, done chan struct{}
	packets    uint64
	err        error // the first failure to write
}

// tap is one queue's tap with what its clock's zero is in time of day.
type tap struct {
	*dataplane.Tap
	zero time.Time // unset before the first packet
}

// Create opens the file, or makes it, and changes nothing in one that is there: Start does. name is the network interface's, for the
// interface descriptions; application names the program.
func Create(path, name, application string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	fresh := err == nil
	if errors.Is(err, os.ErrExist) {
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &Writer{path: path, file: file, fresh: fresh, name: name, application: application,
		quit: make(chan struct{}), done: make(chan struct{})}, nil
}

// Start empties the file and begins to write what the taps give.
func (w *Writer) Start() error {
	if st, err := w.file.Stat(); err == nil && st.Mode().IsRegular() {
		if err := w.file.Truncate(0); err != nil {
			return fmt.Errorf("capture %s: %w", w.path, err)
		}
	}
	ng, err := header(w.file, w.name, w.application)
	if err != nil {
		return fmt.Errorf("capture %s: %w", w.path, err)
	}
	w.ng, w.started = ng, true
	go w.run()
	return nil
}

// SameFile reports that the capture would overwrite the file.
func (w *Writer) SameFile(file *os.File) bool {
	mine, err := w.file.Stat()
	if err != nil {
		return false
	}
	other, err := file.Stat()
	return err == nil && os.SameFile(mine, other)
}

func header(file io.Writer, name, application string) (*pcapgo.NgWriter, error) {
	describe := func(direction string) pcapgo.NgInterface {
		return pcapgo.NgInterface{
			Name: name + " " + direction, Description: "packets " + direction + " by xsend",
			LinkType: layers.LinkTypeEthernet, OS: "linux", TimestampResolution: 9,
		}
	}
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{OS: "linux", Application: application}}
	ng, err := pcapgo.NewNgWriterInterface(file, describe("sent"), options)
	if err != nil {
		return nil, err
	}
	_, err = ng.AddInterface(describe("received"))
	return ng, err
}

// Tap makes a tap for one poller. size is the most bytes of a packet.
func (w *Writer) Tap(size int) *dataplane.Tap {
	t := &tap{Tap: dataplane.NewTap(room, size)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taps = append(w.taps, t)
	return t.Tap
}

// Close writes what is left in the taps, whose pollers must have stopped, and closes the file. It returns
// the number of packets written. Without Start it removes a file that Create made, and leaves any other alone.
func (w *Writer) Close() (packets uint64, err error) {
	if !w.started {
		return 0, w.drop()
	}
	close(w.quit)
	<-w.done
	if err := w.ng.Flush(); w.err == nil {
		w.err = err
	}
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return w.packets, fmt.Errorf("capture %s: %w", w.path, w.err)
	}
	return w.packets, nil
}

// drop leaves things as they were before Create.
func (w *Writer) drop() error {
	err := w.file.Close()
	if w.fresh {
		err = errors.Join(err, os.Remove(w.path))
	}
	return err
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			w.empty()
			return
		default:
		}
		if w.empty() == 0 {
			time.Sleep(pause)
		}
	}
}

// empty writes what all taps hold now and returns the number of packets.
func (w *Writer) empty() int {
	w.mu.Lock()
	taps := w.taps // only ever appended to
	w.mu.Unlock()
	n := 0
	for _, t := range taps {
		for range room { // then the next one's turn
			p, ok := t.Next()
			if !ok {
				break
			}
			w.write(t, p)
			n++
		}
	}
	return n
}

func (w *Writer) write(t *tap, p dataplane.TapPacket) {
	if w.err != nil {
		return
	}
	if t.zero.IsZero() {
		t.zero = time.Now().Add(-time.Duration(p.Time))
	}
	ci := gopacket.CaptureInfo{
		Timestamp: t.wall(p.Time), CaptureLength: len(p.Bytes), Length: len(p.Bytes), InterfaceIndex: Received,
	}
	if p.Sent {
		ci.InterfaceIndex = Sent
	}
	if w.err = w.ng.WritePacket(ci, p.Bytes); w.err == nil {
		w.packets++
	}
}

func (t *tap) wall(at tcp.Time) time.Time { return t.zero.Add(time.Duration(at)) }
