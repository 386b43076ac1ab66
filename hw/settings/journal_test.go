package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/hw"
)

// journal makes one of the loopback, as it would be after a run that changed the MTU and died.
func (n *nic) journal(t *testing.T, dir string, edit func(*Journal)) *Journal {
	t.Helper()
	link, err := hw.Lookup("lo")
	if err != nil {
		t.Fatal(err)
	}
	id, err := identify(link)
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{Identity: id, Time: time.Unix(1e9, 0).UTC(), PID: 77, Change: Change{MTU: {"": "1400"}}, Snapshot: n.copy()}
	n.state[MTU][""] = "1400"
	if edit != nil {
		edit(j)
	}
	if err := j.write(dir, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return j
}

func (n *nic) recover(t *testing.T, dir, name string) ([]Recovered, error) {
	t.Helper()
	return recoverWith(t.Context(), dir, name, restorer{n.do, func(string) {}, 1}, 1)
}

// A journal of another boot of the initial namespace is told of, is in nobody's way, and can be restored.
func TestJournalOfAnotherBoot(t *testing.T) {
	if _, initial, err := namespace(); err != nil || !initial {
		t.Skip("needs the initial network namespace: others don't outlive a boot")
	}
	n := newNIC(t)
	before := n.copy()
	cfg := n.config(change(t, "ring", "rx=256"))
	j := n.journal(t, cfg.StateDir, func(j *Journal) { j.Boot, j.Namespace, j.Index = "11111111-before", 4026000000, 99 })
	var said []string
	cfg.Warn = func(s string) { said = append(said, s) }
	r := begin(t, cfg)
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "lo: a journal of an earlier boot, of 2001-09-09") || !strings.Contains(said[0], `"xsend restore lo"`) || !strings.Contains(said[0], j.path) {
		t.Errorf("said %q", said)
	}
	done, err := n.recover(t, cfg.StateDir, "lo")
	if err != nil || len(done) != 1 || done[0].Err != nil || !done[0].Restored.Exact || len(before.Diff(n.copy())) > 0 {
		t.Errorf("%+v, %v, %v", done, err, before.Diff(n.copy()))
	}
	if left, _ := os.ReadDir(cfg.StateDir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Journals of other namespaces, and of interfaces that are gone, change nothing here.
func TestJournalOfAnother(t *testing.T) {
	for name, row := range map[string]struct {
		edit       func(*Journal)
		gone, left bool
	}{
		"namespace":                      {func(j *Journal) { j.Namespace++ }, false, true},
		"namespace, in another boot":     {func(j *Journal) { j.Boot, j.Initial = "22222222", false }, false, true},
		"interface, by its number":       {func(j *Journal) { j.Index += 7777 }, true, false},
		"interface, by its namespace":    {func(j *Journal) { j.Cookie += 7777 }, true, false},
		"interface, by its MAC address":  {func(j *Journal) { j.Permanent = "02:00:00:00:00:01" }, true, false},
		"interface, by its bus address":  {func(j *Journal) { j.Bus = "0000:07:00.0" }, true, false},
		"interface, in another boot":     {func(j *Journal) { j.Boot, j.Initial, j.Bus = "22222222", true, "0000:07:00.0" }, true, false},
		"interface, by its name as well": {func(j *Journal) { j.Interface, j.Index = "nope0", 7777 }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNIC(t)
			dir := t.TempDir()
			j := n.journal(t, dir, row.edit)
			if _, initial, _ := namespace(); j.Initial != initial && row.gone {
				t.Skip("needs the initial network namespace")
			}
			done, err := n.recover(t, dir, "")
			if err != nil || (len(done) == 1) != row.gone || row.gone && (done[0].Err != nil || !done[0].Restored.Gone) {
				t.Errorf("%+v, %v", done, err)
			}
			if _, err := os.Stat(j.path); errors.Is(err, fs.ErrNotExist) == row.left || len(n.ordered) > 0 {
				t.Errorf("the journal: %v; ordered %v", err, n.ordered)
			}
		})
	}
}

// A run that finds a journal with nothing to put back goes on; one whose changes are there is refused, and a third interface's is no concern.
func TestLeftOver(t *testing.T) {
	n := newNIC(t)
	cfg := n.config(change(t, "ring", "rx=256"))
	n.journal(t, cfg.StateDir, nil)
	if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrLeftOver) || !strings.Contains(err.Error(), "process 77") || len(n.ordered) > 0 {
		t.Errorf("%v, ordered %v", err, n.ordered)
	}
	n.state[MTU][""] = "1500"
	r := begin(t, cfg)
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
	n.journal(t, cfg.StateDir, func(j *Journal) { j.Interface, j.Index = "nope0", 7777 })
	n.state[MTU][""] = "1500"
	r = begin(t, cfg)
	if out, err := r.Restore(); err != nil || !out.Exact {
		t.Error(out, err)
	}
}

// A journal that can't be read is an error, which says what to do, and the others are restored all the same. A run is refused by that of its own
// interface, and told of that of another one.
func TestJournalThatIsNone(t *testing.T) {
	link, err := hw.Lookup("lo")
	if err != nil {
		t.Fatal(err)
	}
	id, err := identify(link)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cut": `{"interface":"lo","ind`, "empty": "", "of nothing": "{}"} {
		t.Run(name, func(t *testing.T) {
			n := newNIC(t)
			before := n.copy()
			cfg := n.config(change(t, "ring", "rx=256"))
			var said []string
			cfg.Warn = func(s string) { said = append(said, s) }
			own, other := filepath.Join(cfg.StateDir, id.journalName()), filepath.Join(cfg.StateDir, "1.x.y"+journalSuffix)
			for _, path := range []string{own, other} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Begin(t.Context(), cfg); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), own) || !strings.Contains(err.Error(), "remove the file") || len(n.ordered) > 0 {
				t.Errorf("%v; ordered %v", err, n.ordered)
			}
			if err := os.Remove(own); err != nil {
				t.Fatal(err)
			}
			said = nil
			r := begin(t, cfg)
			if len(said) != 1 || !strings.Contains(said[0], other) || !strings.Contains(said[0], "remove the file") || !strings.Contains(said[0], "isn't of lo") {
				t.Errorf("said %q", said)
			}
			if out, err := r.Restore(); err != nil || !out.Exact || len(before.Diff(n.copy())) > 0 {
				t.Error(out, err)
			}
			n.journal(t, cfg.StateDir, nil)
			done, err := n.recover(t, cfg.StateDir, "")
			if !errors.Is(err, ErrJournal) || len(done) != 1 || !done[0].Restored.Exact {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// Written and read again it is the same; a disk that is full leaves no part.
func TestJournalIsWhole(t *testing.T) {
	n := newNIC(t)
	dir := t.TempDir()
	j := n.journal(t, dir, nil)
	again, err := readJournal(j.path)
	if err != nil || again.Identity != j.Identity || !again.Time.Equal(j.Time) || again.PID != j.PID || len(j.Snapshot.Diff(again.Snapshot)) > 0 || again.Change[MTU][""] != "1400" {
		t.Errorf("%+v, %v", again, err)
	}
	if err := j.write(dir+"/none", func(string) {}); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), StateEnv) {
		t.Error(err)
	}
	if st, err := os.Stat(j.path); err == nil && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
}

// A lock on a file that has lost its name is none.
func TestLockOfALostName(t *testing.T) {
	path := t.TempDir() + "/l"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !isStill(f, path) {
		t.Error("it has its name")
	}
	if err := os.Remove(path); err != nil || isStill(f, path) {
		t.Errorf("without a name, %v", err)
	}
	other, err := tryLock(path)
	if err != nil || isStill(f, path) {
		t.Errorf("the name is another file's, %v", err)
	}
	if err := other.release(); err != nil {
		t.Error(err)
	}
}

// The name of the file the lock stands on may be removed and made anew by others: only one of them has the lock.
func TestLockIsOne(t *testing.T) {
	path := t.TempDir() + "/l"
	const runs = 8
	inside, worst := make(chan int, 1), make(chan error, runs)
	inside <- 0
	for range runs {
		go func() {
			for range 200 {
				l, err := tryLock(path)
				if err != nil || l == nil {
					if err != nil {
						worst <- err
						return
					}
					continue
				}
				n := <-inside
				inside <- n + 1
				if n != 0 {
					worst <- fmt.Errorf("%d hold it", n+1)
				}
				n = <-inside
				inside <- n - 1
				if err := l.release(); err != nil {
					worst <- err
				}
			}
			worst <- nil
		}()
	}
	for range runs {
		if err := <-worst; err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// Whatever is in a journal's file, it is an error or can be compared and put back.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"interface":"lo","index":1,"boot":"b","snapshot":{"values":{"feature":{"rx-gro":"on [fixed]"},"rule":{"3":"aa"},"mtu":null}}}`))
	f.Add([]byte(`{"interface":"lo","boot":"b","change":{"x":{}},"snapshot":{"unreadable":{"mtu":"?"},"values":{"what":{"is":"this"}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := parseJournal("f", b)
		if err != nil {
			if !errors.Is(err, ErrJournal) {
				t.Error(err)
			}
			return
		}
		now := newNIC(t).copy()
		_ = j.Snapshot.Diff(now)
		for _, g := range all {
			for k := range inverse(g, j.Snapshot.Values[g], now.Values[g]) {
				if g == Feature && isFixed(now.Values[g][k]) {
					t.Errorf("sets %s, which is fixed", k)
				}
			}
		}
	})
}
