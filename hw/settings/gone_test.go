package settings

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
)

// What nobody can put back any more is removed and said; what somebody may still want stays.
func TestSweep(t *testing.T) {
	const other = 4026999999
	for name, row := range map[string]struct {
		edit func(*Journal)
		gone bool   // the namespace, as the kernel says
		why  string // "" = it stays
	}{
		"of a namespace that is gone":            {func(j *Journal) { j.Namespace, j.Initial = other, false }, true, "network namespace 4026999999 is gone, and lo with it"},
		"of one that lives":                      {func(j *Journal) { j.Namespace, j.Initial = other, false }, false, ""},
		"of a NIC, which outlives its namespace": {func(j *Journal) { j.Namespace, j.Initial, j.Bus = other, false, "0000:07:00.0" }, true, ""},
		"of an earlier boot":                     {func(j *Journal) { j.Boot, j.Initial = "22222222", false }, false, "of an earlier boot, which took network namespace"},
		"of an earlier boot, of a NIC":           {func(j *Journal) { j.Boot, j.Initial, j.Bus = "22222222", false, "0000:07:00.0" }, false, "set lo anew"},
		"of an earlier boot's initial one":       {func(j *Journal) { j.Boot, j.Initial = "22222222", true }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n, dir := newNIC(t), t.TempDir()
			j := n.journal(t, dir, row.edit)
			done, err := sweep(dir, func(Identity) bool { return row.gone })
			_, missing := os.Stat(j.path)
			if err != nil || (len(done) == 1) != (row.why != "") || errors.Is(missing, fs.ErrNotExist) != (row.why != "") {
				t.Fatalf("%+v, %v; the journal: %v", done, err, missing)
			}
			if row.why != "" && (!strings.Contains(done[0].Why, row.why) || done[0].Journal.Path() != j.path) {
				t.Errorf("%+v", done[0])
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*.lock")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A journal whose run still holds the lock isn't touched.
func TestSweepLeavesWhatIsLocked(t *testing.T) {
	n, dir := newNIC(t), t.TempDir()
	j := n.journal(t, dir, func(j *Journal) { j.Boot, j.Initial = "22222222", false })
	l, err := tryLock(filepath.Join(dir, j.lockName()))
	if err != nil {
		t.Fatal(err)
	}
	none := func(Identity) bool { return true }
	if done, err := sweep(dir, none); err != nil || len(done) > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if done, err := sweep(dir, none); err != nil || len(done) != 1 {
		t.Errorf("the control: %+v, %v", done, err)
	}
}

// A namespace is alive as long as a mount, a process or a descriptor has it. The control is a kernel that can be asked.
func TestOrphaned(t *testing.T) {
	r := newRig(t)
	var id Identity
	held := -1
	if err := r.lab.Do(lab.Sender, func() error {
		link, err := hw.Lookup(veth)
		if err != nil {
			return err
		}
		if id, err = identify(link); err != nil {
			return err
		}
		held, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if id.Initial {
		t.Error("the lab's is taken for the initial one")
	}
	sleeper := exec.Command("sleep", "1000")
	if err := r.lab.Start(lab.Sender, sleeper); err != nil {
		t.Fatal(err)
	}
	if err := openNamespace(id.Cookie, id.Namespace); err != nil {
		t.Skipf("needs Linux 6.18, which opens a namespace by its number: %v", err)
	}
	if err := r.lab.Close(); err != nil {
		t.Fatal(err)
	}
	if id.orphaned() {
		t.Error("a process is in it")
	}
	_ = sleeper.Process.Kill()
	_ = sleeper.Wait()
	if id.orphaned() {
		t.Error("a descriptor has it")
	}
	if err := unix.Close(held); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "it is gone", id.orphaned)
}

// The NIC of a namespace that is gone is looked for where it went.
func TestNICThatCameHome(t *testing.T) {
	n, dir := newNIC(t), t.TempDir()
	j := n.journal(t, dir, func(j *Journal) { j.Namespace, j.Initial, j.Bus = 4026999999, false, "0000:07:00.0" })
	none := func(Identity) bool { return true }
	if j.cameHome(j.Boot, none) {
		t.Error("there is no such NIC here")
	}
	if _, err := j.anywhere(); !errors.Is(err, hw.ErrNoInterface) {
		t.Error(err)
	}
	list, err := links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		link, err := hw.LookupIndex(l.Attrs().Index)
		if err != nil {
			t.Fatal(err)
		}
		id, err := identify(link)
		if err != nil {
			t.Fatal(err)
		}
		if !id.isDevice() {
			continue
		}
		id.Namespace, id.Initial, id.Interface, id.Index = 4026999999, false, "moved0", 7777
		here := &Journal{Identity: id}
		alive := func(Identity) bool { return false }
		if !here.cameHome(id.Boot, none) || here.cameHome(id.Boot, alive) || here.cameHome("22222222", none) {
			t.Errorf("%+v isn't found under another name and number, or where it isn't", id)
		}
		return
	}
	t.Skip("needs an interface with a bus or a permanent MAC address")
}
