package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newLab makes a lab that goes away with the test. Each test adds a suffix of its own.
func newLab(t *testing.T, suffix string, cfg Config) *Lab {
	t.Helper()
	needsRoot(t)
	cfg.Name = testName(suffix)
	l, err := Up(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

func testName(suffix string) string { return fmt.Sprintf("lab%d%s", os.Getpid(), suffix) }

// do runs fn at one end and fails the test if that can't be done.
func do(t *testing.T, l *Lab, end string, fn func() error) {
	t.Helper()
	if err := l.Do(end, fn); err != nil {
		t.Fatal(err)
	}
}

func TestUpTwiceIsErrExists(t *testing.T) {
	l := newLab(t, "twice", Config{})
	_, err := Up(t.Context(), Config{Name: l.Name()})
	if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "lab down --name "+l.Name()) {
		t.Fatalf("second Up: %v, want ErrExists with the remedy", err)
	}
	if s := status(t, l.Name()); !s.Complete {
		t.Errorf("the refused Up damaged the lab: %+v", s)
	}
}

func TestDownTwice(t *testing.T) {
	l := newLab(t, "down", Config{})
	for range 2 {
		if err := Down(l.Name()); err != nil {
			t.Fatal(err)
		}
		if s := status(t, l.Name()); s.Exists {
			t.Fatalf("still there: %+v", s)
		}
	}
	if _, err := Open(l.Name()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open after Down: %v, want ErrNotFound", err)
	}
}

func TestDownClearsHalfMadeLab(t *testing.T) {
	needsRoot(t)
	name := testName("half")
	ns := Namespace(name, Sender)
	t.Cleanup(func() { Down(name) })
	for what, leave := range map[string]func() error{
		"a bare name":             func() error { return os.WriteFile(namespacePath(ns), nil, 0o444) },
		"one namespace, no links": func() error { return createNamespace(ns, mark(name)) },
	} {
		if err := prepareDir(); err != nil {
			t.Fatal(err)
		}
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if s := status(t, name); !s.Exists || s.Complete {
			t.Errorf("%s: status %+v, want exists and not complete", what, s)
		}
		if err := Down(name); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s := status(t, name); s.Exists {
			t.Errorf("%s: still there", what)
		}
	}
}

func TestUpCleansUpBehindItself(t *testing.T) {
	needsRoot(t)
	name := testName("undo")
	t.Cleanup(func() { Down(name) })
	if err := createNamespace(Namespace(name, Receiver), mark(name)); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), Config{Name: name}); !errors.Is(err, ErrExists) {
		t.Fatalf("Up over a leftover: %v, want ErrExists", err)
	}
	if s := status(t, name); s.Sender.Exists || !s.Receiver.Exists {
		t.Errorf("after the refusal: %+v, want the leftover only", s)
	}
	if err := Down(name); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Up(ended, Config{Name: name}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Up with an ended context: %v", err)
	}
	if s := status(t, name); s.Exists {
		t.Errorf("after a cancelled Up: %+v, want nothing", s)
	}
}

func TestForeignNamespaceIsLeftAlone(t *testing.T) {
	needsRoot(t)
	name := testName("foreign")
	ns := Namespace(name, Sender)
	if err := createNamespace(ns, "made by somebody else"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeNamespace(ns, "made by somebody else"); err != nil {
			t.Error(err)
		}
	})
	if err := Down(name); !errors.Is(err, ErrForeign) {
		t.Errorf("Down: %v, want ErrForeign", err)
	}
	if is, err := isNamespace(namespacePath(ns)); !is || err != nil {
		t.Errorf("the foreign namespace is gone (%v)", err)
	}
	if _, err := ReadStatus(name); !errors.Is(err, ErrForeign) {
		t.Errorf("ReadStatus: %v, want ErrForeign", err)
	}
}

func TestLongestName(t *testing.T) {
	needsRoot(t)
	name := testName(strings.Repeat("x", maxName-len(testName(""))))
	l, err := Up(t.Context(), Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestTwoLabsAtOnce(t *testing.T) {
	one := newLab(t, "one", Config{MTU: 1280})
	two := newLab(t, "two", Config{MTU: 3000, Queues: 2})
	for l, want := range map[*Lab]EndStatus{one: {MTU: 1280, Queues: 1}, two: {MTU: 3000, Queues: 2}} {
		s := status(t, l.Name())
		for _, end := range []EndStatus{s.Sender, s.Receiver} {
			if end.MTU != want.MTU || end.Queues != want.Queues || !end.Up || !end.Carrier {
				t.Errorf("%s: %+v, want MTU %d, %d queues, up", l.Name(), end, want.MTU, want.Queues)
			}
		}
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if s := status(t, two.Name()); !s.Complete {
		t.Error("removing one lab took the other")
	}
}

func TestStatusShowsWhatWasAsked(t *testing.T) {
	s := status(t, newLab(t, "st", Config{Loss: 1.5, LossSeed: 7}).Name())
	if s.Loss != (LossRule{Percent: 1.5, Seed: 7}) {
		t.Errorf("loss %+v", s.Loss)
	}
	if want := []string{"10.77.0.2/24", "fd77:7873::2/64"}; !slices.Equal(s.Receiver.Addresses, want) {
		t.Errorf("receiver's addresses %v, want %v", s.Receiver.Addresses, want)
	}
	if s.Sender.TxChecksum || s.Sender.Segmentation || s.Receiver.TxChecksum || s.Receiver.Segmentation {
		t.Errorf("offloads are on: %+v", s)
	}
	if s.Sender.XDPProgram != 0 || s.Receiver.XDPProgram == 0 {
		t.Errorf("XDP programs: sender %d, receiver %d", s.Sender.XDPProgram, s.Receiver.XDPProgram)
	}
	on := status(t, newLab(t, "on", Config{TxChecksum: true, Segmentation: true}).Name())
	if !on.Sender.TxChecksum || !on.Sender.Segmentation || !on.Receiver.TxChecksum {
		t.Errorf("offloads asked for are off: %+v", on)
	}
}

func TestDoIsIsolated(t *testing.T) {
	host := interfaceNames(t)
	l := newLab(t, "do", Config{})
	inside := map[string][]string{}
	for _, end := range []string{Sender, Receiver} {
		do(t, l, end, func() error { inside[end] = interfaceNames(t); return nil })
	}
	if !slices.Equal(inside[Sender], []string{"lo", "veth-a"}) || !slices.Equal(inside[Receiver], []string{"lo", "veth-b"}) {
		t.Errorf("inside: %v", inside)
	}
	if after := interfaceNames(t); !slices.Equal(host, after) {
		t.Errorf("the host's interfaces changed: %v, then %v", host, after)
	}
}

// TestDoLeavesNoThreadBehind looks at every thread of the process, after Do returned, failed, panicked,
// ended its goroutine and was nested, and after Start, which lets a thread die.
func TestDoLeavesNoThreadBehind(t *testing.T) {
	l := newLab(t, "thr", Config{})
	home := threadNamespaces(t)
	if len(home) != 1 {
		t.Fatalf("threads in %d namespaces before the test: %v", len(home), home)
	}
	failure := errors.New("from fn")
	if err := l.Do(Sender, func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("Do returned %v", err)
	}
	do(t, l, Sender, func() error {
		if len(threadNamespaces(t)) != 2 {
			t.Error("no thread in the namespace while fn runs: this test can't see a leak")
		}
		return l.Do(Receiver, func() error { return nil })
	})
	func() {
		defer func() { recover() }()
		l.Do(Receiver, func() error { panic("in fn") })
	}()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		l.Do(Receiver, func() error { runtime.Goexit(); return nil })
	}()
	<-exited
	if err := l.Exec(t.Context(), Sender, []string{"true"}, Stdio{}); err != nil {
		t.Error(err)
	}
	awaitNamespaces(t, home)
}

// awaitNamespaces yields until a thread that is ending has ended.
func awaitNamespaces(t *testing.T, want []string) {
	t.Helper()
	var got []string
	for range 10_000 {
		if got = threadNamespaces(t); slices.Equal(got, want) {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("threads are in %v, want %v", got, want)
}

func threadNamespaces(t *testing.T) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil { // a thread may end meanwhile
			all = append(all, ns)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func interfaceNames(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

func TestExec(t *testing.T) {
	l := newLab(t, "exec", Config{})
	for end, want := range map[string]string{Sender: "lo\nveth-a\n", Receiver: "lo\nveth-b\n"} {
		var out, errOut bytes.Buffer
		err := Exec(t.Context(), Namespace(l.Name(), end), []string{"ls", "/sys/class/net"}, Stdio{Out: &out, Err: &errOut})
		if err != nil || out.String() != want {
			t.Errorf("%s: %q %q %v, want %q", end, &out, &errOut, err, want)
		}
	}
	var exit interface{ ExitCode() int }
	err := l.Exec(t.Context(), Sender, []string{"sh", "-c", "exit 7"}, Stdio{})
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit 7: %v", err)
	}
	if err := Exec(t.Context(), testName("none"), []string{"true"}, Stdio{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such namespace: %v", err)
	}
	if err := l.Exec(t.Context(), Sender, nil, Stdio{}); err == nil {
		t.Error("no command was accepted")
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	l := newLab(t, "ctx", Config{})
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		r.Read(make([]byte, 1)) // the command runs
		cancel()
	}()
	err = l.Exec(ctx, Sender, []string{"sh", "-c", "echo; exec sleep 60"}, Stdio{Out: w})
	w.Close()
	if err == nil {
		t.Error("no error from a command that was stopped")
	}
}

func TestIPNetnsSeesTheLab(t *testing.T) {
	l := newLab(t, "ip", Config{})
	var st unix.Statfs_t
	if err := unix.Statfs("/run/netns/"+l.Sender().Namespace, &st); err != nil || st.Type != unix.NSFS_MAGIC {
		t.Errorf("no namespace under /run/netns: type %#x, %v", st.Type, err)
	}
}

func TestSetMTUAndLink(t *testing.T) {
	l := newLab(t, "mtu", Config{})
	for _, mtu := range []int{1280, 600, 9000} {
		if err := l.SetMTU(mtu); err != nil {
			t.Fatal(err)
		}
		s := status(t, l.Name())
		if s.Sender.MTU != mtu || s.Receiver.MTU != mtu {
			t.Errorf("MTU %d and %d, want %d", s.Sender.MTU, s.Receiver.MTU, mtu)
		}
		if v6 := len(s.Sender.Addresses) == 2; v6 != (mtu >= minMTUv6) {
			t.Errorf("MTU %d: addresses %v", mtu, s.Sender.Addresses)
		}
	}
	for _, up := range []bool{false, true} {
		if err := l.SetLink(Receiver, up); err != nil {
			t.Fatal(err)
		}
		s := status(t, l.Name())
		if s.Receiver.Up != up || s.Sender.Carrier != up || len(s.Receiver.Addresses) != 2 {
			t.Errorf("receiver set up=%v: %+v", up, s)
		}
	}
	if err := l.SetLink("c", true); err == nil {
		t.Error("an end that isn't there was accepted")
	}
}

// TestDownTakesTheLinksFromALivingProcess keeps the namespace alive, as a process inside would.
func TestDownTakesTheLinksFromALivingProcess(t *testing.T) {
	l := newLab(t, "hold", Config{})
	held, err := openNamespace(l.Receiver().Namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := netlink.NewHandleAt(held)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if links, err := h.LinkList(); err != nil || len(links) != 1 {
		t.Errorf("%d links left, %v; want the loopback only", len(links), err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Name: "../etc"}, {Name: "a b"}, {Name: strings.Repeat("x", maxName+1)}, {MTU: 10}, {MTU: 70000},
		{Queues: -1}, {Queues: 65}, {Loss: -1}, {Loss: 101}, {Segmentation: true},
	} {
		if _, err := Up(t.Context(), cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
			Down(cfg.Name)
		}
	}
	for _, name := range []string{"../x", "a/b", "-a"} {
		if err := Down(name); err == nil {
			t.Errorf("Down(%q) was accepted", name)
		}
		if err := Do(name, func() error { return nil }); err == nil {
			t.Errorf("Do(%q) was accepted", name)
		}
	}
}

func status(t *testing.T, name string) Status {
	t.Helper()
	s, err := ReadStatus(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
