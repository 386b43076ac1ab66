package dataplane

import (
	"io"
	"io/fs"
	"math"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/readv"
)

const (
	// fileBatch is the frames that are filled with one system call.
	fileBatch = 64
	// everything is the length of a range that the file's end ends.
	everything = math.MaxInt64
)

// file is an *os.File, or what os.File.WriteTo makes of one for io.Copy.
type file interface {
	io.Reader
	syscall.Conn
	Name() string
}

// asFile is r where its Read is read(2), and nil elsewhere. A type of another package
// that embeds an *os.File may have a Read of its own, which has to be called.
func asFile(r io.Reader) file {
	f, ok := r.(file)
	if !ok {
		return nil
	}
	t := reflect.TypeOf(r)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() != "os" {
		return nil
	}
	return f
}

// fileRange is the part of a file that is sent.
type fileRange struct {
	own   bool  // from the file's own offset on, which moves; else from at
	at    int64 // offset of the next byte
	left  int64 // bytes
	whole bool  // the file's end before is an error
}

// fileSource reads a file into ranges. It is kept from file to file.
type fileSource struct {
	fileRange
	file file
	conn syscall.RawConn
	iov  readv.Vector
	read func(fd uintptr) bool // one, so that none is allocated at each call
	n    int                   // what it returned
	err  error
}

func newFileSource() *fileSource {
	s := &fileSource{}
	s.read = s.once
	return s
}

func (s *fileSource) open(f file, part fileRange) (err error) {
	s.fileRange, s.file = part, f
	s.conn, err = f.SyscallConn()
	return err
}

func (s *fileSource) close() { s.file, s.conn = nil, nil }

// fill reads once. io.EOF comes alone, behind the last byte.
func (s *fileSource) fill(into [][]byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.iov.Set(into, 0, s.left)
	if err := s.conn.Read(s.read); err != nil { // closed, or past a deadline
		if _, known := s.file.Read(nil); known != nil {
			return 0, known // the same in the words of package os
		}
		return 0, s.failed(err)
	}
	switch {
	case s.err != nil:
		return 0, s.failed(s.err)
	case s.n == 0 && s.whole:
		return 0, s.failed(io.ErrUnexpectedEOF)
	case s.n == 0:
		return 0, io.EOF
	}
	s.at += int64(s.n)
	s.left -= int64(s.n)
	return s.n, nil
}

// once is one system call. False: there is nothing now, wait until there is.
func (s *fileSource) once(fd uintptr) bool {
	for {
		if s.own {
			s.n, s.err = s.iov.Readv(int(fd))
		} else {
			s.n, s.err = s.iov.Preadv(int(fd), s.at)
		}
		if s.err != unix.EINTR {
			return s.err != unix.EAGAIN
		}
	}
}

func (s *fileSource) failed(err error) error {
	return &fs.PathError{Op: "read", Path: s.file.Name(), Err: err}
}
