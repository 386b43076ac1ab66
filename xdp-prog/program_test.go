package xdpprog

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connect opens a TCP connection from the far end.
func (p *pair) connect(port int, timeout time.Duration) error {
	return p.far.in(func() error {
		c, err := net.DialTimeout("tcp4", fmt.Sprintf("10.77.0.1:%d", port), timeout)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func (p *pair) listen(t testing.TB, port int) {
	t.Helper()
	p.near.must(t, func() error {
		l, err := net.Listen("tcp4", fmt.Sprintf("10.77.0.1:%d", port))
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
}

// resets is how many RSTs the near kernel has sent.
func (p *pair) resets(t testing.TB) (n int) {
	t.Helper()
	p.near.must(t, func() (err error) {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if f[0] == "Tcp:" && names == nil {
				names = f
			} else if f[0] == "Tcp:" {
				for i := range names {
					if names[i] == "OutRsts" {
						n, err = strconv.Atoi(f[i])
					}
				}
			}
		}
		return err
	})
	return n
}

func counters(t testing.TB, prog *Program) Counters {
	t.Helper()
	c, err := prog.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A kernel's TCP at the far end, real frames, both modes.
func TestSteersTraffic(t *testing.T) {
	for _, mode := range []Mode{ModeNative, ModeGeneric} {
		t.Run(mode.String(), func(t *testing.T) { steersTraffic(t, mode) })
	}
}

func steersTraffic(t *testing.T, mode Mode) {
	p := newPair(t)
	prog := p.attach(t, mode, allQueues)
	p.listen(t, other)
	must(t, p.connect(other, 5*time.Second)) // the kernel's own connections, and ARP
	must(t, prog.AddPort(ours))
	before := p.resets(t)

	p.wantSilence(t)
	c := counters(t, prog)
	if c.TCP == 0 || c.NoSocket != c.TCP || sum(c.NoSocketQueue) != c.NoSocket || len(c.NoSocketQueue) != allQueues {
		t.Errorf("no socket: %+v", c)
	}
	sockets := make([]*xsk, allQueues)
	for q := range sockets {
		sockets[q] = p.socketOn(t, q)
		must(t, prog.RegisterSocket(q, sockets[q].fd))
	}
	p.wantSilence(t)
	if c = counters(t, prog); c.Redirected == 0 || c.Redirected != reached(t, sockets) {
		t.Errorf("sockets got %d frames: %+v", reached(t, sockets), c)
	}
	must(t, p.connect(other, 5*time.Second))
	p.leave(t, prog, sockets)
	if n := p.resets(t); n != before {
		t.Errorf("the kernel sent %d RSTs", n-before)
	}

	must(t, prog.RemovePort(ours))
	if err := p.connect(ours, 5*time.Second); !errors.Is(err, unix.ECONNREFUSED) || p.resets(t) == before {
		t.Errorf("port given back to the kernel: %v: the test has no power", err)
	}
	must(t, prog.Close())
	must(t, p.connect(other, 5*time.Second))
}

// wantSilence expects that a connection to our port is neither opened nor refused.
func (p *pair) wantSilence(t *testing.T) {
	t.Helper()
	if err := p.connect(ours, 100*time.Millisecond); !os.IsTimeout(err) {
		t.Errorf("connect to our port: %v, want no answer", err)
	}
}

// leave takes one socket after the other away, by unregistering or by closing it: the
// drops must resume.
func (p *pair) leave(t *testing.T, prog *Program, sockets []*xsk) {
	t.Helper()
	for q, s := range sockets {
		if q%2 == 0 {
			must(t, prog.UnregisterSocket(q))
			must(t, prog.UnregisterSocket(q))
		} else {
			must(t, s.close())
		}
	}
	was := counters(t, prog)
	p.wantSilence(t)
	if c := counters(t, prog); c.NoSocket == was.NoSocket || c.Redirected != was.Redirected {
		t.Errorf("sockets gone: %+v, before: %+v", c, was)
	}
}

func reached(t *testing.T, sockets []*xsk) (frames uint64) {
	t.Helper()
	for _, s := range sockets {
		n, err := s.reached()
		must(t, err)
		frames += n
	}
	return frames
}

func TestRegisterSocketErrors(t *testing.T) {
	p := newPair(t)
	prog := p.attach(t, ModeAuto, 2)
	bare, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(bare)
	file, err := os.Open(os.DevNull)
	must(t, err)
	defer file.Close()
	udp, err := net.ListenUDP("udp4", nil)
	must(t, err)
	defer udp.Close()
	raw, err := udp.File()
	must(t, err)
	defer raw.Close()
	for _, c := range []struct {
		what      string
		queue, fd int
		want      string
	}{
		{"queue below", -1, bare, "queues 0 to 1"},
		{"queue above", 2, bare, "queues 0 to 1"},
		{"no descriptor", 0, -1, "bad file descriptor"},
		{"a closed descriptor", 0, 1 << 19, "bad file descriptor"},
		{"a file", 0, int(file.Fd()), "want an AF_XDP socket"},
		{"a UDP socket", 0, int(raw.Fd()), "want an AF_XDP socket"},
	} {
		err := prog.RegisterSocket(c.queue, c.fd)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), p.name) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	if err := prog.UnregisterSocket(2); err == nil {
		t.Error("a queue above can be unregistered")
	}
}

func TestPorts(t *testing.T) {
	p := newPair(t)
	prog := p.attach(t, ModeAuto, 0)
	if err := prog.AddPort(0); err == nil {
		t.Error("port 0 is accepted")
	}
	// All of them fit; twice is once; absent is no error.
	for port := 1; port <= 65535; port++ {
		must(t, prog.AddPort(uint16(port)))
	}
	must(t, prog.AddPort(ours))
	must(t, prog.RemovePort(ours))
	must(t, prog.RemovePort(ours))
	must(t, prog.RemovePort(0))
	var present uint8
	if err := prog.objs.Ports.Lookup(portKey(ours), &present); err == nil {
		t.Error("still there")
	}
	must(t, prog.objs.Ports.Lookup(portKey(mirror), &present))
}

func TestClosed(t *testing.T) {
	p := newPair(t)
	prog := p.attach(t, ModeAuto, 0)
	must(t, prog.Close())
	_, err := prog.Counters()
	for what, err := range map[string]error{"AddPort": prog.AddPort(1), "RemovePort": prog.RemovePort(1),
		"RegisterSocket": prog.RegisterSocket(0, 1), "UnregisterSocket": prog.UnregisterSocket(0), "Counters": err} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if prog.ID() == 0 || prog.Mode() != ModeNative {
		t.Error("a closed program has forgotten what it was")
	}
}

func TestConcurrentUse(t *testing.T) {
	p := newPair(t)
	prog := p.attach(t, ModeAuto, 0)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range uint16(200) {
				_, err := prog.Counters()
				err = errors.Join(err, prog.AddPort(n+1), prog.RemovePort(n+1))
				if i == 0 && n == 150 {
					err = prog.Close()
				}
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
