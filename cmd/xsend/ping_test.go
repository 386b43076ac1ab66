package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// ping sends ICMP echo requests from the sender's end, one at a time, and fails the test if one isn't
// answered within a second.
func (r *rig) ping(times int) {
	r.t.Helper()
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.ListenPacket("ip4:icmp", r.Sender().IPv4.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for i := range times {
			if err := echo(conn, r.Receiver().IPv4.Addr(), uint16(i)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		r.t.Errorf("ping: %v", err)
	}
}

func echo(conn net.PacketConn, to netip.Addr, seq uint16) error {
	request := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 0}
	binary.BigEndian.PutUint16(request[6:], seq)
	binary.BigEndian.PutUint16(request[2:], ^(0x0800 + 0x1234 + seq)) // no carry with these numbers
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(time.Second))
	for b := make([]byte, 1500); ; {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return fmt.Errorf("request %d: %w", seq, err)
		}
		if n == 8 && b[0] == 0 && binary.BigEndian.Uint16(b[6:]) == seq {
			return nil
		}
	}
}

func TestPingNoticesSilence(t *testing.T) {
	r := newRig(t, lab.Config{})
	r.ping(2)
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.ListenPacket("ip4:icmp", "10.77.0.1")
		if err != nil {
			return err
		}
		defer conn.Close()
		return echo(conn, netip.MustParseAddr("10.77.0.99"), 1)
	}); err == nil {
		t.Error("nobody answered, and that went unnoticed")
	}
}
