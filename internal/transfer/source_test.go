package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/pattern"
	"github.com/xsend/xsend/internal/readv"
)

func ranges(sizes ...int) [][]byte {
	var into [][]byte
	for _, n := range sizes {
		into = append(into, make([]byte, n))
	}
	return into
}

// drain reads a source to its end in batches of seeded shape.
func drain(t *testing.T, src source, seed int64) ([]byte, error) {
	t.Helper()
	rnd := rand.New(rand.NewSource(seed))
	var got []byte
	for {
		var sizes []int
		for range 1 + rnd.Intn(readv.MaxRanges+10) {
			sizes = append(sizes, 1+rnd.Intn(1448))
		}
		into := ranges(sizes...)
		n, err := src.fill(t.Context(), into)
		got = append(got, bytes.Join(into, nil)[:n]...)
		if err != nil {
			return got, err
		}
	}
}

func randomFile(t *testing.T, size int) (string, []byte) {
	t.Helper()
	b := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(b)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b
}

func TestRegularFileIsReadWhole(t *testing.T) {
	for _, size := range []int{0, 1, 1447, 1448, 1449, 300_000, 3_000_001} {
		path, want := randomFile(t, size)
		in, err := openInput(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range int64(2) { // two streams of one file
			src, err := in.open()
			if err != nil || src.size() != int64(size) {
				t.Fatalf("size %d, %v", src.size(), err)
			}
			if got, err := drain(t, src, seed); err != io.EOF || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, seed %d: read %d, %v", size, seed, len(got), err)
			}
		}
		in.close()
	}
}

func TestTruncatedFileIsAnError(t *testing.T) {
	path, _ := randomFile(t, 100_000)
	in, err := openInput(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	src, _ := in.open()
	if _, err := src.fill(t.Context(), ranges(1000)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	got, err := drain(t, src, 1)
	if !errors.Is(err, errShort) || len(got) != 4000 || !strings.Contains(err.Error(), "100000") {
		t.Errorf("%d bytes, %v; want 4000 and errShort", len(got), err)
	}
}

func TestGrowingFileIsReadToItsOldEnd(t *testing.T) {
	path, want := randomFile(t, 5000)
	in, err := openInput(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	src, _ := in.open()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(make([]byte, 777))
	f.Close()
	if got, err := drain(t, src, 1); err != io.EOF || !bytes.Equal(got, want) || in.grew() != 777 {
		t.Errorf("%d bytes, %v, grew %d", len(got), err, in.grew())
	}
}

func TestStandardInputThatIsAFile(t *testing.T) {
	path, want := randomFile(t, 5000)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Seek(1000, io.SeekStart)
	in, err := openInput(t.Context(), "-", f)
	if err != nil || in.want != 4000 {
		t.Fatalf("%+v, %v", in, err)
	}
	src, _ := in.open()
	if got, err := drain(t, src, 1); err != io.EOF || !bytes.Equal(got, want[1000:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func pipe(t *testing.T) (source, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	in, err := openInput(t.Context(), "-", r)
	if err != nil || in.want != -1 || in.repeatable() {
		t.Fatalf("%+v, %v", in, err)
	}
	src, err := in.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(src.(pausing).close)
	return src, w
}

func TestPipeGivesWhatCame(t *testing.T) {
	src, w := pipe(t)
	w.WriteString("hello")
	into := ranges(3, 100)
	if n, err := src.fill(t.Context(), into); n != 5 || err != nil || string(into[0])+string(into[1][:2]) != "hello" {
		t.Errorf("%d, %v, %q", n, err, into)
	}
	w.Close()
	if n, err := src.fill(t.Context(), into); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestPipeThatPausesCanBeLeft(t *testing.T) {
	src, _ := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	if n, err := src.fill(ctx, ranges(10)); n != 0 || err != nil {
		t.Errorf("a pause: %d, %v", n, err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	for range 2 {
		if n, err := src.fill(ctx, ranges(10)); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func TestPipeIsReadWhole(t *testing.T) {
	src, w := pipe(t)
	want := make([]byte, 1_000_003)
	rand.New(rand.NewSource(1)).Read(want)
	go func() {
		for b := want; len(b) > 0; {
			n := min(len(b), 1+len(b)%30_011)
			w.Write(b[:n])
			b = b[n:]
		}
		w.Close()
	}()
	if got, err := drain(t, src, 2); err != io.EOF || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestInputsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                 "is a directory",
		dir + "/none":       "no such file",
		dir + "/none/\x00x": "invalid argument",
	} {
		in, err := openInput(t.Context(), path, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, %v; want %q", path, in, err, want)
		}
	}
}

func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(path, []byte("through a fifo"), 0) //nolint:errcheck // seen below
	in, err := openInput(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	src, err := in.open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := drain(t, src, 1); err != io.EOF || string(got) != "through a fifo" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGenerator(t *testing.T) {
	want := make([]byte, 123_457)
	pattern.At(want, 0)
	if got, err := drain(t, &generator{want: int64(len(want))}, 1); err != io.EOF || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	now := time.Unix(100, 0)
	g := &generator{want: -1, until: now.Add(time.Second), now: func() time.Time { return now }}
	if n, err := g.fill(t.Context(), ranges(1000, 1000)); n != 2000 || err != nil {
		t.Errorf("before the deadline: %d, %v", n, err)
	}
	now = now.Add(time.Second)
	if n, err := g.fill(t.Context(), ranges(1000)); n != 0 || err != io.EOF {
		t.Errorf("after it: %d, %v", n, err)
	}
}

func TestHasher(t *testing.T) {
	h := newHasher()
	var all []byte
	for i := range 10 {
		b := bytes.Repeat([]byte{byte(i)}, i*100)
		h.start([][]byte{b[:len(b)/2], b[len(b)/2:]})
		all = append(all, b...)
		h.wait()
	}
	if want := sha256.Sum256(all); h.finish() != hex.EncodeToString(want[:]) {
		t.Error("wrong sum")
	}
}

func TestFillAllocatesNothing(t *testing.T) {
	path, _ := randomFile(t, 1<<20)
	in, err := openInput(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	src, _ := in.open()
	into := ranges(1448, 1448, 1448)
	if n := testing.AllocsPerRun(50, func() { src.fill(t.Context(), into) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
