package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/vishvananda/netns"
	"github.com/xsend/xsend/internal/netem"
	"golang.org/x/sys/unix"
)

// upInChild tells a copy of the test program to make the lab of that name and to end at once; withWire that
// it is to have a wire.
const (
	upInChild = "XSEND_LAB_UP_IN_CHILD"
	withWire  = "XSEND_LAB_WITH_WIRE"
)

// makeInChild lets another process make a lab, one that loses half of the packets.
func makeInChild(t *testing.T, name, wire string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), upInChild+"="+name, withWire+"="+wire)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "lab" && os.Args[2] == "wire" { // as Up starts it
		if err := RunWire(context.Background(), os.Args[3], os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	if name := os.Getenv(upInChild); name != "" {
		cfg := Config{Name: name, Loss: 50, LossSeed: 3}
		if os.Getenv(withWire) != "" {
			cfg = Config{Name: name, Wire: &netem.Config{Seed: 3, Forward: netem.Impairment{Loss: 50}}}
		}
		if _, err := Up(context.Background(), cfg); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestLabOutlivesItsMaker lets another process make the lab and finds addresses and the working loss
// program after it is gone.
func TestLabOutlivesItsMaker(t *testing.T) {
	needsRoot(t)
	name := testName("child")
	t.Cleanup(func() { Down(name) })
	makeInChild(t, name, "")
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := newUDPPair(t, l).exchange(t, l, 500), survivors(3, 50, 500); len(got) != len(want) {
		t.Errorf("%d packets arrived, want %d", len(got), len(want))
	}
}

// TestNamesCanBeRemovedAfterIPNetns covers the names with a mount, as "ip netns add" does when it finds a
// directory that is not a shared mount yet. Without prepareDir the name under the cover stays busy for ever.
func TestNamesCanBeRemovedAfterIPNetns(t *testing.T) {
	needsRoot(t)
	const ns, theMark = "covered", "test"
	for _, prepared := range []bool{true, false} {
		err := onDyingThread(func() error {
			return errors.Join(
				privateRun(),
				makeName(ns, theMark, prepared),
				prepareAsIPDoes(),
				removeNamespace(ns, theMark),
			)
		})
		if prepared && err != nil {
			t.Errorf("prepared: %v", err)
		}
		if !prepared && !errors.Is(err, unix.EBUSY) {
			t.Errorf("not prepared: %v, want EBUSY: this test has no power", err)
		}
	}
}

// privateRun gives the thread mounts of its own and an empty /run.
func privateRun() error {
	return errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "none", unix.MS_PRIVATE|unix.MS_REC, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, ""),
		os.Mkdir(netnsDir, 0o755),
	)
}

func makeName(ns, mark string, prepared bool) error {
	if prepared {
		return createNamespace(ns, mark)
	}
	return errors.Join(
		os.WriteFile(namespacePath(ns), nil, 0o444),
		restoringThread(func() error { return bindNew(namespacePath(ns), mark) }),
	)
}

func prepareAsIPDoes() error {
	share := func() error { return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	if err := share(); !errors.Is(err, unix.EINVAL) {
		return err
	}
	return errors.Join(unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""), share())
}

// TestOnDyingThreadEndsTheThread moves a thread for good and looks for it afterwards.
func TestOnDyingThreadEndsTheThread(t *testing.T) {
	needsRoot(t)
	home := threadNamespaces(t)
	err := onDyingThread(func() error {
		ns, err := netns.New()
		if err != nil {
			return err
		}
		defer ns.Close()
		if len(threadNamespaces(t)) != len(home)+1 {
			t.Error("the thread did not move: this test has no power")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitNamespaces(t, home)
}
