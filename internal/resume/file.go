package resume

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrOther is returned when a file was begun under other conditions, or is none.
var ErrOther = errors.New("its parts don't belong to this measurement")

// File keeps parts.
type File[T any] struct {
	Parts []T // all, in the order in which they were added

	file *os.File // nil keeps nothing
}

// Open reads what is there and goes on behind it. head is written as the first line of a new file, and must be that of
// one that is there. The path "" keeps nothing.
func Open[T any](path string, head any) (*File[T], error) {
	f := &File[T]{}
	if path == "" {
		return f, nil
	}
	first, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	whole, err := f.read(text, first)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w: give another file, or remove it to begin anew", path, ErrOther, err)
	}
	if f.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	// What stands behind the last whole line was cut off by an interruption.
	if err := errors.Join(f.file.Truncate(whole), seek(f.file, whole)); err != nil {
		f.file.Close()
		return nil, err
	}
	if whole == 0 {
		return f, f.write(first)
	}
	return f, nil
}

func seek(f *os.File, to int64) error {
	_, err := f.Seek(to, io.SeekStart)
	return err
}

// read takes the parts of a file and returns how many bytes whole lines have.
func (f *File[T]) read(text, first []byte) (whole int64, err error) {
	in := bufio.NewReader(bytes.NewReader(text))
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && n == 1 && len(text) > 0 && !bytes.HasPrefix(first, text) {
			return 0, fmt.Errorf("line 1: %q is none of ours", clip(text))
		}
		if err != nil {
			return whole, nil // the rest is no whole line
		}
		if n == 1 {
			err = sameHead(bytes.TrimSpace(line), first)
		} else {
			var part T
			err = json.Unmarshal(line, &part)
			f.Parts = append(f.Parts, part)
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		whole += int64(len(line))
	}
}

func sameHead(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("it was begun with %s, not %s", clip(got), want)
	}
	return nil
}

// clip keeps a message short, whatever the file holds.
func clip(b []byte) []byte { return b[:min(len(b), 400)] }

// Add keeps a part.
func (f *File[T]) Add(part T) error {
	f.Parts = append(f.Parts, part)
	line, err := json.Marshal(part)
	if err != nil {
		return err
	}
	return f.write(line)
}

func (f *File[T]) write(line []byte) error {
	if f.file == nil {
		return nil
	}
	_, err := f.file.Write(append(line, '\n'))
	return errors.Join(err, f.file.Sync())
}

// Close closes the file.
func (f *File[T]) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
