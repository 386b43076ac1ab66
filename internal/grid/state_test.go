package grid

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStateGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	head := header{stateSchema, "v1", Path{1, 2}, Limits{3, 4}, false}
	cell := Cell{"reno", 0.1, time.Millisecond}
	s, err := openState(path, head)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if err := s.Add(turnOf(cell, n, 1, 2)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	// The third turn is cut off in the middle.
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"cell":{"congestion":"reno","lo`)
	f.Close()

	if s, err = openState(path, head); err != nil {
		t.Fatal(err)
	}
	if len(s.Parts) != 2 || !s.has(cell, 2, false) || s.has(cell, 3, false) || s.has(cell, 2, true) || s.has(Cell{"reno", 1, time.Millisecond}, 1, false) {
		t.Errorf("%+v", s.Parts)
	}
	if err := s.Add(turnOf(cell, 3, 3, 4)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s, err = openState(path, head); err != nil || len(s.Parts) != 3 || s.Parts[2].Ratio() != 0.75 {
		t.Errorf("%+v, %v", s, err)
	}
	s.Close()
}

func TestStateOfOtherConditionsIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	head := header{stateSchema, "v1", Path{1, 2}, Limits{3, 4}, false}
	s, err := openState(path, head)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, other := range []header{
		{stateSchema, "v2", head.Path, head.Limits, false},
		{stateSchema, "v1", Path{1, 3}, head.Limits, false},
		{stateSchema, "v1", head.Path, Limits{3, 5}, false},
		{stateSchema, "v1", head.Path, head.Limits, true},
	} {
		if _, err := openState(path, other); err == nil || !strings.Contains(err.Error(), "give another file") {
			t.Errorf("%+v: %v", other, err)
		}
	}
	os.WriteFile(path, []byte("something else\n"), 0o600)
	if _, err := openState(path, head); err == nil {
		t.Error("a file that is no state was taken")
	}
	if b, _ := os.ReadFile(path); string(b) != "something else\n" {
		t.Errorf("it was overwritten: %q", b)
	}
	if s, err := openState("", head); err != nil || s.Add(Turn{}) != nil || s.Close() != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, cfg := range map[string]Config{
		"choose 1M to 200M": {Path: Path{Rate: 300_000_000}},
		"loss of 101":       {Losses: []float64{101}},
		"RTT of -1":         {RTTs: []time.Duration{-1}},
		"turns and time":    {Turns: -1},
		"queue of -1":       {Path: Path{MinQueue: -1}},
	} {
		cfg.setDefaults()
		if err := cfg.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	var cfg Config
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		t.Error(err)
	}
}
