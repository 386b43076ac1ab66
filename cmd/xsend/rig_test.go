package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"crypto/sha256"
	"encoding/hex"
	"math/rand"

	"github.com/xsend/xsend/internal/lab"
)

// TestMain lets the test binary be the program: a child with this variable set runs main.
func TestMain(m *testing.M) {
	if os.Getenv("XSEND_TEST_MAIN") != "" {
		main()
	}
	os.Setenv("XSEND_TEST_MAIN", "1")
	os.Exit(m.Run())
}

// patience is how long a program may take before the test fails.
const patience = 60 * time.Second

var labs atomic.Int32

// rig is a lab and the program in it.
type rig struct {
	t *testing.T
	*lab.Lab
}

func newRig(t *testing.T, cfg lab.Config) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and AF_XDP sockets")
	}
	cfg.Name = fmt.Sprintf("e2e%d-%d", os.Getpid(), labs.Add(1))
	l, err := lab.Up(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, l}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// locked is a buffer that a child writes while the test reads.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// proc is a child that runs the program.
type proc struct {
	t        *testing.T
	cmd      *exec.Cmd
	args     []string
	out, err locked
	done     chan struct{}
	code     int
}

// start runs the program at an end of the lab.
func (r *rig) start(end string, in *os.File, args ...string) *proc {
	r.t.Helper()
	return r.startWith(end, in, nil, args...)
}

// startWith is start with another program in front, such as taskset.
func (r *rig) startWith(end string, in *os.File, front []string, args ...string) *proc {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	argv := append(append(append([]string{}, front...), self), args...)
	p := &proc{t: r.t, args: args, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Stdin = os.Stdin
	if in != nil {
		p.cmd.Stdin = in
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := r.Start(end, p.cmd); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer cancel()
		p.code = exitCode(p.cmd.Wait())
	}()
	r.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -2
}

// wait waits for the program's end and returns its exit code.
func (p *proc) wait() int {
	<-p.done
	return p.code
}

// want fails the test unless the program ended with code and said each of the texts on standard error.
func (p *proc) want(code int, texts ...string) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Errorf("%q ended with %d, want %d\n%s%s", p.args, got, code, p.out.String(), p.err.String())
	}
	for _, text := range texts {
		if !strings.Contains(p.err.String(), text) {
			p.t.Errorf("%q said %q, want %q in it", p.args, p.err.String(), text)
		}
	}
}

// says waits until the program has said text on standard error.
func (p *proc) says(text string) {
	p.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(p.err.String(), text); {
		select {
		case <-p.done:
			if !strings.Contains(p.err.String(), text) {
				p.t.Fatalf("%q ended with %d and never said %q:\n%s", p.args, p.code, text, p.err.String())
			}
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			p.t.Fatalf("%q never said %q:\n%s", p.args, text, p.err.String())
		}
	}
}

func (p *proc) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// report is the program's JSON object.
func (p *proc) report() report {
	p.t.Helper()
	p.wait()
	var r report
	if err := json.Unmarshal([]byte(p.out.String()), &r); err != nil {
		p.t.Fatalf("%q printed no JSON: %v\n%s%s", p.args, err, p.out.String(), p.err.String())
	}
	return r
}

type report map[string]any

// at is what stands at a path such as "frames.leaked"; nil where nothing does.
func (r report) at(path string) any {
	var at any = map[string]any(r)
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

func (r report) number(t *testing.T, path string) float64 {
	t.Helper()
	n, ok := r.at(path).(float64)
	if !ok {
		t.Errorf("%s is %v, not a number", path, r.at(path))
	}
	return n
}

// sink starts a receiver and waits until it listens; it returns its address for "xsend send".
func (r *rig) sink(args ...string) (*proc, string) {
	r.t.Helper()
	p := r.start(lab.Receiver, nil, append([]string{"sink", "--json", "--listen", "[::]:0"}, args...)...)
	p.says("listening on ")
	port := p.err.String()
	port = strings.TrimSpace(port[strings.LastIndex(port, ":")+1:])
	return p, net.JoinHostPort(r.Receiver().IPv4.Addr().String(), port)
}

// listen makes a listener of the test's own at the receiver's end.
func (r *rig) listen() *net.TCPListener {
	r.t.Helper()
	var ln net.Listener
	if err := r.Do(lab.Receiver, func() (err error) {
		ln, err = net.Listen("tcp4", net.JoinHostPort(r.Receiver().IPv4.Addr().String(), "0"))
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

// clean fails the test if a program is still attached to the sender's interface.
func (r *rig) clean() {
	r.t.Helper()
	s, err := lab.ReadStatus(r.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	if s.Sender.XDPProgram != 0 {
		r.t.Errorf("XDP program %d is still attached", s.Sender.XDPProgram)
	}
}

// sound fails the test unless a run's books are in order and it sent want bytes.
func sound(t *testing.T, r report, want int64) {
	t.Helper()
	for path, n := range map[string]int64{
		"bytes": want, "bytes_written": want, "bytes_released": want, "frames.leaked": 0, "frames.quarantined": 0,
		"lent_while_held": 0, "rewritten_in_flight": 0, "descriptors.spurious": 0, "failed": 0, "exit_code": 0,
	} {
		if got := r.number(t, path); got != float64(n) {
			t.Errorf("%s is %.0f, want %d", path, got, n)
		}
	}
	if s, c := r.number(t, "descriptors.submitted"), r.number(t, "descriptors.completed"); s != c {
		t.Errorf("%.0f descriptors submitted, %.0f completed", s, c)
	}
	if f, all := r.number(t, "frames.free"), r.number(t, "frames.total"); f != all {
		t.Errorf("%.0f of %.0f frames are free", f, all)
	}
}

// file makes a file of seeded bytes and returns its path and SHA-256.
func file(t *testing.T, size int) (path, sum string) {
	t.Helper()
	b := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(b)
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return path, hex.EncodeToString(h[:])
}

// received fails the test unless every connection of a sink brought the file.
func received(t *testing.T, s *proc, conns, size int, sum string) {
	t.Helper()
	s.want(0)
	r := s.report()
	if all, _ := r.at("streams").([]any); len(all) != conns {
		t.Errorf("%d connections, want %d", len(all), conns)
	}
	for i := range conns {
		at := fmt.Sprintf("streams.%d.", i)
		if n, got := r.number(t, at+"bytes"), r.at(at+"sha256"); n != float64(size) || got != sum {
			t.Errorf("connection %d: %.0f bytes with %v, want %d with %s", i, n, got, size, sum)
		}
	}
}
