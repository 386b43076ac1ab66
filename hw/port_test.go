package hw

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservePort(t *testing.T) {
	l := newLab(t)
	for _, addr := range []string{"10.77.0.1", "fd77::1", "fe80::1%va"} {
		first, err := ReservePort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0))
		l.ok(err)
		if first.Port() == 0 || first.Local().Port() != first.Port() || first.Local().Addr().String() != addr {
			t.Errorf("%s: %v", addr, first.Local())
		}
		_, err = ReservePort(first.Local())
		wantIs(t, err, ErrPortInUse)
		if err != nil && (!strings.Contains(err.Error(), strconv.Itoa(int(first.Port()))) || !strings.Contains(err.Error(), "--cport")) {
			t.Errorf("%v names neither port nor remedy", err)
		}
		if _, err := net.Listen("tcp", first.Local().String()); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("the host can listen on a reserved port: %v", err)
		}
		l.ok(first.Close())
		l.ok(first.Close())
		again, err := ReservePort(first.Local())
		l.ok(err)
		l.ok(again.Close())
	}
}

func TestReservePortRefused(t *testing.T) {
	newLab(t)
	for _, c := range []struct {
		local string
		want  error
	}{
		{"10.77.0.2:0", ErrNoSource},
		{"[fd77::2]:0", ErrNoSource},
		{"[fe80::1]:0", ErrNoSource}, // no zone
		{"[fe80::1%vc]:0", ErrNoInterface},
	} {
		p, err := ReservePort(netip.MustParseAddrPort(c.local))
		if !errors.Is(err, c.want) || p != nil {
			t.Errorf("%s: %v", c.local, err)
		}
	}
	_, err := ReservePort(netip.AddrPort{})
	wantIs(t, err, ErrNoSource)
}

func TestRefusedPort(t *testing.T) {
	for _, c := range []struct {
		port uint16
		err  error
		want error
		says string
	}{
		{0, unix.EADDRINUSE, ErrPortInUse, "ephemeral"},
		{80, unix.EADDRINUSE, ErrPortInUse, "sport = :80"},
		{80, unix.EACCES, unix.EACCES, "CAP_NET_BIND_SERVICE"},
		{80, unix.ENOBUFS, unix.ENOBUFS, "80"},
	} {
		err := refusedPort(netip.AddrPortFrom(near4, c.port), c.err)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}
