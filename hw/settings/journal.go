package settings

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// StateEnv names the environment variable that says where journals and locks are.
const StateEnv = "XSEND_STATE_DIR"

// DefaultStateDir is where they are without it.
const DefaultStateDir = "/var/lib/xsend"

const journalSuffix = ".journal.json"

func stateDir(dir string) string {
	return cmp.Or(dir, os.Getenv(StateEnv), DefaultStateDir)
}

// Journal is what has to be put back, and where.
type Journal struct {
	Identity
	Time     time.Time `json:"time"`
	PID      int       `json:"pid"` // of the run
	Change   Change    `json:"change"`
	Steer    *Steer    `json:"steer,omitempty"`
	Snapshot Snapshot  `json:"snapshot"`
	// Failed is what could not be put back the last time that it was tried.
	Failed []Difference `json:"failed,omitempty"`

	path string
}

// Path is the file's name.
func (j *Journal) Path() string { return j.path }

func (id Identity) journalName() string {
	return fmt.Sprintf("%d.%s.%.8s%s", id.Namespace, id.Interface, id.Boot, journalSuffix)
}

// write puts the journal on the disk: whatever happens afterwards, either all of it is there or what was there before.
func (j *Journal) write(dir string, step func(string)) error {
	j.path = filepath.Join(dir, j.journalName())
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	part := j.path + ".part"
	if err := writeSynced(part, append(b, '\n')); err != nil {
		return errors.Join(fmt.Errorf("%w: write %s: %w: %s", ErrJournal, part, err, stateRemedy), removeIfThere(part))
	}
	step("journal written")
	if err := os.Rename(part, j.path); err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	step("journal named")
	return syncDir(dir)
}

const stateRemedy = "$" + StateEnv + " chooses another directory"

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("%w: sync %s: %w", ErrJournal, dir, err)
	}
	return nil
}

func (j *Journal) remove() error {
	if err := errors.Join(removeIfThere(j.path), removeIfThere(j.path+".part")); err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	return syncDir(filepath.Dir(j.path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readJournal(path string) (*Journal, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	return parseJournal(path, b)
}

func parseJournal(path string, b []byte) (*Journal, error) {
	j := &Journal{path: path}
	if err := json.Unmarshal(b, j); err != nil {
		return nil, fmt.Errorf("%w: %s: %w: look at it, set the interface by hand, and remove the file", ErrJournal, path, err)
	}
	if j.Interface == "" || j.Boot == "" || j.Snapshot.Len() == 0 {
		return nil, fmt.Errorf("%w: %s: there is no snapshot in it: remove the file", ErrJournal, path)
	}
	return j, nil
}

// Pending reads all journals of a state directory, the oldest first; "" is the default one. A file that can't be read is an error, and
// the others are returned all the same.
func Pending(dir string) ([]*Journal, error) {
	list, bad, err := pending(stateDir(dir))
	for _, b := range bad {
		err = errors.Join(err, b.err)
	}
	return list, err
}

// badJournal is a file that can't be read as one.
type badJournal struct {
	name string // of the file
	err  error
}

func pending(dir string) (list []*Journal, bad []badJournal, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w: %s", ErrJournal, err, stateRemedy)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), journalSuffix) {
			continue
		}
		j, err := readJournal(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // its run has just put everything back
			continue
		}
		if err != nil {
			bad = append(bad, badJournal{e.Name(), err})
			continue
		}
		list = append(list, j)
	}
	slices.SortStableFunc(list, func(a, b *Journal) int { return a.Time.Compare(b.Time) })
	return list, bad, nil
}
