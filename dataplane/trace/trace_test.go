package trace

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func anEvent(r *rand.Rand) Event {
	return Event{
		Time: r.Int64(), Kind: Lend + Kind(r.IntN(int(kinds-Lend))), Flags: uint8(r.Uint32()), Conn: uint16(r.Uint32()),
		Frame: r.Uint32(), A: r.Uint64(), B: r.Uint32(), C: r.Uint32(),
	}
}

func TestEventsComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		e := anEvent(r)
		if b := e.Append(nil); len(b) != Size || Decode(b) != e {
			t.Fatalf("%+v became %+v in %d bytes", e, Decode(b), len(b))
		}
	}
}

// TestLostEventsAreToldWhereTheyAreMissing: what comes out, with each Lost taken for as many events as it says, is all that went in.
func TestLostEventsAreToldWhereTheyAreMissing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		ring, next, lost, b := NewRing(16), uint64(0), uint64(0), []byte{}
		check := func(b []byte) {
			for ; len(b) > 0; b = b[Size:] {
				switch e := Decode(b); {
				case e.Kind == Lost:
					next += e.A
					lost += e.A
				case e.A != next:
					t.Fatalf("event %d came after %d", e.A, next)
				default:
					next++
				}
			}
		}
		n := uint64(0)
		for range 30 {
			for range r.IntN(20) {
				ring.Put(Event{Kind: Lend, A: n})
				n++
			}
			ring.Flush()
			b, _ = ring.Next(b[:0], r.IntN(12))
			check(b)
		}
		check(ring.Rest(nil))
		if next != n || lost != ring.Lost() || lost == 0 {
			t.Fatalf("%d events of %d, %d lost, %d by the ring", next, n, lost, ring.Lost())
		}
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	ring, b := NewRing(1024), make([]byte, 0, 1<<16)
	if n := testing.AllocsPerRun(100, func() {
		for i := range 2000 { // more than there is room for
			ring.Put(Event{Kind: Lend, A: uint64(i)})
		}
		ring.Flush()
		b, _ = ring.Next(b[:0], 1024)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	w, err := Create(path, "a program")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	rings := []*Ring{w.Ring(0), w.Ring(3)}
	r := rand.New(rand.NewPCG(5, 6))
	want := map[int][]Event{}
	for i := range 50_000 {
		q := r.IntN(2)
		e := anEvent(r)
		e.Time = int64(i + 1)
		rings[q].Put(e)
		rings[q].Flush()
		want[3*q] = append(want[3*q], e)
	}
	before := time.Now()
	if n, lost, err := w.Close(); n != 50_000 || lost != 0 || err != nil {
		t.Fatalf("%d events, %d lost, %v", n, lost, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewReader(bytes.NewReader(b))
	if err != nil || f.Header.Application != "a program" || before.Sub(f.Header.Created).Abs() > time.Minute {
		t.Fatalf("%+v, %v", f, err)
	}
	for range 50_000 {
		q, e, err := f.Next()
		if err != nil || len(want[q]) == 0 || want[q][0] != e {
			t.Fatalf("queue %d: %+v, %v", q, e, err)
		}
		want[q] = want[q][1:]
	}
	if _, _, err := f.Next(); err != io.EOF {
		t.Errorf("behind the last event: %v", err)
	}
	if len(f.Zero) != 2 || before.Sub(f.Zero[3]).Abs() > time.Minute {
		t.Errorf("clocks: %v", f.Zero)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	h := Header{Created: time.Unix(1, 0)}
	good := h.append(nil)
	other := bytes.Clone(good)
	other[8] = Version + 1
	event := (&Event{Kind: Lend}).Append(nil)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":                   {nil, ErrFormat},
		"short":                   {good[:20], ErrFormat},
		"something else":          {bytes.Repeat([]byte{7}, 200), ErrFormat},
		"another version":         {other, ErrFormat},
		"nothing in it":           {good, io.EOF},
		"an event before a block": {append(bytes.Clone(good), event...), ErrFormat},
		"cut":                     {append(bytes.Clone(good), event[:9]...), ErrTruncated},
	} {
		r, err := NewReader(bytes.NewReader(c.b))
		if err == nil {
			_, _, err = r.Next()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestFileThatCannotBeWritten: the rings go on being emptied, and Close says why.
func TestFileThatCannotBeWritten(t *testing.T) {
	if _, err := Create(filepath.Join(t.TempDir(), "none", "x"), "test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
	w, err := Create("/dev/full", "test")
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	if err := w.Start(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
}

// A trace that was never started leaves things as they were.
func TestFileNotStarted(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	if err := os.WriteFile(old, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, fresh} {
		w, err := Create(path, "test")
		if err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open(old); err != nil || w.SameFile(f) != (path == old) {
			t.Errorf("%s: same as the old file: %v (%v)", path, w.SameFile(f), err)
		}
		if _, _, err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(old); string(b) != "precious" {
		t.Errorf("the old file: %q, %v", b, err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file stayed: %v", err)
	}
}

// FuzzReader: whatever a file holds, reading it ends, with an error that says so.
func FuzzReader(f *testing.F) {
	h := Header{Created: time.Unix(1, 0), Application: "fuzz"}
	b := h.append(nil)
	for _, e := range []Event{{Kind: Block, Conn: 1}, {Kind: Clock, A: 5}, {Kind: Commit, Frame: 3}} {
		b = e.Append(b)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		for n := 0; err == nil; n++ {
			if n > len(b)/Size {
				t.Fatal("more events than there are bytes for")
			}
			_, _, err = r.Next()
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) {
			t.Fatal(err)
		}
	})
}
