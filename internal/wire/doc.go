// Package wire turns TCP segments into Ethernet frames and back, in place.
//
// It owns the byte layout of Ethernet II, IEEE 802.1Q, IPv4
// (https://www.rfc-editor.org/rfc/rfc791), IPv6 (https://www.rfc-editor.org/rfc/rfc8200),
// TCP with its options (https://www.rfc-editor.org/rfc/rfc9293#section-3.1,
// https://www.rfc-editor.org/rfc/rfc7323, https://www.rfc-editor.org/rfc/rfc2018), the ICMP errors that quote a
// TCP segment (https://www.rfc-editor.org/rfc/rfc792, https://www.rfc-editor.org/rfc/rfc4443), and the Internet
// checksum (https://www.rfc-editor.org/rfc/rfc1071).
//
// It refuses policy: it doesn't know connections, decides nothing about a segment beyond whether it is well formed,
// and keeps no counters. It refuses memory too: nothing here allocates. [Template.Put] writes into the caller's frame,
// [Parse] leaves slices into the frame it was given.
//
// Sending: one [Template] per connection holds its prebuilt headers; Put copies them in front of the payload and
// stores what differs from segment to segment.
//
// Receiving: [Parse] accepts 0 to 2 VLAN tags, IPv4 with options, and IPv6 with TCP directly behind its fixed header.
// Everything from the network is checked before it is used; no input makes a function of this package panic. An error
// is one of the sentinels below, so that the caller counts instead of formatting.
//
// Goroutines: every function works on its arguments only. A Template may be read by many goroutines as long as none
// calls Init.
//
// Limits: one VLAN tag when encoding; no IP options, no IPv6 extension headers, and flow label 0 when encoding; IPv6
// extension headers and fragments are not reassembled or walked when parsing; IP packets of at most 65535 bytes.
package wire
