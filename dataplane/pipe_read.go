package dataplane

import (
	"errors"
	"io"
	"os"
)

// emptyReads is how many times in a row a reader may bring neither bytes nor an error.
const emptyReads = 100

var errCount = errors.New("dataplane: a reader returned an impossible count")

// ReadFrom writes what r brings until io.EOF, which is no error, and returns how many
// bytes. Each read goes straight into frames, and what it brought is committed before
// the next. An *os.File, or a part of one (io.LimitedReader), is read into many frames
// with one system call. The error is the reader's as it is, io.ErrNoProgress, or as
// that of Write. Frames are reserved before they are read into, so that whatever was
// read is written, and another call goes on behind it.
func (p *Pipe) ReadFrom(r io.Reader) (int64, error) {
	if err := p.begin(); err != nil {
		return 0, p.failed("write to", err)
	}
	if part, ok := r.(*io.LimitedReader); ok {
		if f := asFile(part.R); f != nil {
			n, err := p.readFile(f, fileRange{own: true, left: max(0, part.N)})
			part.N -= n
			return n, err
		}
	}
	if f := asFile(r); f != nil {
		return p.readFile(f, fileRange{own: true, left: everything})
	}
	return p.readAny(r)
}

// SendFile writes n bytes of a regular file from offset on, or all up to its end where
// n is negative. The file's own offset stays where it is, so that several pipes may
// send one file. Unlike sendfile(2) it reads the file before it returns: who changes
// it afterwards changes nothing of what is sent. The error is an *fs.PathError, with
// io.ErrUnexpectedEOF where the file ends before; or as that of Write.
func (p *Pipe) SendFile(f *os.File, offset, n int64) (int64, error) {
	if err := p.begin(); err != nil {
		return 0, p.failed("write to", err)
	}
	if n < 0 {
		return p.readFile(f, fileRange{at: offset, left: everything})
	}
	return p.readFile(f, fileRange{at: offset, left: n, whole: true})
}

// readAny reads into one frame after the other.
func (p *Pipe) readAny(r io.Reader) (total int64, err error) {
	for empty := 0; ; {
		b, err := p.reserve(p.ctx)
		if err != nil {
			return total, p.failed("write to", err)
		}
		n, err := r.Read(b.Bytes)
		switch {
		case n < 0 || n > len(b.Bytes):
			p.Abandon(b)
			return total, errCount
		case n > 0:
			p.Send(b, n, 0, nil)
			total, empty = total+int64(n), 0
		default:
			p.Abandon(b)
			empty++
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		case empty == emptyReads:
			return total, io.ErrNoProgress
		}
	}
}

// readFile reads into many frames at a time.
func (p *Pipe) readFile(f file, part fileRange) (total int64, err error) {
	if p.file == nil {
		p.file = newFileSource()
	}
	if err := p.file.open(f, part); err != nil {
		return 0, err
	}
	defer p.file.close()
	for {
		if err := p.gather(); err != nil {
			return total, p.failed("write to", err)
		}
		n, err := p.file.fill(p.ranges)
		p.sendFirst(n)
		total += int64(n)
		if err == nil {
			continue
		}
		for _, b := range p.bufs {
			p.Abandon(b)
		}
		p.bufs, p.ranges = p.bufs[:0], p.ranges[:0]
		if err == io.EOF {
			return total, nil
		}
		return total, err
	}
}

// gather reserves a batch of frames, or as many as there are, and waits for the first.
func (p *Pipe) gather() error {
	for len(p.bufs) < fileBatch {
		b, ok := p.writer.Reserve(p.stream)
		if !ok {
			if len(p.bufs) > 0 {
				return nil
			}
			var err error
			if b, err = p.reserve(p.ctx); err != nil {
				return err
			}
		}
		p.bufs, p.ranges = append(p.bufs, b), append(p.ranges, b.Bytes)
	}
	return nil
}

// sendFirst sends the first n bytes of what was gathered; the other frames stay.
func (p *Pipe) sendFirst(n int) {
	k := 0
	for ; n > 0; k++ {
		m := min(n, len(p.bufs[k].Bytes))
		p.Send(p.bufs[k], m, 0, nil)
		n -= m
	}
	p.bufs = append(p.bufs[:0], p.bufs[k:]...)
	p.ranges = append(p.ranges[:0], p.ranges[k:]...)
}
