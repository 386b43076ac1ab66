package session_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/umem"
)

// Nothing is left of a session after Close, or after an Open that failed: no file, no
// goroutine, no mapping, no thread elsewhere, no program, no port. Not parallel: it
// counts what the process has.
func TestNothingIsLeft(t *testing.T) {
	for name, use := range map[string]func(*testing.T, *rig, *receiver){
		"sent": func(t *testing.T, r *rig, rc *receiver) {
			s := r.open(session.Config{})
			if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
				t.Error(err)
			}
			closed(t, s)
		},
		"sent, asavie, two queues": func(t *testing.T, r *rig, rc *receiver) {
			s := r.open(session.Config{Binding: session.BindingAsavie})
			if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
				t.Error(err)
			}
			closed(t, s)
		},
		"closed in the middle": func(t *testing.T, r *rig, rc *receiver) {
			s := r.open(session.Config{Witness: true})
			c := dial(t, s, rc.addr)
			if err := fill(within(t), c, payload(1, 4<<20)); err != nil {
				t.Error(err)
			}
			c.Close()
			closed(t, s)
		},
		"connections that came and went": func(t *testing.T, r *rig, rc *receiver) {
			s := r.open(session.Config{})
			for range 10 {
				c := dial(t, s, rc.addr)
				_ = c.Abort(within(t))
				c.Close()
			}
			closed(t, s)
		},
		"a dial that failed": func(t *testing.T, r *rig, rc *receiver) {
			ln, addr := r.listen()
			_ = ln.Close()
			s := r.open(session.Config{})
			if _, err := s.Dial(within(t), session.DialConfig{Remote: addr}); err == nil {
				t.Error("refused, and dialled")
			}
			closed(t, s)
		},
		"opened again": func(t *testing.T, r *rig, rc *receiver) {
			n := 0
			var cfg session.Config
			cfg.Wrap(func(_ int, p dataplane.Port, _ *umem.Region) dataplane.Port {
				if n++; n <= 2 { // two queues
					return deaths["kick is refused"](p)
				}
				return p
			})
			s := r.open(cfg)
			if err := write(within(t), dial(t, s, rc.addr), payload(1, 4<<20)); err != nil {
				t.Error(err)
			}
			closed(t, s)
		},
		"with settings": func(t *testing.T, r *rig, rc *receiver) {
			s := r.open(session.Config{Settings: set(t)})
			if err := write(within(t), dial(t, s, rc.addr), payload(1, 1<<20)); err != nil {
				t.Error(err)
			}
			closed(t, s)
		},
		"settings refused": func(t *testing.T, r *rig, rc *receiver) {
			cfg := session.Config{Settings: set(t), Frames: 100}
			refusedOpen(cfg)(t, r, rc)
		},
		"no neighbour":  refusedOpen(session.Config{Destination: netip.MustParseAddr("10.77.0.77"), NeighbourWait: 50 * time.Millisecond}),
		"no memory":     refusedOpen(session.Config{Frames: 1 << 40}),
		"no zero-copy":  refusedOpen(session.Config{Mode: 2}),
		"asavie 4 GiB":  refusedOpen(session.Config{Binding: session.BindingAsavie, Frames: 1 << 22}),
		"no such queue": refusedOpen(session.Config{Queues: 3}),
		"cancelled": func(t *testing.T, r *rig, _ *receiver) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = r.lab.Do(lab.Sender, func() error {
				s, err := session.Open(ctx, session.Config{Destination: r.there()})
				if err == nil {
					closed(t, s)
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab.Config{Queues: 2})
			rc := r.receive(func(c *sink.Config) { c.Count = 0 })
			use(t, r, rc) // what is made once per process is made
			before := belongings(t)
			use(t, r, rc)
			after := before
			if !eventually(5*time.Second, func() bool { after = belongings(t); return after.within(before) }) {
				t.Errorf("left behind: %s", after.beyond(before))
			}
			if id := r.program(); id != 0 {
				t.Errorf("program %d stayed attached", id)
			}
		})
	}
}

func closed(t *testing.T, s *session.Session) {
	t.Helper()
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
}

func refusedOpen(cfg session.Config) func(*testing.T, *rig, *receiver) {
	return func(t *testing.T, r *rig, _ *receiver) {
		s, err := r.tryOpen(cfg)
		if err == nil {
			t.Error("opened")
			closed(t, s)
		}
		t.Log(err)
	}
}

// possessions is what the process has.
type possessions struct {
	files      []string // without those that are the sink's: sockets of TCP come and go
	mappings   []string
	goroutines int
	elsewhere  int // threads in another network namespace
	stacks     string
}

func belongings(t *testing.T) possessions {
	t.Helper()
	var p possessions
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if to, err := os.Readlink(n); err == nil {
			kind, _, _ := strings.Cut(to, ":[")
			p.files = append(p.files, kind)
		}
	}
	slices.Sort(p.files)
	p.mappings = mappings(t)
	p.elsewhere = threadsElsewhere(t)
	p.goroutines = runtime.NumGoroutine()
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	p.stacks = b.String()
	return p
}

// mappings are those of memory that a session shares with the kernel.
func mappings(t *testing.T) (list []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 5 && (strings.Contains(f[5], "memfd") || strings.Contains(f[5], "xdp") || strings.Contains(f[5], "socket") || strings.Contains(f[5], "bpf")) {
			list = append(list, f[5])
		}
	}
	return list
}

// home is the network namespace that the process started in.
var home, _ = os.Readlink("/proc/self/ns/net")

func threadsElsewhere(t *testing.T) (n int) {
	t.Helper()
	threads, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, link := range threads {
		if ns, err := os.Readlink(link); err == nil && ns != home {
			n++
		}
	}
	return n
}

// within reports that p has nothing that q has not.
func (p possessions) within(q possessions) bool {
	return len(p.files) <= len(q.files) && len(p.mappings) <= len(q.mappings) && p.goroutines <= q.goroutines && p.elsewhere <= q.elsewhere
}

func (p possessions) beyond(q possessions) string {
	return fmt.Sprintf("files %v, were %v; mappings %v, were %v; %d goroutines, were %d; %d threads elsewhere, were %d\n%s",
		p.files, q.files, p.mappings, q.mappings, p.goroutines, q.goroutines, p.elsewhere, q.elsewhere, p.stacks)
}
