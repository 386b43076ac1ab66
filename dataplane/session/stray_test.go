package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// strayEnv tells a process of the test's own what to do wrong, and to whom: a strayJob.
const strayEnv = "XSEND_SESSION_TEST_STRAY"

// monitorArg makes a process of the test's own the monitor of another one.
const monitorArg = "trap-monitor"

type strayJob struct {
	To   netip.AddrPort
	Do   string // guarded, unguarded, read
	Trap bool
}

// strayFound is what the child was told.
type strayFound struct {
	Frame, Committed umem.Frame
	Offset, Payload  int
	Holder, Text     string
	Stack            string
	Errno            bool
	Audit            bool
}

// strayMain is a program that embeds xsend, and writes to a frame that it has committed. It says what it was told of it.
func strayMain(job string) int {
	var j strayJob
	err := json.Unmarshal([]byte(job), &j)
	if err == nil {
		err = j.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const strayByte = 321

func (j strayJob) run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := session.Open(ctx, session.Config{
		Destination: j.To.Addr(), Frames: smallFrames, Audit: true, Trap: j.Trap, Monitor: []string{self, monitorArg},
	})
	if err != nil {
		return err
	}
	c, err := s.Dial(ctx, session.DialConfig{Remote: j.To})
	if err != nil {
		return err
	}
	buf, err := j.fillWindow(ctx, c)
	if err != nil {
		return err
	}
	found := strayFound{Committed: buf.Frame, Frame: umem.NoFrame, Payload: tcp.Headroom}
	err = j.stray(s, c, buf)
	var stray *dataplane.StrayWrite
	if errors.As(err, &stray) {
		found.Frame, found.Offset, found.Holder = stray.Frame, stray.Offset, stray.Holder
		found.Text, found.Stack, found.Errno = stray.Error(), string(stray.Stack), errors.Is(err, unix.EFAULT)
	} else if err != nil {
		return err
	}
	if !j.Trap { // the audit sees it when the peer's window opens, or the frame comes back with the end of the connection
		_ = c.Abort(ctx) // fails only where the poller has stopped
	}
	_, err = s.Close()
	if found.Audit = errors.Is(err, dataplane.ErrChanged); found.Audit {
		err = nil
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(found))
}

// fillWindow commits until the peer, which does not read, takes no more, and returns the frame committed last: TCP holds it.
func (j strayJob) fillWindow(ctx context.Context, c *session.Conn) (last dataplane.Buf, err error) {
	for i := range 64 {
		b, err := c.Writer().ReserveWait(ctx, c.Stream())
		if err != nil {
			return b, err
		}
		copy(b.Bytes, payload(uint64(i), len(b.Bytes)))
		c.Writer().Commit(c.Stream(), b, len(b.Bytes), uint64(1000+i))
		last = b
	}
	for n := uint64(0); n == 0; { // admitted
		st, err := c.Stats(ctx)
		if err != nil {
			return last, err
		}
		n = st.BytesSent
	}
	return last, nil
}

func (j strayJob) stray(s *session.Session, c *session.Conn, buf dataplane.Buf) error {
	switch j.Do {
	case "guarded":
		return <-c.Writer().Go(func() error { scribble(buf.Bytes); return nil })
	case "read":
		zero, err := os.Open("/dev/zero")
		if err != nil {
			return err
		}
		defer zero.Close()
		return s.Guard(func() error {
			_, err := zero.Read(buf.Bytes[strayByte:])
			return s.Explain(err, buf.Bytes[strayByte:])
		})
	}
	done := make(chan struct{})
	go func() { scribble(buf.Bytes); close(done) }()
	<-done
	return nil
}

//go:noinline
func scribble(b []byte) { b[strayByte]++ }

// strays starts a child at the sender's end whose peer reads nothing, and waits for its end.
func (r *rig) strays(t *testing.T, j strayJob) (found strayFound, code int, said string, local netip.AddrPort) {
	t.Helper()
	ln, to := r.listen()
	accepted := make(chan netip.AddrPort, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- netip.MustParseAddrPort(conn.RemoteAddr().String())
		<-t.Context().Done()
		conn.Close()
	}()
	j.To = to
	job, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), strayEnv+"="+string(job))
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := r.lab.Start(lab.Sender, cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // and for the monitor, which has the same stderr
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &found); err != nil {
			t.Fatal(err)
		}
	}
	return found, cmd.ProcessState.ExitCode(), diagnostics.String(), <-accepted
}

// A program that embeds xsend and writes to a frame that TCP holds, on a real link.
func TestStrayWrites(t *testing.T) {
	for _, do := range []string{"guarded", "read"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			f, code, said, local := newRig(t, lab.Config{}).strays(t, strayJob{Do: do, Trap: true})
			if code != 0 || f.Frame != f.Committed || f.Offset != f.Payload+strayByte || f.Audit || f.Errno != (do == "read") {
				t.Errorf("exit code %d: %+v: %s", code, f, said)
			}
			for _, text := range []string{"writer 1, cookie 1063", local.String(), "held by TCP"} {
				if !strings.Contains(f.Text, text) {
					t.Errorf("%q lacks %q", f.Text, text)
				}
			}
			if do == "guarded" && !strings.Contains(f.Stack, "scribble") {
				t.Errorf("stack: %s", f.Stack)
			}
		})
	}
	t.Run("unguarded", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, lab.Config{})
		_, code, said, local := r.strays(t, strayJob{Do: "unguarded", Trap: true})
		if code != 2 {
			t.Errorf("exit code %d", code)
		}
		for _, text := range []string{
			"unexpected fault address", "scribble", "xsend: a stray write ended the process: address 0x",
			fmt.Sprintf("offset %d: held by TCP", tcp.Headroom+strayByte), "last committed by writer 1, cookie 1063: bytes ", local.String(),
		} {
			if !strings.Contains(said, text) {
				t.Errorf("%q is not in %s", text, said)
			}
		}
		if id := r.program(); id != 0 {
			t.Errorf("program %d stayed attached", id)
		}
		r.works(t)
	})
	// Without a trap nothing of that happens: the store goes through, and it is left to the audit.
	for _, do := range []string{"guarded", "read", "unguarded"} {
		t.Run("control/"+do, func(t *testing.T) {
			t.Parallel()
			f, code, said, _ := newRig(t, lab.Config{}).strays(t, strayJob{Do: do})
			if code != 0 || f.Frame != umem.NoFrame || f.Text != "" || !f.Audit || strings.Contains(said, "stray") {
				t.Errorf("exit code %d: %+v: %s", code, f, said)
			}
		})
	}
}
