package wire

import (
	"encoding/binary"
	"net/netip"
)

// Flow is one connection seen from our side. Addresses are 16 bytes, IPv4 in mapped form (::ffff:a.b.c.d), so that
// Flow is comparable and small. Both addresses are of one family.
type Flow struct {
	Local, Remote         [16]byte
	LocalPort, RemotePort uint16
}

// FlowOf returns the flow between two endpoints. IPv6 zones are dropped: they never appear on the wire.
func FlowOf(local, remote netip.AddrPort) Flow {
	return Flow{
		Local: local.Addr().As16(), LocalPort: local.Port(),
		Remote: remote.Addr().As16(), RemotePort: remote.Port(),
	}
}

// LocalAddr returns our endpoint; an IPv4 address comes back as IPv4, not in mapped form.
func (f Flow) LocalAddr() netip.AddrPort { return addrPort(f.Local, f.LocalPort) }

// RemoteAddr returns the peer's endpoint; an IPv4 address comes back as IPv4, not in mapped form.
func (f Flow) RemoteAddr() netip.AddrPort { return addrPort(f.Remote, f.RemotePort) }

// Is4 reports whether the flow runs over IPv4.
func (f Flow) Is4() bool { return isMapped(&f.Local) }

func addrPort(a [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port)
}

// mappedPrefix is bytes 8 to 12 of an IPv4-mapped address; bytes 0 to 8 are zero.
// https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
const mappedPrefix = 0x0000ffff

func isMapped(a *[16]byte) bool {
	return binary.BigEndian.Uint64(a[:8]) == 0 && binary.BigEndian.Uint32(a[8:12]) == mappedPrefix
}

// setMapped stores the 4 bytes of an IPv4 address in mapped form.
func setMapped(a *[16]byte, v4 []byte) {
	binary.BigEndian.PutUint64(a[:8], 0)
	binary.BigEndian.PutUint32(a[8:12], mappedPrefix)
	copy(a[12:], v4[:4])
}
