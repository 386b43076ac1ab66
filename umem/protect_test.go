package umem

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What cannot be protected is refused with the numbers, and what to do.
func TestCheckProtect(t *testing.T) {
	page := os.Getpagesize()
	if page > MaxChunk {
		t.Skipf("needs pages of at most %d bytes", MaxChunk)
	}
	for name, c := range map[string]struct {
		cfg  Config
		maps int
		says string
	}{
		"at the limit": {Config{Frames: 31741, ChunkSize: page}, 65530, ""},
		"over it":      {Config{Frames: 31742, ChunkSize: page}, 65530, "31742 frames: at most 31741 can be, half of vm.max_map_count (65530) less 1024: use 31741 frames, or sysctl -w vm.max_map_count=65532"},
		"as told":      {Config{Frames: 31742, ChunkSize: page}, 65532, ""},
		"none at all":  {Config{Frames: 1, ChunkSize: page}, 2048, "at most 0"},
		"few":          {Config{Frames: 1, ChunkSize: page}, 10, "at most 0"},
		"half a page":  {Config{Frames: 1, ChunkSize: page / 2}, 65530, fmt.Sprintf("use a chunk of %d", page)},
		"huge pages":   {Config{Frames: 1, ChunkSize: page, HugePages: true}, 65530, "leave huge pages out"},
	} {
		err := c.cfg.CheckProtect(c.maps)
		if (c.says == "") != (err == nil) || err != nil && (!errors.Is(err, ErrProtect) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A system call stands in for the store: it says EFAULT where that would be a fault.
func mayWrite(t *testing.T, b []byte) bool {
	t.Helper()
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // a test's
	_, err = unix.Read(fd, b)
	if err != nil && !errors.Is(err, unix.EFAULT) {
		t.Fatal(err)
	}
	return err == nil
}

func TestProtect(t *testing.T) {
	if os.Getpagesize() > MaxChunk {
		t.Skipf("needs pages of at most %d bytes", MaxChunk)
	}
	r := mapped(t, 5, os.Getpagesize())
	want := func(may ...bool) {
		t.Helper()
		for f, is := range may {
			if got := mayWrite(t, r.WriterBytes(Frame(f))); got != is {
				t.Errorf("frame %d may be written: %v", f, got)
			}
			r.Bytes(Frame(f))[0] = 1 // the engine's view always
		}
	}
	for _, step := range []struct {
		f   Frame
		may bool
	}{{NoFrame, false}, {2, true}, {0, true}, {2, false}, {4, true}, {NoFrame, true}} {
		err := error(nil)
		if step.f == NoFrame {
			err = r.ProtectAll(step.may)
		} else {
			err = r.Protect(step.f, step.may)
		}
		if err != nil {
			t.Fatal(err)
		}
		switch step.f {
		case 2:
			want(!step.may, false, step.may, false, false)
		case 4:
			want(true, false, false, false, true)
		case NoFrame:
			want(step.may, step.may, step.may, step.may, step.may)
		}
	}
}

// A shared ledger is the ledger: what the pool does can be read beside it.
func TestShare(t *testing.T) {
	r := mapped(t, 8, MinChunk)
	p, err := NewPool(r, 2, 5, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Share(make([]byte, 4*HoldSize)); !errors.Is(err, ErrGeometry) {
		t.Errorf("too short: %v", err)
	}
	mem, err := unix.Mmap(-1, 0, 6*HoldSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem) //nolint:errcheck // a test's
	if err := p.Share(mem[4 : 4+5*HoldSize]); !errors.Is(err, ErrGeometry) {
		t.Errorf("askew: %v", err)
	}
	if err := p.Share(mem[:5*HoldSize]); err != nil {
		t.Fatal(err)
	}
	f, _ := p.Lend()
	is := func(want Holding) {
		t.Helper()
		if got := ReadHolding(mem[p.Index(f)*HoldSize:]); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if _, err := p.Audit(); err != nil {
			t.Error(err)
		}
	}
	is(Holding{Lent: true, Who: "a writer"})
	p.Commit(f)
	is(Holding{Segments: 1, Who: "TCP"})
	p.Submit(f)
	is(Holding{Segments: 1, Kernel: 1, Who: "TCP and kernel"})
	p.Drop(f)
	is(Holding{Kernel: 1, Who: "kernel"})
	p.Quarantine()
	is(Holding{Kernel: 1, Who: "quarantine"})
	p.Complete(r.Addr(f))
	is(Holding{Lent: true, Who: "a writer"})
	p.Drain()
	p.Commit(f)
	p.LendEarly(f)
	is(Holding{Segments: 1, Lent: true, Who: "a writer, who was told too early"})
	p.Abandon(f)
	p.Drop(f)
	is(Holding{Who: "nobody"})
	f, _ = p.Alloc()
	is(Holding{Who: "the engine"})
	p.Return(f)
	f, _ = p.Fill()
	is(Holding{Kernel: 1, Who: "the engine, to receive into"})
}
