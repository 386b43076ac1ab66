package hw

import (
	"context"
	"net/netip"
	"slices"
	"testing"
)

func TestHostResolve(t *testing.T) {
	for _, c := range []struct {
		host         string
		want4, want6 bool
		want         string
		err          error
	}{
		{"192.0.2.1", false, false, "192.0.2.1", nil},
		{"192.0.2.1", true, true, "192.0.2.1", nil},
		{"192.0.2.1", true, false, "192.0.2.1", nil},
		{"192.0.2.1", false, true, "", ErrNoHost},
		{"::ffff:192.0.2.1", true, false, "192.0.2.1", nil},
		{"2001:db8::1", false, true, "2001:db8::1", nil},
		{"2001:db8::1", true, false, "", ErrNoHost},
		{"fe80::1%eth0", false, false, "fe80::1%eth0", nil},
		{"localhost", true, false, "127.0.0.1", nil},
		{"", false, false, "", ErrNoHost},
		{"no such name", false, false, "", ErrNoHost},
	} {
		got, err := HostResolve(within(t, 5e9), c.host, c.want4, c.want6)
		if c.err != nil {
			wantIs(t, err, c.err)
			continue
		}
		if err != nil || !slices.Contains(got, netip.MustParseAddr(c.want)) {
			t.Errorf("%q: %v %v, want %s", c.host, got, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := HostResolve(ctx, "localhost.example.invalid", false, false)
	wantIs(t, err, context.Canceled)
}
