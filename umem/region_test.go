package umem

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTwoViews: what a writer writes the engine reads, and the other way round,
// frame by frame, at two addresses.
func TestTwoViews(t *testing.T) {
	for _, chunk := range []int{MinChunk, MaxChunk} {
		r := mapped(t, 5, chunk)
		for f := range Frame(5) {
			copy(r.WriterBytes(f), bytes.Repeat([]byte{byte('a' + f)}, chunk))
		}
		for f := range Frame(5) {
			if !bytes.Equal(r.Bytes(f), bytes.Repeat([]byte{byte('a' + f)}, chunk)) {
				t.Errorf("frame %d: the engine sees % x...", f, r.Bytes(f)[:8])
			}
			r.Bytes(f)[chunk-1] = '!'
			if r.WriterBytes(f)[chunk-1] != '!' {
				t.Errorf("frame %d: the writer does not see the engine's byte", f)
			}
			if &r.Bytes(f)[0] == &r.WriterBytes(f)[0] {
				t.Errorf("frame %d: both views at one address", f)
			}
		}
		if r.Views() != 2 || len(r.Memory()) != 5*chunk || &r.Memory()[0] != &r.Bytes(0)[0] {
			t.Errorf("%d views, %d bytes", r.Views(), len(r.Memory()))
		}
	}
}

// TestWritersViewCanBeProtected is what the second view is for: the engine goes on
// writing where writers may not.
func TestWritersViewCanBeProtected(t *testing.T) {
	r := mapped(t, 4, MaxChunk)
	if err := unix.Mprotect(r.WriterBytes(1), unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	r.Bytes(1)[0] = 7
	r.WriterBytes(0)[0], r.WriterBytes(2)[0] = 1, 1
	if r.WriterBytes(1)[0] != 7 {
		t.Error("the protected view is not the same memory")
	}
}

// TestAppendStaysInFrame: a slice of a frame ends where the frame ends.
func TestAppendStaysInFrame(t *testing.T) {
	r := mapped(t, 2, MinChunk)
	for _, b := range [][]byte{r.Bytes(0), r.WriterBytes(0)} {
		if spill := append(b, 0xEE); &spill[0] == &b[0] {
			t.Error("an append writes into the next frame")
		}
	}
	if whole := r.Memory(); cap(whole) != len(whole) {
		t.Error("an append writes behind the region")
	}
	if r.Bytes(1)[0] != 0 {
		t.Errorf("the next frame starts with %#x", r.Bytes(1)[0])
	}
	if panics(func() { r.Bytes(2) }) == "" || panics(func() { r.WriterBytes(NoFrame) }) == "" {
		t.Error("bytes of a frame that does not exist")
	}
}

func TestAddresses(t *testing.T) {
	for _, chunk := range []int{MinChunk, MaxChunk} {
		r := mapped(t, 7, chunk)
		if r.Frames() != 7 || r.ChunkSize() != chunk {
			t.Errorf("%d frames of %d bytes", r.Frames(), r.ChunkSize())
		}
		for f := range Frame(7) {
			for _, off := range []uint64{0, 1, 256, uint64(chunk) - 1} {
				if got, ok := r.FrameAt(r.Addr(f) + off); !ok || got != f {
					t.Errorf("address %d of frame %d: got %d, %v", off, f, got, ok)
				}
			}
			if want := uint64(f) * uint64(chunk); r.Addr(f) != want {
				t.Errorf("frame %d at %d, want %d", f, r.Addr(f), want)
			}
		}
		for _, addr := range []uint64{uint64(7 * chunk), 1 << 30, 1 << 43, 1 << 63, math.MaxUint64} {
			if f, ok := r.FrameAt(addr); ok || f != NoFrame {
				t.Errorf("address %#x lies in frame %d", addr, f)
			}
		}
	}
}

func TestMapRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want error
		text string
	}{
		{Config{}, ErrGeometry, "0 frames: must be from 1 to 4294967294"},
		{Config{Frames: -1}, ErrGeometry, "-1 frames"},
		{Config{Frames: math.MaxInt}, ErrGeometry, "must be from 1 to"},
		{Config{Frames: 1 << 32}, ErrGeometry, "must be from 1 to"},
		{Config{Frames: int(NoFrame)}, ErrGeometry, "must be from 1 to 4294967294"},
		{Config{Frames: 1, ChunkSize: 1024}, ErrGeometry, "chunk size 1024: must be a power of two from 2048 to 4096"},
		{Config{Frames: 1, ChunkSize: 3000}, ErrGeometry, "chunk size 3000: must be a power of two"},
		{Config{Frames: 1, ChunkSize: 8192}, ErrGeometry, "from 2048 to 4096"},
		{Config{Frames: 1, ChunkSize: -2048}, ErrGeometry, "chunk size -2048"},
		{Config{Frames: 1, ChunkSize: math.MinInt}, ErrGeometry, "must be a power of two"},
		// 16 TiB: mapping it would succeed, and touching it would kill the process.
		{Config{Frames: int(NoFrame) - 1, ChunkSize: 4096}, ErrNoMemory, "fewer frames need less"},
		{Config{Frames: int(NoFrame) - 1, HugePages: true}, ErrNoMemory, "but the machine has"},
	} {
		r, err := Map(c.cfg)
		if r != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: got %v, want %q", c.cfg, err, c.text)
		}
	}
}

// TestHugePages: where none are reserved the error says how many to reserve, and
// by what command; where they are, the region works.
func TestHugePages(t *testing.T) {
	r, err := Map(Config{Frames: 1025, HugePages: true}) // 2 MiB and a frame: 2 pages
	if err == nil {
		r.WriterBytes(1024)[0] = 1
		if len(r.Memory()) != 1025*MinChunk || r.Bytes(1024)[0] != 1 {
			t.Errorf("%d bytes", len(r.Memory()))
		}
		if n := reservedHugePages(t); n == 0 {
			t.Error("there are no huge pages, and ordinary ones came without a word")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		t.Skip("this machine has huge pages reserved: the refusal cannot be seen")
	}
	if !errors.Is(err, ErrHugePages) || errors.Is(err, ErrNoMemory) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"4194304 bytes need 2 huge pages", "sysctl vm.nr_hugepages=2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the text does not say %q: %v", want, err)
		}
	}
	_, err = Map(Config{Frames: 1024, HugePages: true})
	if want := "2097152 bytes need 1 huge pages"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a page exactly: the text does not say %q: %v", want, err)
	}
}

func reservedHugePages(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/vm/nr_hugepages")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMapKeepsNoDescriptor: the mappings keep the memory alive, its descriptor is closed.
func TestMapKeepsNoDescriptor(t *testing.T) {
	mapped(t, 4, MinChunk)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "xsend-umem") {
			t.Errorf("descriptor %s is open: %s", fd.Name(), to)
		}
	}
}

// TestCheckMachine: what the machine holds exactly is not refused, a byte more is.
func TestCheckMachine(t *testing.T) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	total := int(info.Totalram) * int(info.Unit)
	if err := checkMachine(total); err != nil {
		t.Error(err)
	}
	if err := checkMachine(total + 1); !errors.Is(err, ErrNoMemory) {
		t.Errorf("got %v", err)
	}
}

// TestCloseTells: what cannot be unmapped is an error.
func TestCloseTells(t *testing.T) {
	mem := make([]byte, MinChunk) // nothing that mmap returned
	if err := over(mem, mem, 1, MinChunk).Close(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	r, err := Map(Config{Frames: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := r.Close(); err != nil {
			t.Errorf("close %d: %v", i+1, err)
		}
	}
	if panics(func() { r.Bytes(0) }) == "" {
		t.Error("bytes of a closed region")
	}
}

func TestOver(t *testing.T) {
	mem := mapping(t, 4*MinChunk)
	r, err := Over(mem, MinChunk)
	if err != nil {
		t.Fatal(err)
	}
	if r.Frames() != 4 || r.Views() != 1 || &r.Memory()[0] != &mem[0] || &r.Bytes(3)[0] != &r.WriterBytes(3)[0] {
		t.Errorf("%d frames, %d views", r.Frames(), r.Views())
	}
	r.WriterBytes(2)[5] = 9
	if mem[2*MinChunk+5] != 9 {
		t.Error("the region is not the memory it was laid over")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	mem[0] = 1 // would fault if Close had unmapped what it does not own
}

func TestOverRefuses(t *testing.T) {
	mem := mapping(t, 4*MaxChunk)
	page := os.Getpagesize()
	for _, c := range []struct {
		name  string
		mem   []byte
		chunk int
		text  string
	}{
		{"no memory", nil, MinChunk, "0 frames: must be from 1"},
		{"less than a chunk", mem[:2047], MinChunk, "0 frames"},
		{"a chunk and a half", mem[:3072], MinChunk, "3072 bytes are not a whole number of 2048-byte chunks: 2048 bytes are"},
		{"chunk 0", mem, 0, "chunk size 0: must be a power of two from 2048 to 4096"},
		{"chunk -1", mem, -1, "chunk size -1"},
		{"chunk 1000", mem, 1000, "chunk size 1000"},
		{"chunk 8192", mem, 8192, "chunk size 8192"},
		{"one byte in", mem[1 : 1+MinChunk], MinChunk, "multiple of the page size"},
		{"half a page in", mem[page/2 : page/2+MinChunk], MinChunk, "multiple of the page size"},
	} {
		r, err := Over(c.mem, c.chunk)
		if r != nil || !errors.Is(err, ErrGeometry) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

// FuzzGeometry lays regions over parts of a mapping: no panic, and what is accepted
// is consistent for every address.
func FuzzGeometry(f *testing.F) {
	f.Add(uint16(0), uint16(8192), 2048, uint64(5000))
	f.Add(uint16(4096), uint16(4096), 4096, uint64(1<<63))
	f.Add(uint16(7), uint16(100), 0, uint64(0))
	f.Add(uint16(0), uint16(65535), math.MinInt, uint64(1))
	mem := mapping(f, 1<<17)
	f.Fuzz(func(t *testing.T, start, size uint16, chunk int, addr uint64) {
		part := mem[start : int(start)+int(size)]
		r, err := Over(part, chunk)
		if err != nil {
			if !errors.Is(err, ErrGeometry) {
				t.Fatal(err)
			}
			return
		}
		if r.Frames()*r.ChunkSize() != len(part) || len(r.Memory()) != len(part) {
			t.Fatalf("%d frames of %d in %d bytes", r.Frames(), r.ChunkSize(), len(part))
		}
		got, ok := r.FrameAt(addr)
		if ok != (addr < uint64(len(part))) {
			t.Fatalf("address %d of %d bytes: %v", addr, len(part), ok)
		}
		if ok && (addr-r.Addr(got) >= uint64(chunk) || len(r.Bytes(got)) != chunk || cap(r.Bytes(got)) != chunk) {
			t.Fatalf("address %d lies in frame %d at %d", addr, got, r.Addr(got))
		}
	})
}

// FuzzCheckGeometry: sizes that are accepted can be computed with.
func FuzzCheckGeometry(f *testing.F) {
	f.Add(1, 2048)
	f.Add(math.MaxInt, 4096)
	f.Add(1<<52, 2048)
	f.Add(math.MinInt, math.MinInt)
	f.Fuzz(func(t *testing.T, frames, chunk int) {
		if checkGeometry(frames, chunk) == nil && (frames*chunk/chunk != frames || frames*chunk <= 0 || Frame(frames) >= NoFrame) {
			t.Fatalf("%d frames of %d bytes", frames, chunk)
		}
	})
}
