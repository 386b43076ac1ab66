package main

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// TestTruncatedWhileSent: what is shorter than promised must not look whole.
func TestTruncatedWhileSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln := r.listen()
	path, _ := file(t, 4_000_000)
	p := r.start(lab.Sender, nil, "send", "-b", "16M", ln.Addr().String(), path)
	conn := accept(t, ln)
	if _, err := readFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 50_000); err != nil {
		t.Fatal(err)
	}
	if _, err := drainTo(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the receiver saw %v, want a reset", err)
	}
	p.want(1, path, "truncated", "4000000 bytes")
	r.clean()
}

func TestGrowingWhileSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, sum := file(t, 1_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "-b", "16M", to, path)
	p.says("connected to")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("more")
	f.Close()
	p.want(0, path, "grew", "1000000")
	received(t, s, 1, 1_000_000, sum)
}

// TestSignals: the first signal closes behind what was read, and everything that was read arrives.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rcv, at := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--pattern", "-t", "60", "-b", "200M", at)
			r.passes(1_000_000)
			p.signal(s)
			p.want(128 + int(s))
			rcv.want(0)
			rep := p.report()
			if rep.at("sha256") != rcv.report().at("streams.0.sha256") || rep.at("bytes") != rcv.report().at("bytes") {
				t.Errorf("sent %v with %v, received %v with %v", rep.at("bytes"), rep.at("sha256"),
					rcv.report().at("bytes"), rcv.report().at("streams.0.sha256"))
			}
			if rep.at("interrupted") != true || rep.number(t, "exit_code") != float64(128+int(s)) || rep.number(t, "frames.leaked") != 0 {
				t.Errorf("interrupted %v, exit code %v", rep.at("interrupted"), rep.at("exit_code"))
			}
			r.clean()
		})
	}
}

// passes waits until so many bytes have arrived at the receiver's interface.
func (r *rig) passes(bytes uint64) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; {
		s, err := lab.ReadStatus(r.Name())
		switch {
		case err != nil:
			r.t.Fatal(err)
		case s.Receiver.RxBytes >= bytes:
			return
		case time.Now().After(end):
			r.t.Fatalf("only %d bytes have passed", s.Receiver.RxBytes)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestInterruptedDuringAPause: what the pipe brought arrives, and a FIN.
func TestInterruptedDuringAPause(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln := r.listen()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := r.start(lab.Sender, in, "send", ln.Addr().String(), "-")
	in.Close()
	conn := accept(t, ln)
	w.WriteString("some")
	if _, err := readFull(conn, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGINT)
	if n, err := drainTo(conn); n != 0 || err != nil {
		t.Errorf("%d bytes, %v; want a FIN", n, err)
	}
	conn.Close()
	p.want(130)
	r.clean()
}
