package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is that of the format. A reader refuses every other.
const Version = 1

const (
	magic      = "xsendtrc"
	headerSize = 64
	nameSize   = headerSize - 32
)

var (
	// ErrFormat: NewReader or Next met something that is no lifecycle trace, or one of another version.
	ErrFormat = errors.New("trace: no lifecycle trace")
	// ErrTruncated: the file ends within an event.
	ErrTruncated = errors.New("trace: the file ends within an event")
)

// Header is what a file begins with, 64 bytes little-endian: magic "xsendtrc", version, its own size, size of an event, 0
// (32 bits each), time of day in ns, name of the program filled up with zeros.
type Header struct {
	Created     time.Time
	Application string
}

func (h *Header) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	for _, n := range []uint32{Version, headerSize, Size, 0} {
		b = le.AppendUint32(b, n)
	}
	b = le.AppendUint64(b, uint64(h.Created.UnixNano()))
	var name [nameSize]byte
	copy(name[:], h.Application)
	return append(b, name[:]...)
}

func readHeader(r io.Reader) (Header, error) {
	var b [headerSize]byte
	if n, err := io.ReadFull(r, b[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Header{}, fmt.Errorf("%w: %d bytes, a header has %d", ErrFormat, n, headerSize)
		}
		return Header{}, err
	}
	le := binary.LittleEndian
	version, header, event := le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])
	switch {
	case string(b[:8]) != magic:
		return Header{}, fmt.Errorf("%w: it begins with %q instead of %q", ErrFormat, b[:8], magic)
	case version != Version || header != headerSize || event != Size:
		return Header{}, fmt.Errorf("%w: version %d with a header of %d bytes and events of %d: this program reads version %d, %d and %d",
			ErrFormat, version, header, event, Version, headerSize, Size)
	}
	name, _, _ := bytes.Cut(b[32:], []byte{0})
	return Header{Created: time.Unix(0, int64(le.Uint64(b[24:]))), Application: string(name)}, nil
}

// Reader reads a file. Block and Clock are its own business.
type Reader struct {
	Header Header
	// Zero is when the clocks of the queues were 0, by their numbers.
	Zero map[int]time.Time

	r     *bufio.Reader
	queue int
	known bool
}

// NewReader reads the header. The error wraps ErrFormat, or is that of r.
func NewReader(r io.Reader) (*Reader, error) {
	t := &Reader{r: bufio.NewReaderSize(r, 1<<20), Zero: map[int]time.Time{}}
	var err error
	t.Header, err = readHeader(t.r)
	return t, err
}

// Next is the next event, and the number of the queue that it is of. At the end of the file the error is io.EOF; it
// wraps ErrTruncated or ErrFormat, or is that of the reader below.
func (t *Reader) Next() (queue int, e Event, err error) {
	for {
		var b [Size]byte
		if _, err := io.ReadFull(t.r, b[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = ErrTruncated
			}
			return 0, Event{}, err
		}
		e := Decode(b[:])
		switch {
		case e.Kind == Block:
			t.queue, t.known = int(e.Conn), true
		case e.Kind == None || e.Kind >= kinds:
			return 0, Event{}, fmt.Errorf("%w: an event of kind %d", ErrFormat, e.Kind)
		case !t.known:
			return 0, Event{}, fmt.Errorf("%w: an event before the first block", ErrFormat)
		case e.Kind == Clock:
			t.Zero[t.queue] = time.Unix(0, int64(e.A))
		default:
			return t.queue, e, nil
		}
	}
}
