package sink

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// outputError is a failure of where the bytes go, as opposed to where they come from.
type outputError struct{ err error }

func (e *outputError) Error() string { return e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// consumer hashes, compares and writes the bytes of one connection.
type consumer struct {
	sum    hash.Hash   // nil: not hashed
	out    io.Writer   // nil: not written
	file   *os.File    // what out is, if we opened it
	expect io.ReaderAt // nil: not compared

	offset int64 // of the next byte
	want   []byte
	found  Comparison
	damage damage
	failed error // the first failure; no byte is used after it
}

// newConsumer opens the output of connection number n.
func (c Config) newConsumer(n int) (*consumer, error) {
	use := &consumer{out: c.Out, expect: c.Expect, found: Comparison{FirstWrong: -1}}
	if !c.SkipHash {
		use.sum = sha256.New()
	}
	if c.OutPath == "" {
		return use, nil
	}
	f, err := os.Create(outputPath(c.OutPath, n))
	if err != nil {
		return nil, &outputError{fmt.Errorf("output: %w", err)}
	}
	use.out, use.file = f, f
	return use, nil
}

func outputPath(path string, n int) string {
	if n == 1 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}

// idle tells whether bytes are only counted.
func (u *consumer) idle() bool { return u.sum == nil && u.out == nil && u.expect == nil }

// consume uses the next bytes of the stream and returns the first failure, again at each call after it.
func (u *consumer) consume(b []byte) error {
	if u.failed != nil {
		return u.failed
	}
	if u.sum != nil {
		u.sum.Write(b)
	}
	if err := u.compare(b); err != nil {
		u.failed = &outputError{fmt.Errorf("read the expected bytes: %w", err)}
	}
	if u.out != nil && u.failed == nil {
		if _, err := u.out.Write(b); err != nil {
			u.failed = &outputError{fmt.Errorf("output: %w", err)}
		}
	}
	u.offset += int64(len(b))
	return u.failed
}

// compare counts bytes that differ from the expected ones or lie past their end.
func (u *consumer) compare(b []byte) error {
	if u.expect == nil || len(b) == 0 {
		return nil
	}
	u.damage.follow(b)
	if len(u.want) < len(b) {
		u.want = make([]byte, cap(b))
	}
	n, err := u.expect.ReadAt(u.want[:len(b)], u.offset)
	if err != nil && err != io.EOF {
		return err
	}
	if n == len(b) && bytes.Equal(b, u.want[:n]) {
		return nil
	}
	for i := range b {
		if i < n && b[i] == u.want[i] {
			continue
		}
		if u.found.WrongBytes == 0 {
			u.found.FirstWrong = u.offset + int64(i)
			u.damage.begin(u.found.FirstWrong, b[i:])
		}
		u.found.WrongBytes++
		u.damage.note(u.offset + int64(i))
	}
	return nil
}

// finish puts what was found into the result, closes the output, and returns what failed.
func (u *consumer) finish(res *Result) error {
	if u.sum != nil {
		res.SHA256 = hex.EncodeToString(u.sum.Sum(nil))
	}
	if u.expect != nil {
		res.Compared = &u.found
		res.damage = &u.damage
	}
	err := u.failed
	if u.file != nil {
		res.Output = u.file.Name()
		if cerr := u.file.Close(); cerr != nil {
			err = errors.Join(err, &outputError{fmt.Errorf("output: %w", cerr)})
		}
	}
	return err
}
