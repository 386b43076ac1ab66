package capture

import (
	"errors"
	"fmt"
	"io"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Capture is what a file shows of the connections to one TCP port.
type Capture struct {
	Flows  []*Flow // one per connection, in the order of their SYNs
	Orphan int     // segments to or from the port whose connection's SYN is not in the file
	Broken int     // frames in which no whole TCP segment could be decoded although IP announces one
}

// endpoint names a connection from the sender's side; the port it sends to is the same for all.
type endpoint struct {
	network gopacket.Flow
	port    layers.TCPPort
}

// Read reads a pcap of Ethernet frames to its end and follows every connection opened to port.
// The sender is the side that opened it. An error means that the file itself is damaged: not a
// pcap, not Ethernet, a record cut short.
func Read(r io.Reader, port uint16) (*Capture, error) {
	file, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read pcap header: %w", err)
	}
	if file.LinkType() != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("read pcap: link type %v is not Ethernet", file.LinkType())
	}
	c := &Capture{}
	open := make(map[endpoint]*Flow)
	for number := 1; ; number++ {
		frame, info, err := file.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read pcap frame %d: %w", number, err)
		}
		if info.CaptureLength < info.Length {
			return nil, fmt.Errorf("read pcap frame %d: %d of %d bytes captured; raise the capture's snap length", number, info.CaptureLength, info.Length)
		}
		c.frame(open, frame, layers.TCPPort(port))
	}
}

func (c *Capture) frame(open map[endpoint]*Flow, frame []byte, port layers.TCPPort) {
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	segment, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok || packet.ErrorLayer() != nil {
		if announcesTCP(packet) {
			c.Broken++
		}
		return
	}
	network := packet.NetworkLayer()
	switch {
	case segment.DstPort == port:
		if flow := c.sent(open, endpoint{network.NetworkFlow(), segment.SrcPort}, network, segment); flow != nil {
			flow.tagged(packet)
		}
	case segment.SrcPort == port:
		c.answered(open, endpoint{network.NetworkFlow().Reverse(), segment.DstPort}, segment)
	}
}

// announcesTCP reports whether the frame's IP header promises a TCP segment.
func announcesTCP(packet gopacket.Packet) bool {
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		return ip.Protocol == layers.IPProtocolTCP
	case *layers.IPv6:
		return ip.NextHeader == layers.IPProtocolTCP
	}
	return false
}

func (c *Capture) sent(open map[endpoint]*Flow, from endpoint, network gopacket.NetworkLayer, segment *layers.TCP) *Flow {
	flow := open[from]
	if segment.SYN && !segment.ACK && (flow == nil || flow.iss != segment.Seq) {
		flow = &Flow{Source: from.network.Src().String(), Port: uint16(from.port), iss: segment.Seq, end: -1, una: -1}
		open[from] = flow
		c.Flows = append(c.Flows, flow)
	}
	if flow == nil {
		c.Orphan++
		return nil
	}
	probes := flow.Probes
	flow.sent(segment)
	switch {
	case checksumHolds(network, segment):
	case flow.Probes > probes:
		flow.BadProbes++
	default:
		flow.BadChecksums++
	}
	return flow
}

func (c *Capture) answered(open map[endpoint]*Flow, from endpoint, segment *layers.TCP) {
	flow := open[from]
	if flow == nil {
		c.Orphan++
		return
	}
	flow.answered(segment)
}

// checksumHolds sums the segment with its pseudo-header, its own checksum included: the
// complement of the whole is zero (https://www.rfc-editor.org/rfc/rfc9293#section-3.1-6.18.1).
func checksumHolds(network gopacket.NetworkLayer, segment *layers.TCP) bool {
	if err := segment.SetNetworkLayerForChecksum(network); err != nil {
		return false
	}
	sum, err := segment.ComputeChecksum()
	return err == nil && sum == 0
}
