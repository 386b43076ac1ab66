package kerneltcp

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// notification is a control message as the kernel makes it.
func notification(first, last uint32, code byte) []byte {
	b := make([]byte, unix.CmsgSpace(16))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(16)))
	binary.NativeEndian.PutUint32(b[8:], unix.IPPROTO_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_RECVERR)
	b[16+4], b[16+6] = unix.SO_EE_ORIGIN_ZEROCOPY, code
	binary.NativeEndian.PutUint32(b[16+8:], first)
	binary.NativeEndian.PutUint32(b[16+12:], last)
	return b
}

func TestParseNotices(t *testing.T) {
	two := append(notification(2, 2, 0), notification(^uint32(0), 1, unix.SO_EE_CODE_ZEROCOPY_COPIED)...)
	want := []Notice{{First: 2, Last: 2}, {First: ^uint32(0), Last: 1, Copied: true}}
	if got, err := parseNotices(two); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	other := notification(1, 2, 0)
	other[16+4] = unix.SO_EE_ORIGIN_ICMP
	if got, err := parseNotices(other); err != nil || len(got) != 0 {
		t.Errorf("an ICMP error is taken for a notification: %+v, %v", got, err)
	}
}

// FuzzNotices: whatever is on the error queue, reading it does not fail badly.
func FuzzNotices(f *testing.F) {
	f.Add(notification(0, 1, 1))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, control []byte) {
		got, err := parseNotices(control)
		if len(got)*unix.CmsgSpace(0) > len(control) || err != nil && got != nil {
			t.Errorf("%d notices in %d bytes, %v", len(got), len(control), err)
		}
	})
}
