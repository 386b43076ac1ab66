// Package capturetest writes pcaps of TCP connections, frame by frame, for tests of what reads them.
// One Recording belongs to one test; no goroutines.
package capturetest

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// SinkPort is the port that every recorded connection goes to.
const SinkPort = 5001

// Recording is a pcap being written of connections to SinkPort. Its fields say how the next frame
// is built and may be changed between frames.
type Recording struct {
	File bytes.Buffer // the pcap so far
	IPv6 bool         // fd00::1 to fd00::2 instead of 10.0.0.1 to 10.0.0.2
	VLAN bool         // with an 802.1Q tag
	From layers.TCPPort
	ISS  uint32

	t   testing.TB
	out *pcapgo.Writer
}

// New begins a pcap. The sequence numbers of its connections wrap after 256 bytes.
func New(t testing.TB) *Recording {
	t.Helper()
	r := &Recording{t: t, From: 40000, ISS: 0xffff_ff00}
	r.out = pcapgo.NewWriter(&r.File)
	if err := r.out.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return r
}

// SYN opens a connection.
func (r *Recording) SYN() { r.Segment(layers.TCP{Seq: r.ISS, SYN: true}, nil) }

// Data sends the bytes that belong at offset.
func (r *Recording) Data(offset int, payload []byte) {
	r.Segment(layers.TCP{Seq: r.ISS + 1 + uint32(offset), ACK: true, PSH: true}, payload)
}

// FIN says that the stream ends at offset.
func (r *Recording) FIN(offset int) {
	r.Segment(layers.TCP{Seq: r.ISS + 1 + uint32(offset), ACK: true, FIN: true}, nil)
}

// Segment sends one from the sender to the sink.
func (r *Recording) Segment(tcp layers.TCP, payload []byte) {
	tcp.SrcPort, tcp.DstPort = r.From, SinkPort
	r.Frame(r.Encode(tcp, payload))
}

// Answer sends one from the sink to the sender.
func (r *Recording) Answer(tcp layers.TCP) {
	tcp.SrcPort, tcp.DstPort = SinkPort, r.From
	r.Frame(r.Encode(tcp, nil))
}

// ACK acknowledges the stream up to offset.
func (r *Recording) ACK(offset int) { r.Answer(layers.TCP{ACK: true, Ack: r.ISS + 1 + uint32(offset)}) }

// Frame writes a frame as it is.
func (r *Recording) Frame(frame []byte) {
	info := gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(frame), Length: len(frame)}
	if err := r.out.WritePacket(info, frame); err != nil {
		r.t.Fatal(err)
	}
}

// Encode builds the frame, padded to Ethernet's minimum as a NIC would. It goes from the sender to
// the sink unless the segment's source is SinkPort.
func (r *Recording) Encode(tcp layers.TCP, payload []byte) []byte {
	eth := layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	ip, kind := r.network(&tcp)
	eth.EthernetType = kind
	stack := []gopacket.SerializableLayer{&eth}
	if r.VLAN {
		eth.EthernetType = layers.EthernetTypeDot1Q
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: 7, Type: kind})
	}
	stack = append(stack, ip, &tcp, gopacket.Payload(payload))
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		r.t.Fatal(err)
	}
	frame := buffer.Bytes()
	if pad := 60 - len(frame); pad > 0 {
		frame = append(frame, bytes.Repeat([]byte{0xa5}, pad)...)
	}
	return frame
}

func (r *Recording) network(tcp *layers.TCP) (gopacket.SerializableLayer, layers.EthernetType) {
	from, to := 1, 2
	if tcp.SrcPort == SinkPort {
		from, to = to, from
	}
	if r.IPv6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP}
		ip.SrcIP, ip.DstIP = net.ParseIP(fmt.Sprintf("fd00::%d", from)), net.ParseIP(fmt.Sprintf("fd00::%d", to))
		_ = tcp.SetNetworkLayerForChecksum(ip)
		return ip, layers.EthernetTypeIPv6
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP}
	ip.SrcIP, ip.DstIP = net.IPv4(10, 0, 0, byte(from)), net.IPv4(10, 0, 0, byte(to))
	_ = tcp.SetNetworkLayerForChecksum(ip)
	return ip, layers.EthernetTypeIPv4
}
