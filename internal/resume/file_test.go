package resume

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type part struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
}

type head struct {
	Schema string   `json:"schema"`
	List   []string `json:"list"`
}

var ours = head{"test/1", []string{"a", "b"}}

func TestGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open[part](path, ours)
	if err != nil {
		t.Fatal(err)
	}
	want := []part{{"x", 1}, {"y", 2}}
	if err := errors.Join(f.Add(want[0]), f.Add(want[1]), f.Close()); err != nil {
		t.Fatal(err)
	}
	cut, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) // the third part is cut off in the middle
	cut.WriteString(`{"name":"z","num`)
	cut.Close()
	if f, err = Open[part](path, ours); err != nil || !slices.Equal(f.Parts, want) {
		t.Fatalf("%+v, %v", f, err)
	}
	want = append(want, part{"z", 3})
	if err := errors.Join(f.Add(want[2]), f.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err = Open[part](path, ours); err != nil || !slices.Equal(f.Parts, want) {
		t.Errorf("%+v, %v", f, err)
	}
	f.Close()
}

// TestEveryCut: whatever a file was cut off at, what is whole is there, and nothing else.
func TestEveryCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open[part](path, ours)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := f.Add(part{"p", i}); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	text, _ := os.ReadFile(path)
	for n := range len(text) + 1 {
		os.WriteFile(path, text[:n], 0o600)
		f, err := Open[part](path, ours)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		f.Close()
		if want := max(0, strings.Count(string(text[:n]), "\n")-1); len(f.Parts) != want {
			t.Errorf("cut at %d: %d parts, want %d", n, len(f.Parts), want)
		}
	}
}

func TestOtherConditionsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open[part](path, ours)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, other := range []head{{"test/2", ours.List}, {ours.Schema, nil}} {
		if _, err := Open[part](path, other); !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), "give another file") {
			t.Errorf("%+v: %v", other, err)
		}
	}
	for _, text := range []string{"something else\n", "no line", `{"schema":"test/1","list":["a","b"]}` + "\nno part\n"} {
		os.WriteFile(path, []byte(text), 0o600)
		if _, err := Open[part](path, ours); !errors.Is(err, ErrOther) {
			t.Errorf("%q: %v", text, err)
		}
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("it was overwritten: %q", b)
		}
	}
	if f, err := Open[part]("", ours); err != nil || f.Add(part{}) != nil || len(f.Parts) != 1 || f.Close() != nil {
		t.Errorf("no file: %v", err)
	}
}
