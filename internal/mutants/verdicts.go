package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// verdict is what became of a mutant.
type verdict string

const (
	killed       verdict = "killed"
	survived     verdict = "survived"
	notCompiling verdict = "not compiling"
)

// entry is one verdict, a line in the file of verdicts.
type entry struct {
	Mutant  string  `json:"mutant"`
	Verdict verdict `json:"verdict"`
	By      string  `json:"by,omitempty"` // the test that saw it
	Source  string  `json:"source"`       // hash of the file that was mutated
	Tests   string  `json:"tests"`        // hash of the tests that were asked
}

// verdicts is the file of verdicts. Lines are only added, so that a run that is
// interrupted loses nothing.
type verdicts struct {
	mu    sync.Mutex
	known map[string]entry
	file  *os.File
}

func openVerdicts(path string, fresh bool) (*verdicts, error) {
	v := &verdicts{known: map[string]entry{}}
	flags := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if fresh {
		flags |= os.O_TRUNC
	}
	var err error
	if v.file, err = os.OpenFile(path, flags, 0o666); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(v.file)
	if err != nil {
		return nil, errors.Join(err, v.file.Close())
	}
	for line := range bytes.Lines(text) {
		var e entry
		if json.Unmarshal(line, &e) == nil { // a line that was cut short is no verdict
			v.known[e.Mutant] = e
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		_, err = v.file.WriteString("\n")
	}
	return v, err
}

// find is what is known of a mutant and still holds: the file that it was made of is
// the same, and tests that let it pass have not changed.
func (v *verdicts) find(mutant, source, tests string) (entry, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.known[mutant]
	return e, ok && e.Source == source && (e.Tests == tests || e.Verdict != survived)
}

func (v *verdicts) add(e entry) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	v.known[e.Mutant] = e
	_, err = v.file.Write(append(line, '\n'))
	return err
}

func (v *verdicts) close() error { return v.file.Close() }

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }
