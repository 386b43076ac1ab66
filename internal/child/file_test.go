package child

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"
)

func TestMadeFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, size := range []int64{0, 1, 100_000} {
		f, err := MakeFile(size)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Path)
		sum := sha256.Sum256(b)
		if err != nil || int64(len(b)) != size || f.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%d bytes, %v, want %d with sum %s", len(b), err, size, f.SHA256)
		}
		again, err := ReadFile(f.Path)
		if err != nil || again.SHA256 != f.SHA256 || again.Remove() != nil {
			t.Errorf("read again: %+v, %v", again, err)
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(f.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("still there: %v", err)
		}
	}
	if _, err := ReadFile(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
}
