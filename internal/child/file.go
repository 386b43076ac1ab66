package child

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/xsend/xsend/internal/pattern"
)

// File is what a child sends.
type File struct {
	Path   string
	Size   int64  // bytes
	SHA256 string // hexadecimal

	made bool
}

// ReadFile describes a regular file.
func ReadFile(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: give one, so that it can be read twice, to sum and to send it", path)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return nil, err
	}
	return &File{Path: path, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// MakeFile makes a temporary file of the pattern's first bytes.
func MakeFile(size int64) (*File, error) {
	out, err := os.CreateTemp("", "xsend-")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = writePattern(io.MultiWriter(out, sum), size)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(out.Name())
		return nil, err
	}
	return &File{Path: out.Name(), Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)), made: true}, nil
}

func writePattern(to io.Writer, size int64) error {
	w := bufio.NewWriterSize(to, 1<<20)
	block := make([]byte, 1<<16)
	for at := int64(0); at < size; at += int64(len(block)) {
		pattern.At(block, at)
		if _, err := w.Write(block[:min(size-at, int64(len(block)))]); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Made is the path of a file that MakeFile made, and "" of another one.
func (f *File) Made() string {
	if !f.made {
		return ""
	}
	return f.Path
}

// Remove removes a file that MakeFile made, and no other.
func (f *File) Remove() error {
	if !f.made {
		return nil
	}
	return os.Remove(f.Path)
}
