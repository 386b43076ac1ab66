package settings

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
)

// struct ethtool_rx_flow_spec of linux/ethtool.h: type of the flow, 52 bytes of what to match, 20 of extensions, masks of both (bits that are set
// count), the queue, the location. In struct ethtool_tcpip4_spec and ethtool_tcpip6_spec come addresses first, then ports.
const (
	flowTCP4, flowTCP6 = 0x01, 0x05

	flowSize  = 52
	flowAt    = 4
	masksAt   = 76
	queueAt   = 152 // "ring_cookie"
	sourceIP4 = 0
	ports4    = 8
	sourceIP6 = 0
	ports6    = 32
)

// flow is a rule that brings TCP segments of a peer to a queue, as the kernel takes it, in hexadecimal and without a location. Port 0 is any.
func flow(peer netip.Addr, port uint16, queue int) string {
	spec := make([]byte, specSize)
	kind, address, ports := uint32(flowTCP6), sourceIP6, ports6
	if peer = peer.Unmap(); peer.Is4() {
		kind, address, ports = flowTCP4, sourceIP4, ports4
	}
	match, masks := spec[flowAt:flowAt+flowSize], spec[masksAt:masksAt+flowSize]
	binary.NativeEndian.PutUint32(spec, kind)
	n := copy(match[address:], peer.AsSlice())
	ones(masks[address : address+n])
	if port != 0 {
		binary.BigEndian.PutUint16(match[ports:], port)
		ones(masks[ports : ports+2])
	}
	binary.NativeEndian.PutUint64(spec[queueAt:], uint64(queue))
	return hex.EncodeToString(spec)
}

func ones(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// sameFlow reports that two rules bring the same segments to the same queue. What isn't matched, and the location, are the driver's to choose.
func sameFlow(a, b string) bool {
	x, errX := hex.DecodeString(a)
	y, errY := hex.DecodeString(b)
	if errX != nil || errY != nil || len(x) != specSize || len(y) != specSize {
		return false
	}
	if !bytes.Equal(x[:flowAt], y[:flowAt]) || !bytes.Equal(x[queueAt:specAt], y[queueAt:specAt]) {
		return false
	}
	for i := range flowSize {
		m := x[masksAt+i]
		if m != y[masksAt+i] || x[flowAt+i]&m != y[flowAt+i]&m {
			return false
		}
	}
	return true
}
