package trap

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/umem"
)

// What a process that a test started does: it is the test binary, started anew.
const partEnv = "XSEND_TRAP_TEST_PART"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "monitor" {
		if err := Monitor(os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if part := os.Getenv(partEnv); part != "" {
		os.Exit(play(part))
	}
	os.Exit(m.Run())
}

func needPages(t testing.TB) {
	t.Helper()
	if page := os.Getpagesize(); page > umem.MaxChunk {
		t.Skipf("needs pages of at most %d bytes, they have %d", umem.MaxChunk, page)
	}
}

// set sets a trap over 8 frames with a ledger; frame 3 is what the test is about.
func set(t testing.TB) (*Trap, *umem.Region, *umem.Pool) {
	t.Helper()
	needPages(t)
	r, err := umem.Map(umem.Config{Frames: 8, ChunkSize: os.Getpagesize()})
	if err != nil {
		t.Fatal(err)
	}
	trap, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trap.Close(); _ = r.Close() })
	pool, err := umem.NewPool(r, 0, 8, 2)
	if err == nil {
		err = pool.Share(trap.Ledger(0, 8))
	}
	if err != nil {
		t.Fatal(err)
	}
	return trap, r, pool
}

var someone = Last{
	Writer: 7, Local: netip.MustParseAddrPort("10.0.0.1:4001"), Remote: netip.MustParseAddrPort("[2001:db8::2]:80"),
	Start: 1 << 40, End: 1<<40 + 1448, Cookie: 99,
}

// commit lends the next frame, and commits it as someone.
func commit(t testing.TB, trap *Trap, pool *umem.Pool) umem.Frame {
	t.Helper()
	f, ok := pool.Lend()
	if !ok {
		t.Fatal("no frame")
	}
	trap.Allow(f)
	pool.Region().WriterBytes(f)[0] = 1
	trap.Forbid(f)
	trap.Wrote(f, &someone)
	pool.Commit(f)
	return f
}

//go:noinline
func strayStore(b []byte, k int) { b[k] = 0xee }

func TestGuard(t *testing.T) {
	trap, r, pool := set(t)
	f := commit(t, trap, pool)
	for _, k := range []int{0, 1, 2047, os.Getpagesize() - 1} {
		err := trap.Guard(func() error { strayStore(r.WriterBytes(f), k); return nil })
		var stray *StrayWrite
		if !errors.As(err, &stray) {
			t.Fatalf("offset %d: %v", k, err)
		}
		if stray.Frame != f || stray.Offset != k || stray.Last != someone || stray.Err != nil || stray.Addr != address(r.WriterBytes(f)[k:]) {
			t.Errorf("offset %d: %+v", k, stray)
		}
		if stray.Holder != "TCP (1 segments not ACKed, 0 descriptors not completed)" || !strings.Contains(string(stray.Stack), "strayStore") {
			t.Errorf("holder %q, stack %s", stray.Holder, stray.Stack)
		}
		for _, text := range []string{fmt.Sprintf("frame %d, offset %d", f, k), "TCP", "writer 7, cookie 99", "[2001:db8::2]:80"} {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%v lacks %q", err, text)
			}
		}
		if r.Bytes(f)[k] == 0xee {
			t.Error("it was written all the same")
		}
	}
	pool.Submit(f)
	err := trap.Guard(func() error { strayStore(r.WriterBytes(f), 9); return nil })
	if !strings.Contains(fmt.Sprint(err), "TCP and kernel (1 segments not ACKed, 1 descriptors not completed)") {
		t.Error(err)
	}
	r.Bytes(f)[0] = 2 // the engine's view is another matter
	trap.Allow(f)
	if err := trap.Guard(func() error { strayStore(r.WriterBytes(f), 9); return nil }); err != nil || r.Bytes(f)[9] != 0xee {
		t.Errorf("allowed: %v", err)
	}
}

// A frame that nobody has committed has no last writer, and one that its writer has not reserved no holder.
func TestGuardOfAFreeFrame(t *testing.T) {
	trap, r, pool := set(t)
	var stray *StrayWrite
	if err := trap.Guard(func() error { strayStore(r.WriterBytes(6), 5); return nil }); !errors.As(err, &stray) || stray.Holder != "nobody" || stray.Last.Writer != 0 {
		t.Errorf("%v", err)
	}
	f, _ := pool.Lend()
	if err := trap.Guard(func() error { strayStore(r.WriterBytes(f), 5); return nil }); !errors.As(err, &stray) || !strings.Contains(stray.Holder, "has not reserved it") {
		t.Errorf("%v", err)
	}
	e, _ := pool.Alloc()
	if err := trap.Guard(func() error { strayStore(r.WriterBytes(e), 5); return nil }); !errors.As(err, &stray) || stray.Holder != "the engine" {
		t.Errorf("%v", err)
	}
}

// Guard passes on what is not about the trap.
func TestGuardPassesOn(t *testing.T) {
	trap, _, _ := set(t)
	mine := errors.New("mine")
	if err := trap.Guard(func() error { return mine }); err != mine {
		t.Error(err)
	}
	if err := (*Trap)(nil).Guard(func() error { return mine }); err != mine {
		t.Error(err)
	}
	for name, f := range map[string]func() error{
		"a panic": func() error { panic("mine") },
		"nil":     func() error { var p *int; *p = 1; return nil },
		"elsewhere": func() error {
			mem, _ := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			defer unix.Munmap(mem) //nolint:errcheck // a test's
			strayStore(mem, 0)
			return nil
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: swallowed", name)
				}
			}()
			_ = trap.Guard(f)
		}()
	}
}

// A system call that writes to a frame gets EFAULT, which is the same error.
func TestExplain(t *testing.T) {
	trap, r, pool := set(t)
	f := commit(t, trap, pool)
	in, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	good := make([]byte, 10)
	bad := r.WriterBytes(f)[300:400]
	_, err = unix.Pread(int(in.Fd()), bad, 0)
	if !errors.Is(err, unix.EFAULT) {
		t.Fatalf("read into a frame that is not ours: %v", err)
	}
	var stray *StrayWrite
	got := trap.Explain(err, good, nil, bad)
	if !errors.As(got, &stray) || stray.Frame != f || stray.Offset != 300 || stray.Last != someone || !errors.Is(got, unix.EFAULT) || !strings.Contains(got.Error(), "system call (bad address)") {
		t.Errorf("%v: %+v", got, stray)
	}
	if got := trap.Explain(err, good); got != err {
		t.Errorf("no frame: %v", got)
	}
	if got := trap.Explain(unix.EIO, bad); got != unix.EIO {
		t.Errorf("another error: %v", got)
	}
	trap.Allow(f)
	if n, err := unix.Pread(int(in.Fd()), bad, 0); n != 100 || err != nil {
		t.Errorf("read into a frame that is ours: %d, %v", n, err)
	}
	if got := trap.Explain(err, bad); errors.As(got, &stray) && got != err {
		t.Errorf("a frame that is ours: %v", got)
	}
}

// Where the kernel has no mapping left, nobody meets a fault where he may write, and Close says so.
func TestGiveUp(t *testing.T) {
	trap, r, pool := set(t)
	f := commit(t, trap, pool)
	trap.giveUp(unix.ENOMEM)
	strayStore(r.WriterBytes(f), 0)
	trap.Forbid(f)
	strayStore(r.WriterBytes(f), 0)
	if err := trap.Close(); !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "given up") {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	page := os.Getpagesize()
	if err := Check(umem.Config{Frames: 16, ChunkSize: page}); page <= umem.MaxChunk && err != nil {
		t.Error(err)
	}
	if err := Check(umem.Config{Frames: 1 << 30, ChunkSize: page}); !errors.Is(err, umem.ErrProtect) {
		t.Error(err)
	}
	mem, err := unix.Mmap(-1, 0, 4*umem.MaxChunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem) //nolint:errcheck // a test's
	r, err := umem.Over(mem, umem.MaxChunk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(r); !errors.Is(err, umem.ErrProtect) || !strings.Contains(err.Error(), "one view") {
		t.Error(err)
	}
	r.WriterBytes(0)[0] = 1
}

// play is the part of a process that a test started: it does something wrong.
func play(part string) int {
	self, err := os.Executable()
	if err != nil {
		return 9
	}
	t := &testing.T{}
	r, err := umem.Map(umem.Config{Frames: 8, ChunkSize: os.Getpagesize()})
	if err != nil {
		return 9
	}
	victim := r.WriterBytes(3)
	var trap *Trap
	if part != "untrapped" {
		if trap, err = New(r); err != nil {
			return 9
		}
		pool, _ := umem.NewPool(r, 3, 4, 1)
		if err := pool.Share(trap.Ledger(3, 4)); err != nil {
			return 9
		}
		if err := trap.Watch([]string{self, "monitor"}); err != nil {
			return 9
		}
		if err := trap.Watch([]string{self, "monitor"}); err == nil {
			return 8
		}
		if f := commit(t, trap, pool); f != 3 {
			return 7
		}
		pool.Submit(3)
	}
	switch part {
	case "nil":
		var p *int
		*p = 1
	case "elsewhere":
		mem, _ := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		strayStore(mem, 0)
	case "good":
		if err := trap.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 6
		}
		return 0
	}
	done := make(chan bool)
	go func() { strayStore(victim, 1234); close(done) }()
	<-done
	return 5 // it lives on
}

// A goroutine that nobody guards ends the process, and the monitor says which frame it was; of any other crash it says nothing.
func TestMonitor(t *testing.T) {
	needPages(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]struct {
		code int
		says string
	}{
		"stray":     {2, "frame 3, offset 1234: held by TCP and kernel (1 segments not ACKed, 1 descriptors not completed); last committed by writer 7, cookie 99: bytes 1099511627776 to 1099511629224 of the stream from 10.0.0.1:4001 to [2001:db8::2]:80\n"},
		"nil":       {2, ""},
		"elsewhere": {2, ""},
		"good":      {0, ""},
		"untrapped": {5, ""},
	} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), partEnv+"="+part)
		var said bytes.Buffer // its end is the end of the monitor too
		cmd.Stderr = &said
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want.code {
			t.Errorf("%s: exit code %d, want %d: %s", part, got, want.code, said.String())
		}
		if has := strings.Contains(said.String(), "xsend: a stray write ended the process"); has != (want.says != "") || !strings.Contains(said.String(), want.says) {
			t.Errorf("%s: %s", part, said.String())
		}
	}
}

// Monitor refuses what is no table.
func TestOpenTable(t *testing.T) {
	for _, content := range []string{"", "short", strings.Repeat("x", 4096)} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if _, err := openTable(int(f.Fd())); err == nil {
			t.Errorf("%d bytes: accepted", len(content))
		}
		f.Close()
	}
}

// FuzzResolve: whatever Go says, or anybody in its place, the monitor does not fall over.
func FuzzResolve(f *testing.F) {
	trap, _, _ := set(f)
	f.Add([]byte("unexpected fault address 0x7f\nfatal error: fault\n[signal SIGSEGV: segmentation violation code=0x2 addr=0x7f pc=0x1]\n"))
	f.Add([]byte(fmt.Sprintf("[signal SIGSEGV: segmentation violation code=0x2 addr=%#x pc=0x1]\n", trap.table.base+5)))
	f.Fuzz(func(t *testing.T, words []byte) {
		if s := trap.table.resolve(words); s != "" && !bytes.Contains(words, []byte("[signal SIG")) {
			t.Error(s)
		}
	})
}
