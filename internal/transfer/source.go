package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/readv"
)

// source is where one stream's bytes come from. It belongs to the stream's goroutine.
type source interface {
	// fill puts the next bytes of the stream into the ranges, in order, each one full before the next, and
	// returns how many. A source that pauses returns what there is, and nothing after a while. The error after the last byte is
	// io.EOF; it may come with the last bytes. The error of ctx means that it ended while nothing came.
	fill(ctx context.Context, into [][]byte) (int, error)
	// size is the number of bytes in all, -1 where nobody knows.
	size() int64
}

// pausing is a source whose fill may wait for somebody: what came before must not wait with it.
type pausing interface {
	source
	close()
}

// input is what the user named, opened once for all streams.
type input struct {
	file *os.File // nil with a pattern
	name string   // for messages
	at   int64    // offset of the first byte
	want int64    // bytes to send, -1: to the end of the stream
}

// errShort is in the error of a file that has fewer bytes than when it was opened.
var errShort = errors.New("truncated while it was sent")

// openInput opens the file, "-" being standard input, and says how much of it is sent: the size that a
// regular file has now.
func openInput(ctx context.Context, path string, stdin *os.File) (*input, error) {
	if path == "-" {
		return describe(stdin, "standard input")
	}
	f, err := openFile(ctx, path)
	if err != nil {
		return nil, fileError(path, err)
	}
	in, err := describe(f, "file "+path)
	if err != nil {
		f.Close()
	}
	return in, err
}

// openFile opens the file for reading. To open a named pipe is to wait until somebody writes to it: the end of
// ctx ends that too, and leaves the goroutine behind, in a program that is about to end.
func openFile(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(path)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody writes to it yet: %w", context.Cause(ctx))
	}
}

func fileError(path string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("file %s: %w: check the name, or give - for standard input", path, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("file %s: %w: run as a user who may read it", path, err)
	default:
		return fmt.Errorf("file %s: %w", path, err)
	}
}

func describe(f *os.File, name string) (*input, error) {
	in := &input{file: f, name: name, want: -1}
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case st.IsDir():
		return nil, fmt.Errorf("%s: is a directory: give a file, or pipe an archive of it to standard input: tar c DIR | xsend send HOST:PORT -", name)
	case !st.Mode().IsRegular():
		return in, nil
	}
	// Standard input may have been read from before.
	if at, err := f.Seek(0, io.SeekCurrent); err == nil {
		in.at = at
	}
	in.want = max(0, st.Size()-in.at)
	return in, nil
}

// open returns a source of all bytes, independent of other streams'; only a regular file can give several.
func (in *input) open() (source, error) {
	if in.want >= 0 {
		return &regular{in: in, offset: in.at, left: in.want}, nil
	}
	return newStream(in)
}

// repeatable tells whether several streams can each send the whole.
func (in *input) repeatable() bool { return in.want >= 0 }

// grew says how many bytes the file has gained since it was opened: they are not sent.
func (in *input) grew() int64 {
	if in.want < 0 {
		return 0
	}
	st, err := in.file.Stat()
	if err != nil {
		return 0
	}
	return max(0, st.Size()-in.at-in.want)
}

func (in *input) close() {
	if in.file != nil && in.file != os.Stdin {
		in.file.Close()
	}
}

// regular reads a regular file with preadv(2): many frames with one system call, one copy from the page
// cache to the UMEM.
type regular struct {
	in     *input
	offset int64
	left   int64
	iov    readv.Vector
}

func (r *regular) size() int64 { return r.in.want }

func (r *regular) fill(_ context.Context, into [][]byte) (int, error) {
	filled := 0
	for r.left > 0 {
		r.iov.Set(into, filled, r.left)
		if r.iov.Empty() {
			return filled, nil
		}
		n, err := r.iov.Preadv(int(r.in.file.Fd()), r.offset)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return filled, fmt.Errorf("%s: read at offset %d: %w", r.in.name, r.offset, err)
		case n == 0:
			return filled, fmt.Errorf("%s: %w: it had %d bytes when it was opened and nothing from byte %d on now",
				r.in.name, errShort, r.in.at+r.in.want, r.offset)
		}
		filled, r.offset, r.left = filled+n, r.offset+int64(n), r.left-int64(n)
	}
	return filled, io.EOF
}
