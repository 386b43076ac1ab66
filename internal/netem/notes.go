package netem

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// notes are the control messages that come with a frame: SO_TIMESTAMPNS's and PACKET_AUXDATA's, in the layout
// of 64-bit kernels.
type notes [80]byte

const (
	noteHeader = 16 // struct cmsghdr: length, level, type
	stampLen   = 16 // struct timespec
	auxLen     = 20 // struct tpacket_auxdata
	auxTCI     = 16 // its tp_vlan_tci; tp_vlan_tpid is behind it
)

// read returns when a frame came, 0 where nobody says, and the tag that it had, 0 without: the kernel takes
// tags out of frames before packet sockets see them.
func (n *notes) read(length int) (came int64, tag uint32) {
	order := binary.NativeEndian
	for b := n[:min(length, len(n))]; len(b) >= noteHeader; {
		size := int(order.Uint64(b))
		if size < noteHeader || size > len(b) {
			return came, tag
		}
		level, kind, body := order.Uint32(b[8:]), order.Uint32(b[12:]), b[noteHeader:size]
		switch {
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS && len(body) >= stampLen:
			came = int64(order.Uint64(body))*1e9 + int64(order.Uint64(body[8:]))
		case level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA && len(body) >= auxLen:
			if order.Uint32(body)&unix.TP_STATUS_VLAN_VALID != 0 {
				tag = uint32(order.Uint16(body[auxTCI+2:]))<<16 | uint32(order.Uint16(body[auxTCI:]))
			}
		}
		b = b[min((size+7)&^7, len(b)):]
	}
	return came, tag
}

// insertTag puts a tag behind the addresses of a frame that has room for it in front.
func insertTag(frame []byte, tag uint32) {
	copy(frame, frame[tagLen:tagLen+12])
	binary.BigEndian.PutUint32(frame[12:], tag)
}
