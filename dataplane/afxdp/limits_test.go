package afxdp

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/internal/porttest"
)

// envMemlock marks the child process of TestOpenMemlock.
const envMemlock = "AFXDP_TEST_MEMLOCK"

// A small RLIMIT_MEMLOCK and no CAP_IPC_LOCK, in a process of its own because the
// limit is the process's.
func TestOpenMemlock(t *testing.T) {
	porttest.NeedRoot(t)
	if os.Getenv(envMemlock) != "" {
		memlockChild(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpenMemlock$", "-test.v")
	cmd.Env = append(os.Environ(), envMemlock+"=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "SKIP: TestOpenMemlock") {
		t.Skipf("the child process skipped:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "PASS: TestOpenMemlock") {
		t.Fatalf("child process: %v\n%s", err, out)
	}
}

func memlockChild(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 256) // 512 KiB
	setMemlock(t, 64<<10)
	open := func() (err error) {
		return w.Near.Try(func() error {
			if err := dropIPCLock(); err != nil { // of this thread, which ends with the call
				return err
			}
			s, err := Open(t.Context(), onWire(w, Config{Region: r}))
			if err == nil {
				err = s.Close()
			}
			return err
		})
	}
	wantRefused(t, open(), ErrMemlock, unix.ENOBUFS, "524288 bytes", "RLIMIT_MEMLOCK is 65536", "ulimit -l 512", "CAP_IPC_LOCK")
	setMemlock(t, 4<<20) // the control: the same with enough
	if err := open(); err != nil {
		t.Errorf("with enough: %v", err)
	}
}

func setMemlock(t *testing.T, n uint64) {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		t.Fatal(err)
	}
	if n > l.Max {
		t.Skipf("needs a hard RLIMIT_MEMLOCK of %d bytes, it is %d", n, l.Max)
	}
	l.Cur = n
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		t.Fatal(err)
	}
}

// dropIPCLock takes CAP_IPC_LOCK from the calling thread, for as long as it lives.
func dropIPCLock() error { return dropCaps(1 << unix.CAP_IPC_LOCK) }

// dropCaps takes capabilities below 32 from the calling thread.
func dropCaps(mask uint32) error {
	runtime.LockOSThread()
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return err
	}
	d[0].Effective &^= mask
	return unix.Capset(&h, &d[0])
}

func TestOpenWithoutCapability(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	err := w.Near.Try(func() error {
		if err := dropCaps(1 << unix.CAP_NET_RAW); err != nil {
			return err
		}
		_, err := Open(t.Context(), onWire(w, Config{Region: r}))
		return err
	})
	wantRefused(t, err, ErrPermission, unix.EPERM, "CAP_NET_RAW", "setcap")
}

// Without CAP_NET_ADMIN the send buffer stays below net.core.wmem_max: it opens,
// and says so.
func TestOpenWithoutNetAdmin(t *testing.T) {
	w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
	err := w.Near.Try(func() error {
		if err := dropCaps(1 << unix.CAP_NET_ADMIN); err != nil {
			return err
		}
		const asked = 1 << 29
		s, err := Open(t.Context(), onWire(w, Config{Region: r, SendBuffer: asked}))
		if err != nil {
			return err
		}
		if n := s.SendBuffer(); n <= 0 || n >= asked {
			t.Errorf("send buffer without CAP_NET_ADMIN: %d", n)
		}
		return s.Close()
	})
	if err != nil {
		t.Error(err)
	}
}
