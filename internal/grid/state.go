package grid

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// stateSchema names the shape of the state file.
const stateSchema = "xsend.grid.state/1"

// ErrOtherState is returned when a state file is of another version, was begun with other settings, or is none.
var ErrOtherState = errors.New("its turns don't belong to this grid")

// header is the first line of a state file: under which conditions the turns below were run.
type header struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Path     Path   `json:"path"`
	Limits   Limits `json:"limits"`
	RealTime bool   `json:"real_time"`
}

// state keeps turns, one line each, as soon as they are over.
type state struct {
	file  *os.File // nil keeps nothing
	turns []Turn
}

// openState reads what is there and goes on behind it.
func openState(path string, head header) (*state, error) {
	if path == "" {
		return &state{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s := &state{}
	whole, err := s.read(text, head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w: give another file, or remove it to begin anew", path, ErrOtherState, err)
	}
	if s.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	// What stands behind the last whole line was cut off by an interruption.
	if err := errors.Join(s.file.Truncate(whole), seek(s.file, whole)); err != nil {
		s.file.Close()
		return nil, err
	}
	if whole == 0 {
		return s, s.write(head)
	}
	return s, nil
}

func seek(f *os.File, to int64) error {
	_, err := f.Seek(to, 0)
	return err
}

// read takes the turns of a file and returns how many bytes whole lines have.
func (s *state) read(text []byte, head header) (whole int64, err error) {
	in := bufio.NewReader(bytes.NewReader(text))
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return whole, nil // the rest is no whole line
		}
		if n == 1 {
			err = checkHeader(line, head)
		} else {
			var t Turn
			err = json.Unmarshal(line, &t)
			s.turns = append(s.turns, t)
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		whole += int64(len(line))
	}
}

func checkHeader(line []byte, want header) error {
	var got header
	if err := json.Unmarshal(line, &got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("it was begun with %+v, not %+v", got, want)
	}
	return nil
}

// add keeps a turn.
func (s *state) add(t Turn) error {
	s.turns = append(s.turns, t)
	return s.write(t)
}

func (s *state) write(v any) error {
	if s.file == nil {
		return nil
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.file.Write(append(line, '\n'))
	return errors.Join(err, s.file.Sync())
}

func (s *state) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// has tells whether a turn of a cell was run already.
func (s *state) has(c Cell, number int, refined bool) bool {
	for i := range s.turns {
		if t := &s.turns[i]; t.Cell == c && t.Number == number && t.Refined == refined {
			return true
		}
	}
	return false
}
