package dataplane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// letterFile is an open file of letters(n).
func letterFile(t testing.TB, n int) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "letters")
	must(t, os.WriteFile(path, letters(n), 0o600))
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// shouting is a file with a Read of its own.
type shouting struct{ *os.File }

func (f shouting) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	copy(b, bytes.ToUpper(b[:n]))
	return n, err
}

// scripted returns one pair after the other, the last for ever.
type scripted struct {
	n   []int
	err []error
}

func (s *scripted) Read(b []byte) (int, error) {
	n, err := s.n[0], s.err[0]
	if len(s.n) > 1 {
		s.n, s.err = s.n[1:], s.err[1:]
	}
	for i := range max(0, min(n, len(b))) {
		b[i] = '.'
	}
	return n, err
}

// TestReadFrom: every kind of reader arrives as it would in a buffer; EOF is no error,
// any other comes back as it is, and no frame is left in hand.
func TestReadFrom(t *testing.T) {
	broken := errors.New("broken")
	text := string(letters(9000))
	half := text[:4500]
	nothing := &scripted{[]int{0}, []error{nil}}
	for _, c := range []struct {
		name string
		r    io.Reader
		want string
		err  error
	}{
		{"reader", strings.NewReader(text), text, nil},
		{"empty", strings.NewReader(""), "", nil},
		{"one byte at a time", iotest.OneByteReader(strings.NewReader(text[:30])), text[:30], nil},
		{"halves", iotest.HalfReader(strings.NewReader(text)), text, nil},
		{"EOF with the last bytes", iotest.DataErrReader(strings.NewReader(text)), text, nil},
		{"an error at once", iotest.ErrReader(broken), "", broken},
		{"a timeout", iotest.TimeoutReader(iotest.HalfReader(strings.NewReader(text))), text[:730], iotest.ErrTimeout},
		{"an error behind", io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), text, broken},
		{"an error with the last bytes", iotest.DataErrReader(io.MultiReader(strings.NewReader(half), iotest.ErrReader(broken))), half, broken},
		{"no progress", nothing, "", io.ErrNoProgress},
		{"hardly any progress", &scripted{[]int{0, 1, 0, 2, 0}, []error{nil, nil, nil, nil, io.EOF}}, "...", nil},
		{"more than there is room for", &scripted{[]int{5, 1 << 20}, []error{nil, nil}}, ".....", errCount},
		{"less than nothing", &scripted{[]int{-1}, []error{nil}}, "", errCount},
		{"file", letterFile(t, 9000), text, nil},
		{"empty file", letterFile(t, 0), "", nil},
		{"file of frames", letterFile(t, 2920), text[:2920], nil},
		{"part of a file", io.LimitReader(letterFile(t, 9000), 4500), half, nil},
		{"part beyond its end", io.LimitReader(letterFile(t, 4500), 9000), half, nil},
		{"no part of a file", io.LimitReader(letterFile(t, 9000), 0), "", nil},
		{"less than a part", io.LimitReader(letterFile(t, 9000), -5), "", nil},
		{"part of a reader", io.LimitReader(strings.NewReader(text), 4500), half, nil},
		{"section of a file", io.NewSectionReader(letterFile(t, 9000), 0, 4500), half, nil},
		{"a file with a Read of its own", shouting{letterFile(t, 9000)}, strings.ToUpper(text), nil},
		{"part of that", io.LimitReader(shouting{letterFile(t, 9000)}, 4500), strings.ToUpper(half), nil},
		{"a directory", opened(t, t.TempDir()), "", unix.EISDIR},
		{"a closed file", closed(letterFile(t, 10)), "", os.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, p := piped(t, 128, nil)
			n, err := p.ReadFrom(c.r)
			if n != int64(len(c.want)) || !errors.Is(err, c.err) || p.writer.bufs != 0 {
				t.Errorf("%d, %v, %d frames in hand; want %d, %v", n, err, p.writer.bufs, len(c.want), c.err)
			}
			must(t, g.flushed(p))
			if got := string(g.got(p)); got != c.want {
				t.Errorf("the peer got %d bytes, or others than the %d", len(got), len(c.want))
			}
			g.finish()
		})
	}
}

func opened(t *testing.T, path string) *os.File {
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func closed(f *os.File) *os.File { _ = f.Close(); return f }

// TestCopiesFilesInBatches: io.Copy, which hides the file's type, reads into many
// frames at once, and the file and the limit say afterwards what was read.
func TestCopiesFilesInBatches(t *testing.T) {
	g, p := piped(t, 128, nil)
	f := letterFile(t, 9000)
	reads := 0
	p.file = newFileSource()
	once := p.file.read
	p.file.read = func(fd uintptr) bool { reads++; return once(fd) }
	part := &io.LimitedReader{R: f, N: 2000}
	if n, err := io.Copy(p, part); n != 2000 || err != nil || part.N != 0 {
		t.Errorf("%d, %v, %d left", n, err, part.N)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 2000 || err != nil || reads != 1 {
		t.Errorf("at %d, %v, %d reads", at, err, reads)
	}
	if n, err := io.CopyN(p, f, 2000); n != 2000 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := io.Copy(p, f); n != 5000 || err != nil || reads != 4 { // two, and one that says that this is the end
		t.Errorf("%d, %v, %d reads", n, err, reads)
	}
	must(t, g.flushed(p))
	if !bytes.Equal(g.got(p), letters(9000)) {
		t.Error("the peer got something else")
	}
	g.finish()
}

// TestReadFromPipe: what came is committed before the next read waits.
func TestReadFromPipe(t *testing.T) {
	g, p := piped(t, 128, nil)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	p.file = newFileSource()
	once, reads := p.file.read, 0
	p.file.read = func(fd uintptr) bool {
		if reads++; reads == 2 { // the first has brought something, and nobody waits yet
			if n := p.Outstanding(); n != 1 {
				t.Errorf("%d commits before the second read", n)
			}
			_, _ = w.WriteString("world")
			_ = w.Close()
		}
		return once(fd)
	}
	_, _ = w.WriteString("hello ")
	if n, err := io.Copy(p, r); n != 11 || err != nil || p.writer.bufs != 0 {
		t.Errorf("%d, %v, %d frames in hand", n, err, p.writer.bufs)
	}
	must(t, g.flushed(p))
	if got := string(g.got(p)); got != "hello world" {
		t.Errorf("got %q", got)
	}
	g.finish()
}

func TestSendFile(t *testing.T) {
	whole := string(letters(9000))
	f := letterFile(t, 9000)
	r, _, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	for _, c := range []struct {
		name      string
		f         *os.File
		offset, n int64
		want      string
		err       error
	}{
		{"all", f, 0, -1, whole, nil},
		{"all, counted", f, 0, 9000, whole, nil},
		{"a part", f, 1000, 4500, whole[1000:5500], nil},
		{"the rest", f, 8999, -1, whole[8999:], nil},
		{"nothing", f, 0, 0, "", nil},
		{"behind its end", f, 9000, -1, "", nil},
		{"more than there is", f, 1000, 8001, whole[1000:], io.ErrUnexpectedEOF},
		{"before its start", f, -1, 1, "", unix.EINVAL},
		{"a pipe", r, 0, 1, "", unix.ESPIPE},
		{"closed", closed(letterFile(t, 10)), 0, 10, "", os.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, p := piped(t, 128, nil)
			n, err := p.SendFile(c.f, c.offset, c.n)
			var pe *fs.PathError
			if n != int64(len(c.want)) || !errors.Is(err, c.err) || c.err != nil && (!errors.As(err, &pe) || pe.Path != c.f.Name()) {
				t.Errorf("%d, %v; want %d, %v", n, err, len(c.want), c.err)
			}
			if at, _ := f.Seek(0, io.SeekCurrent); at != 0 || p.writer.bufs != 0 {
				t.Errorf("the file is at %d, %d frames in hand", at, p.writer.bufs)
			}
			must(t, g.flushed(p))
			if got := string(g.got(p)); got != c.want {
				t.Errorf("the peer got %d bytes, or others than the %d", len(got), len(c.want))
			}
			g.finish()
		})
	}
}

// TestFileIsReadBeforeItReturns: a change of the file afterwards is not sent, unlike
// with sendfile(2).
func TestFileIsReadBeforeItReturns(t *testing.T) {
	g, p := piped(t, 128, nil)
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, letters(9000), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	g.port.hold = true
	_, err = p.SendFile(f, 0, -1)
	must(t, err)
	g.pass()
	_, err = f.WriteAt(make([]byte, 9000), 0)
	must(t, err)
	g.port.hold = false
	g.port.finish(len(g.port.held))
	must(t, g.flushed(p))
	if !bytes.Equal(g.got(p), letters(9000)) {
		t.Error("the peer got what was written later")
	}
	g.finish()
}

// TestReadersWaitForTheBudget: a context that ends meanwhile ends them too; of a file
// and of a reader nothing is lost by that.
func TestReadersWaitForTheBudget(t *testing.T) {
	const size = 1 << 18
	for name, r := range map[string]io.Reader{"file": letterFile(t, size), "reader": bytes.NewReader(letters(size))} {
		g, p := piped(t, 64, nil)
		total := int64(0)
		for calls := 0; total < size; calls++ {
			p.SetContext(&lapsing{Context: over})
			n, err := p.ReadFrom(r)
			if total += n; total < size && !errors.Is(err, context.Canceled) || p.writer.bufs != 0 || calls > 1000 {
				t.Fatalf("%s: %d, %v, %d frames in hand", name, n, err, p.writer.bufs)
			}
			g.idle()
		}
		must(t, g.flushed(p))
		if !bytes.Equal(g.got(p), letters(size)) {
			t.Errorf("%s: the peer got something else", name)
		}
		g.finish()
	}
}
