package xdpprog

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// eventually waits for what the kernel does in its own time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 2 s: %s", what)
		}
	}
}

func TestAttachModes(t *testing.T) {
	for asked, want := range map[Mode]Mode{ModeAuto: ModeNative, ModeNative: ModeNative, ModeGeneric: ModeGeneric} {
		p := newPair(t)
		prog := p.attach(t, asked, 0)
		if prog.Mode() != want || prog.NativeRefused() != nil {
			t.Errorf("asked for %v: got %v, refused: %v", asked, prog.Mode(), prog.NativeRefused())
		}
		if prog.Queues() != allQueues {
			t.Errorf("%d queues, the interface has %d", prog.Queues(), allQueues)
		}
		if id := p.attached(t); id == 0 || id != prog.ID() {
			t.Errorf("program %d is attached, ID says %d", id, prog.ID())
		}
		p.near.must(t, func() error {
			n, err := readNIC(p.nearIndex)
			if got := attachedMode(n.xdp.AttachMode); got != want.String() {
				t.Errorf("asked for %v: the kernel says %q", asked, got)
			}
			return err
		})
		if err := errors.Join(prog.Close(), prog.Close()); err != nil {
			t.Error(err)
		}
		if id := p.attached(t); id != 0 {
			t.Errorf("program %d is attached after Close", id)
		}
	}
}

// Loopback has no native XDP.
func TestAttachFallsBackOnlyWhenAuto(t *testing.T) {
	p := newPair(t)
	p.near.must(t, func() error {
		prog, err := Attach(Config{Ifindex: 1})
		if err != nil {
			return err
		}
		if prog.Mode() != ModeGeneric || !errors.Is(prog.NativeRefused(), unix.EOPNOTSUPP) {
			t.Errorf("auto: %v, native refused: %v", prog.Mode(), prog.NativeRefused())
		}
		if err := prog.Close(); err != nil {
			return err
		}
		_, err = Attach(Config{Ifindex: 1, Mode: ModeNative})
		if !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), "lo, native") || !strings.Contains(err.Error(), "attach generic") {
			t.Errorf("native: %v", err)
		}
		return nil
	})
}

// Frames of several buffers need a program that says it can take them.
func TestAttachNativeJumbo(t *testing.T) {
	p := newPair(t)
	p.near.must(t, func() error {
		l, err := netlink.LinkByIndex(p.nearIndex)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(l, 9000)
	})
	if prog := p.attach(t, ModeNative, 0); prog.Mode() != ModeNative {
		t.Error(prog.Mode())
	}
}

func TestAttachRefusesConfig(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "interface index 0"},
		{Config{Ifindex: -1}, "interface index -1"},
		{Config{Ifindex: 1, Queues: -1}, "-1 queues"},
		{Config{Ifindex: 1, Mode: 7}, "mode 7"},
		{Config{Ifindex: 1 << 30}, "interface 1073741824"},
	} {
		if _, err := Attach(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	if err := (nic{name: "tun0", link: "none"}).usable(); err == nil || !strings.Contains(err.Error(), "tun0") {
		t.Errorf("an interface without Ethernet headers: %v", err)
	}
}

func TestMode(t *testing.T) {
	for m, name := range map[Mode]string{ModeAuto: "auto", ModeNative: "native", ModeGeneric: "generic"} {
		if got, err := ParseMode(name); got != m || err != nil || m.String() != name {
			t.Errorf("%s: parsed %v (%v), printed %v", name, got, err, m)
		}
	}
	if _, err := ParseMode("skb"); err == nil {
		t.Error("skb is accepted")
	}
	if got := Mode(9).String(); got != "Mode(9)" {
		t.Error(got)
	}
}

// Whatever is attached already stays, and the error says how to be rid of it.
func TestAttachBusy(t *testing.T) {
	for _, held := range []Mode{ModeNative, ModeGeneric} {
		for _, byLink := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v by link %v", held, byLink), func(t *testing.T) { busy(t, held, byLink) })
		}
	}
}

func busy(t *testing.T, held Mode, byLink bool) {
	p := newPair(t)
	var f *foreign
	p.near.must(t, func() (err error) { f, err = attachForeign(p.nearIndex, held, byLink); return err })
	t.Cleanup(f.close)
	was := p.attached(t)
	var last *BusyError
	for _, mode := range []Mode{ModeAuto, ModeNative, ModeGeneric} {
		p.near.must(t, func() error {
			_, err := Attach(Config{Ifindex: p.nearIndex, Mode: mode})
			last = checkBusy(t, err, p.name, was, held)
			// Again, as if it had come between the look and the attempt.
			_, err = attachTo(nic{index: p.nearIndex, name: p.name, rxQueues: 1}, Config{Mode: mode})
			checkBusy(t, err, p.name, was, held)
			return nil
		})
		if id := p.attached(t); id != was {
			t.Fatalf("%v: program %d is attached, it was %d", mode, id, was)
		}
	}
	if (last.LinkID != 0) != byLink {
		t.Errorf("held by link %d", last.LinkID)
	}
	p.takeAdvice(t, last)
}

func checkBusy(t *testing.T, err error, name string, id uint32, held Mode) *BusyError {
	t.Helper()
	var b *BusyError
	if !errors.Is(err, ErrBusy) || !errors.As(err, &b) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if b.Interface != name || b.ProgramID != id || b.ProgramName != "constant" || b.Attached != held.String() {
		t.Errorf("%+v", b)
	}
	for _, part := range []string{name, fmt.Sprint("program ", id), `"constant"`, held.String(), "remove it first"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	return b
}

// takeAdvice runs the command that the error recommends, and attaches.
func (p *pair) takeAdvice(t *testing.T, b *BusyError) {
	t.Helper()
	advice := b.Remedy()
	if b.LinkID != 0 {
		advice = advice[strings.Index(advice, "bpftool"):]
	} else {
		advice = advice[:strings.Index(advice, ",")]
	}
	args := strings.Fields(advice)
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("needs %s to follow its own advice: %s", args[0], advice)
	}
	cmd := exec.Command(args[0], args[1:]...)
	p.near.must(t, func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %v: %s", advice, err, out)
		}
		return nil
	})
	eventually(t, "the foreign program is gone", func() bool { return p.attached(t) == 0 })
	p.attach(t, ModeAuto, 0)
}

func TestAttachTwice(t *testing.T) {
	p := newPair(t)
	first := p.attach(t, ModeGeneric, 0)
	p.near.must(t, func() error {
		_, err := Attach(Config{Ifindex: p.nearIndex})
		var b *BusyError
		if !errors.As(err, &b) || b.ProgramName != "xsend_steer" || b.ProgramID != first.ID() {
			t.Errorf("second Attach: %v", err)
		}
		return nil
	})
	if id := p.attached(t); id != first.ID() {
		t.Errorf("program %d is attached, want %d", id, first.ID())
	}
}

// A killed process leaves nothing behind. The control is the netlink attachment, which stays.
func TestKillDetaches(t *testing.T) {
	p := newPair(t)
	child := p.startChild(t, "steer")
	if p.attached(t) == 0 {
		t.Fatal("the child attached nothing")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	eventually(t, "the program is gone", func() bool { return p.attached(t) == 0 })
	p.attach(t, ModeAuto, 0).Close()

	control := p.startChild(t, "netlink")
	if err := control.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	control.Wait()
	if p.attached(t) == 0 {
		t.Error("the netlink attachment is gone too: the test has no power")
	}
}

// The attachment lives as long as the Program is reachable, and no longer.
func TestGarbageDetaches(t *testing.T) {
	p := newPair(t)
	var prog *Program
	p.near.must(t, func() (err error) { prog, err = Attach(Config{Ifindex: p.nearIndex}); return err })
	for range 5 {
		runtime.GC()
	}
	if p.attached(t) == 0 {
		t.Error("collected while in use")
	}
	runtime.KeepAlive(prog)
	prog = nil
	eventually(t, "garbage detaches", func() bool { runtime.GC(); return p.attached(t) == 0 })
}

func TestCloseAfterInterfaceIsGone(t *testing.T) {
	p := newPair(t)
	prog := p.attach(t, ModeAuto, 0)
	p.near.must(t, func() error {
		l, err := netlink.LinkByIndex(p.nearIndex)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	})
	if err := errors.Join(prog.AddPort(ours), prog.Close()); err != nil {
		t.Error(err)
	}
}

func TestAttachNeedsPrivileges(t *testing.T) {
	p := newPair(t)
	for _, c := range []struct {
		keep  []uint
		lacks string // empty: enough
	}{
		{nil, "lacks CAP_NET_ADMIN, CAP_BPF, CAP_NET_RAW:"},
		{[]uint{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "lacks CAP_BPF:"},
		{[]uint{unix.CAP_BPF}, "lacks CAP_NET_ADMIN, CAP_NET_RAW:"},
		{[]uint{unix.CAP_BPF, unix.CAP_NET_ADMIN}, ""},
	} {
		err := p.near.apart(func() error {
			if err := keepOnly(c.keep); err != nil {
				return err
			}
			prog, err := Attach(Config{Ifindex: p.nearIndex})
			if err == nil {
				return prog.Close()
			}
			return err
		})
		if c.lacks == "" && err != nil {
			t.Errorf("with %v: %v", c.keep, err)
		}
		if c.lacks != "" && (!errors.Is(err, ErrPermission) || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), c.lacks)) {
			t.Errorf("with %v: %v, want %q", c.keep, err, c.lacks)
		}
	}
}

// Without CAP_SYS_ADMIN the foreign program's name can't be had.
func TestBusyWithoutPrivileges(t *testing.T) {
	p := newPair(t)
	first := p.attach(t, ModeAuto, 0)
	err := p.near.apart(func() error {
		if err := keepOnly([]uint{unix.CAP_BPF, unix.CAP_NET_ADMIN}); err != nil {
			return err
		}
		_, err := Attach(Config{Ifindex: p.nearIndex})
		return err
	})
	var b *BusyError
	if !errors.As(err, &b) || b.ProgramID != first.ID() || !strings.Contains(err.Error(), "end the process") {
		t.Error(err)
	}
}

// keepOnly reduces the calling thread's capabilities for good.
func keepOnly(caps []uint) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for _, c := range caps {
		sets[c/32].Effective |= 1 << (c % 32)
		sets[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&hdr, &sets[0])
}
