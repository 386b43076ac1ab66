package trap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/umem"
)

// The table: a header, the ledger of every frame, and an entry for every frame about who wrote to it. It is in shared memory, in this
// machine's byte order, and what it says is for people: it may change while it is read.
const (
	magic      = 0x7864_7061_7274_0001
	headerSize = 64
	entrySize  = 72
)

// table is that memory, here or in the process that watches.
type table struct {
	mem    []byte
	base   uintptr // of the writers' view
	chunk  int
	frames int
}

// Last says who wrote to a frame last.
type Last struct {
	Writer        uint32 // from 1 on, in the order in which writers were made; 0 = nobody yet
	Local, Remote netip.AddrPort
	Start, End    uint64 // of what was committed, in the stream
	Cookie        uint64
}

// String names writer, connection, bytes and cookie.
func (l Last) String() string {
	if l.Writer == 0 {
		return "nothing was committed in it yet"
	}
	return fmt.Sprintf("last committed by writer %d, cookie %d: bytes %d to %d of the stream from %v to %v", l.Writer, l.Cookie, l.Start, l.End, l.Local, l.Remote)
}

func tableSize(frames int) int { return headerSize + frames*(umem.HoldSize+entrySize) }

// newTable makes a table and the memfd it lies in.
func newTable(r *umem.Region) (t table, fd int, err error) {
	size := tableSize(r.Frames())
	if fd, err = unix.MemfdCreate("xsend-trap", unix.MFD_CLOEXEC); err != nil {
		return t, -1, fmt.Errorf("trap: memfd_create: %w", err)
	}
	if err = unix.Ftruncate(fd, int64(size)); err == nil {
		t.mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		return t, -1, errors.Join(fmt.Errorf("trap: a table of %d bytes: %w", size, err), unix.Close(fd))
	}
	t.base, t.chunk, t.frames = r.WriterBase(), r.ChunkSize(), r.Frames()
	for i, v := range []uint64{magic, uint64(t.base), uint64(t.chunk), uint64(t.frames)} {
		binary.NativeEndian.PutUint64(t.mem[8*i:], v)
	}
	return t, fd, nil
}

// openTable maps the table of another process.
func openTable(fd int) (t table, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t, fmt.Errorf("trap: the table: %w", err)
	}
	if st.Size < headerSize {
		return t, fmt.Errorf("trap: a table of %d bytes", st.Size)
	}
	if t.mem, err = unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return t, fmt.Errorf("trap: the table: %w", err)
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(t.mem[8*i:]) }
	t.base, t.chunk, t.frames = uintptr(word(1)), int(word(2)), int(word(3))
	if word(0) != magic || t.chunk < 1 || t.frames < 1 || t.frames > int(st.Size) || int64(tableSize(t.frames)) != st.Size {
		return t, errors.Join(errors.New("trap: this is no table of a trap"), t.unmap())
	}
	return t, nil
}

// unmap ends the table: no address is found in it any more.
func (t *table) unmap() error {
	mem := t.mem
	t.mem, t.frames = nil, 0
	return unix.Munmap(mem)
}

// ledger is the memory for the pool of n frames from first on.
func (t *table) ledger(first umem.Frame, n int) []byte {
	at := headerSize + int(first)*umem.HoldSize
	return t.mem[at : at+n*umem.HoldSize : at+n*umem.HoldSize]
}

func (t *table) entry(f umem.Frame) []byte {
	at := headerSize + t.frames*umem.HoldSize + int(f)*entrySize
	return t.mem[at : at+entrySize]
}

// find is the frame that an address of the writers' view lies in.
func (t *table) find(addr uintptr) (f umem.Frame, offset int, ok bool) {
	n := addr - t.base
	if n >= uintptr(t.frames)*uintptr(t.chunk) {
		return umem.NoFrame, 0, false
	}
	return umem.Frame(n / uintptr(t.chunk)), int(n % uintptr(t.chunk)), true
}

// Places in an entry.
const (
	atCookie = 8 * iota
	atStart
	atEnd
	atWriter // and right behind it the state
	atPorts
	atLocal
	_
	atRemote
)

func (t *table) wrote(f umem.Frame, l *Last) {
	e := t.entry(f)
	local, remote := l.Local.Addr().As16(), l.Remote.Addr().As16()
	binary.NativeEndian.PutUint64(e[atCookie:], l.Cookie)
	binary.NativeEndian.PutUint64(e[atStart:], l.Start)
	binary.NativeEndian.PutUint64(e[atEnd:], l.End)
	binary.NativeEndian.PutUint32(e[atWriter:], l.Writer)
	binary.NativeEndian.PutUint16(e[atPorts:], l.Local.Port())
	binary.NativeEndian.PutUint16(e[atPorts+2:], l.Remote.Port())
	copy(e[atLocal:], local[:])
	copy(e[atRemote:], remote[:])
	t.set(f, onWay)
}

func (t *table) last(f umem.Frame) Last {
	e := t.entry(f)
	addr := func(at, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(e[at:])).Unmap(), binary.NativeEndian.Uint16(e[port:]))
	}
	return Last{
		Writer: binary.NativeEndian.Uint32(e[atWriter:]), Local: addr(atLocal, atPorts), Remote: addr(atRemote, atPorts+2),
		Start: binary.NativeEndian.Uint64(e[atStart:]), End: binary.NativeEndian.Uint64(e[atEnd:]), Cookie: binary.NativeEndian.Uint64(e[atCookie:]),
	}
}

// state is how a frame is between writers and poller.
type state byte

const (
	closed   state = iota // free, or the engine's
	writable              // a writer's: reserved, or released and shown to him
	onWay                 // committed, and the writer has not taken its release
)

func (t *table) set(f umem.Frame, s state) { t.entry(f)[atWriter+4] = byte(s) }
func (t *table) state(f umem.Frame) state  { return state(t.entry(f)[atWriter+4]) }

// holder says who holds frame f. Between commit and admission, and between release and its being taken, the ledger names the writer.
func (t *table) holder(f umem.Frame) string {
	h := umem.ReadHolding(t.ledger(f, 1))
	switch s := t.state(f); {
	case h.Kernel+h.Segments > 0:
		return fmt.Sprintf("%s (%d segments not ACKed, %d descriptors not completed)", h.Who, h.Segments, h.Kernel)
	case h.Lent && s == onWay:
		return "nobody: it is on its way between its writer and TCP"
	case h.Lent && s == closed:
		return "nobody: its writer has it, and has not reserved it"
	}
	return h.Who
}

// about is everything known of frame f.
func (t *table) about(f umem.Frame) string {
	return fmt.Sprintf("held by %s; %v", t.holder(f), t.last(f))
}
