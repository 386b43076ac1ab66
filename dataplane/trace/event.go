package trace

import "encoding/binary"

// Size is the bytes of an event, in the file as in memory.
const Size = 32

// NoFrame stands in Event.Frame, and in Event.B of a Submit, where there is no frame.
const NoFrame = 1<<32 - 1

// Kind says what happened.
type Kind uint8

// The kinds. Of whom they are: of a queue those below Open, of a connection those up to Home, of a frame the rest.
const (
	None Kind = iota
	// Queue is the first of a queue: Frame the first of N frames of its pool, Conn the queue's number. A = N<<32 | bytes in
	// a frame, B = where payload begins in a frame, C = the most descriptors in a packet, Flags = the release mode.
	Queue
	// Block says that what follows is of the queue with the number Conn. Only in files.
	Block
	// Clock says that the queue's time 0 is A ns after 1970. Only in files.
	Clock
	// Lost: here A events are missing.
	Lost
	// Count is what the poller itself counted: Flags says what (see Counted*), A how many.
	Count
	// End is the last of a queue: its poller is closed.
	End
	// Dead: the queue's socket was closed. A descriptors are in quarantine.
	Dead
	// Rebuilt: a new socket is there, so that the kernel holds nothing of what it held.
	Rebuilt
	// Failed: there will be none, and what is in quarantine stays there.
	Failed

	// Open is a connection's first: A = initial sequence number << 32 | local port << 16 | remote port. Local, Remote (addresses
	// of 16 bytes, in A, B, C, as they are on the wire) and Path (source and destination MAC, then VLAN tag or 0xffff) follow.
	Open
	Local
	Remote
	Path
	// State: Flags is the tcp.State that was reached, B 1 where the connection has an error, A payload bytes ACKed.
	State
	// Ack: the peer answered our SYN, or its cumulative ACK advanced. A payload bytes are ACKed, B is the segment's acknowledgement
	// number, C the sequence number behind the segment.
	Ack
	// CloseWrite: the writer commits no more.
	CloseWrite
	// Demote: A bytes were copied to the arena so far.
	Demote
	// Home: nothing is left of the connection.
	Home

	// Lend: the frame is its writer's. Back: he gave it back, unused.
	Lend
	Back
	// Fill: the frame is the kernel's, to receive into. Recycle: it isn't any more.
	Fill
	Recycle
	// Commit: A = where its payload starts in the stream, B = how many bytes it is, C = the lower half of the writer's cookie.
	Commit
	// Submit is one descriptor. A = sequence number of its packet << 32 | where it starts in its frame << 16 | bytes, B = the frame that
	// its payload was committed in (NoFrame: in none, or a copy in the arena), C = reason | TCP flags << 8 | bytes of headers in it << 16,
	// Flags = Again, First, More, Metadata. For a payload descriptor behind the headers' the sequence number is that of its first byte.
	Submit
	// Complete is an address out of the completion ring: A; Flags what the ledger made of it (a umem.Fault).
	Complete
	// Release: the frame is its writer's again. A, B as for Commit, C = packets that carried bytes of it, Flags = dataplane.Reason.
	Release

	kinds
)

// Flags of a Submit.
const (
	Again    = 1 << iota // bytes that were sent before, says the engine
	First                // of its packet: the headers are in it
	More                 // the next descriptor is of the same packet
	Metadata             // a checksum is asked for
)

// What Count counts.
const (
	CountedSubmitted = iota
	CountedCompleted
	CountedQuarantined
	CountedReleases
)

var kindNames = [kinds]string{"none", "queue", "block", "clock", "lost", "count", "end", "dead", "rebuilt", "failed",
	"open", "local", "remote", "path", "state", "ack", "close-write", "demote", "home",
	"lend", "back", "fill", "recycle", "commit", "submit", "complete", "release"}

// String is the kind in lower case, as in docs/trace.md.
func (k Kind) String() string {
	if k >= kinds {
		return "unknown"
	}
	return kindNames[k]
}

// Event is one thing that happened. What A, B, C and Flags mean depends on Kind.
type Event struct {
	Time  int64 // the poller's clock, ns
	Kind  Kind
	Flags uint8
	Conn  uint16 // the connection's number in its queue, from 1; 0 = none
	Frame uint32
	A     uint64
	B, C  uint32
}

// words is an event as it is on a ring: four registers, where a struct of seven fields would be copied through memory.
type words struct{ time, who, a, bc uint64 }

// Who is the second word of an event.
func Who(k Kind, flags uint8, conn uint16, frame uint32) uint64 {
	return uint64(k) | uint64(flags)<<8 | uint64(conn)<<16 | uint64(frame)<<32
}

// Pair is the last word of an event.
func Pair(b, c uint32) uint64 { return uint64(b) | uint64(c)<<32 }

// Append puts the event's 32 bytes behind b.
func (e *Event) Append(b []byte) []byte {
	w := words{uint64(e.Time), Who(e.Kind, e.Flags, e.Conn, e.Frame), e.A, Pair(e.B, e.C)}
	return w.append(b)
}

func (w words) append(b []byte) []byte {
	le := binary.LittleEndian
	return le.AppendUint64(le.AppendUint64(le.AppendUint64(le.AppendUint64(b, w.time), w.who), w.a), w.bc)
}

// Decode is the event in the first 32 bytes of b.
func Decode(b []byte) Event {
	le := binary.LittleEndian
	_ = b[Size-1]
	return Event{
		Time: int64(le.Uint64(b)), Kind: Kind(b[8]), Flags: b[9], Conn: le.Uint16(b[10:]), Frame: le.Uint32(b[12:]),
		A: le.Uint64(b[16:]), B: le.Uint32(b[24:]), C: le.Uint32(b[28:]),
	}
}
