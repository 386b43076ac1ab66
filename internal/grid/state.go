package grid

import "github.com/xsend/xsend/internal/resume"

// stateSchema names the shape of the state file.
const stateSchema = "xsend.grid.state/1"

// ErrOtherState is returned when a state file is of another version, was begun with other settings, or is none.
var ErrOtherState = resume.ErrOther

// header is the first line of a state file: under which conditions the turns below were run.
type header struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Path     Path   `json:"path"`
	Limits   Limits `json:"limits"`
	RealTime bool   `json:"real_time"`
}

// state keeps turns.
type state struct{ resume.File[Turn] }

func openState(path string, head header) (*state, error) {
	f, err := resume.Open[Turn](path, head)
	if err != nil {
		return nil, err
	}
	return &state{*f}, nil
}

// has tells whether a turn of a cell was run already.
func (s *state) has(c Cell, number int, refined bool) bool {
	for i := range s.Parts {
		if t := &s.Parts[i]; t.Cell == c && t.Number == number && t.Refined == refined {
			return true
		}
	}
	return false
}
