package readv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// digits is a file of the ten digits, read from its start.
func digits(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "digits")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRangesAreFilledInOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		sizes  []int
		skip   int
		limit  int64
		offset int64
		n      int
		want   string // all ranges, "." where nothing was read
	}{
		{"one", []int{4}, 0, 100, 0, 4, "0123"},
		{"several", []int{1, 0, 2, 3}, 0, 100, 0, 6, "012345"},
		{"at an offset", []int{2, 2}, 0, 100, 5, 4, "5678"},
		{"a limit inside a range", []int{2, 4}, 0, 3, 0, 3, "012..."},
		{"a limit between ranges", []int{2, 4}, 0, 2, 0, 2, "01...."},
		{"a part is filled", []int{2, 4}, 3, 100, 0, 3, "...012"},
		{"a range is filled", []int{2, 4}, 2, 100, 0, 4, "..0123"},
		{"more than there is", []int{6, 6}, 0, 100, 8, 2, "89.........."},
		{"behind the end", []int{1}, 0, 100, 10, 0, "."},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := bytes.Repeat([]byte("."), len(c.want))
			var into [][]byte
			for at, i := 0, 0; i < len(c.sizes); at, i = at+c.sizes[i], i+1 {
				into = append(into, all[at:at+c.sizes[i]])
			}
			var v Vector
			v.Set(into, c.skip, c.limit)
			n, err := v.Preadv(int(digits(t).Fd()), c.offset)
			if n != c.n || err != nil || string(all) != c.want {
				t.Errorf("%d, %v: %q; want %d, %q", n, err, all, c.n, c.want)
			}
		})
	}
}

func TestReadvMovesTheOffset(t *testing.T) {
	f := digits(t)
	b := make([]byte, 3)
	var v Vector
	v.Set([][]byte{b}, 0, 3)
	for _, want := range []string{"012", "345"} {
		if n, err := v.Readv(int(f.Fd())); n != 3 || err != nil || string(b) != want {
			t.Errorf("%d, %v: %q, want %q", n, err, b, want)
		}
	}
	if n, err := v.Preadv(int(f.Fd()), 1); n != 3 || err != nil || string(b) != "123" {
		t.Errorf("at an offset: %d, %v: %q", n, err, b)
	}
	if n, err := v.Readv(int(f.Fd())); n != 3 || err != nil || string(b) != "678" {
		t.Errorf("behind that: %d, %v: %q", n, err, b)
	}
}

func TestSetTakesWhatFits(t *testing.T) {
	var v Vector
	for _, c := range []struct{ ranges, n int }{{0, 0}, {1, 1}, {MaxRanges, MaxRanges}, {MaxRanges + 1, MaxRanges}} {
		into := make([][]byte, c.ranges)
		for i := range into {
			into[i] = make([]byte, 1)
		}
		if v.Set(into, 0, 1<<20); v.n != c.n || v.Empty() != (c.n == 0) {
			t.Errorf("%d ranges: %d, empty %v", c.ranges, v.n, v.Empty())
		}
		if v.Set(into, 0, 0); !v.Empty() {
			t.Errorf("%d ranges and a limit of 0: %d", c.ranges, v.n)
		}
	}
}

func TestErrorsAreTheKernels(t *testing.T) {
	var v Vector
	v.Set([][]byte{make([]byte, 1)}, 0, 1)
	if _, err := v.Readv(-1); err == nil || err.Error() != "bad file descriptor" {
		t.Errorf("readv: %v", err)
	}
	if _, err := v.Preadv(-1, 0); err == nil || err.Error() != "bad file descriptor" {
		t.Errorf("preadv: %v", err)
	}
}
