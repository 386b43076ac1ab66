package sumprobe

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// listed reports whether the kernel's list of kprobes names ours; known: there is one to be read.
func listed() (there, known bool) {
	list, err := os.ReadFile("/sys/kernel/debug/kprobes/list")
	return strings.Contains(string(list), Symbol+"+0x"), err == nil // behind the landing pad where there is one
}

// What is counted of the control's packets, and of none else: on a kernel with kprobes all that ask and no other, else
// the error says what the kernel has not got. Afterwards the probe is gone.
func TestOpen(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: attaches a kprobe")
	}
	p, err := Open()
	if _, none := os.Stat(pmu); errors.Is(none, fs.ErrNotExist) {
		if err == nil || !strings.Contains(err.Error(), "this kernel has none") || !strings.Contains(err.Error(), pmu) {
			t.Errorf("without kprobes: %v", err)
		}
		t.Skipf("needs kprobes: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := p.Control()
		if err != nil || !c.Hits() {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if got, err := p.Calls(Flow{Local: 1, Remote: netip.MustParseAddrPort("192.0.2.9:1")}); err != nil || got.Flow != 0 {
		t.Errorf("of nobody: %+v, %v", got, err)
	}
	before, known := listed()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if after, _ := listed(); known && (!before || after) {
		t.Errorf("in the kernel's list: %v, and after Close %v", before, after)
	}
	t.Logf("flows told apart: %v, removal seen: %v", p.Attributes(), known)
}

// The control without its probe: the packets leave, and a probe that cannot hit is not taken for one that
// can.
func TestControlWithoutPower(t *testing.T) {
	p := programOn(t, standInLayout()) // attached where nobody calls
	var err error
	if p.control, err = newControl(); err != nil {
		t.Fatal(err)
	}
	c, err := p.Control()
	if err != nil || c.Sent == 0 || c.Hits() {
		t.Errorf("%+v, %v", c, err)
	}
}

// The kernel computes what the control asks for, and nothing else: seen at the far end of its pair.
func TestControlIsSummed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	c, err := newControl()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	// A packet socket sees what leaves before its checksum is filled in, so the far end it is.
	far := farEnd(t, c)
	for _, ask := range []bool{true, false} {
		f := c.plain
		if ask {
			f = c.asking
		}
		if err := c.send(f, ask); err != nil {
			t.Fatal(err)
		}
		for range controlPackets {
			if sum := receiveSum(t, far); (sum != 0) != ask {
				t.Errorf("asked %v: checksum %#x", ask, sum)
			}
		}
	}
}

func TestHits(t *testing.T) {
	for c, want := range map[Control]bool{
		{3, 3, 0}: true, {3, 2, 0}: false, {3, 0, 0}: false, {3, 3, 1}: false, {3, 4, 0}: false, {}: false,
	} {
		if c.Hits() != want {
			t.Errorf("%+v: %v", c, c.Hits())
		}
	}
}

// farEnd is a packet socket on the far end, made in the namespace of the control's socket.
func farEnd(t *testing.T, c *control) (fd int) {
	t.Helper()
	err := onDyingThread(func() error {
		ns, err := unix.IoctlRetInt(c.fd, unix.SIOCGSKNS)
		if err != nil {
			return err
		}
		defer unix.Close(ns)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			return err
		}
		link, err := netlink.LinkByName(farName)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: link.Attrs().Index}) // IPv4, in network byte order
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// receiveSum is the checksum of the next datagram, which is there within 5 s.
func receiveSum(t *testing.T, fd int) uint16 {
	t.Helper()
	tv := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 128)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if err != nil || n < etherLen+ipLen+udpLen {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return binary.BigEndian.Uint16(b[etherLen+ipLen+6:])
}
