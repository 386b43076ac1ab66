package main

import (
	"errors"
	"net"
	"os"
	"strings"
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

func accept(t *testing.T, ln *net.TCPListener) net.Conn {
	t.Helper()
	ln.SetDeadline(time.Now().Add(patience))
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// drainTo reads to the end and returns what ended it, nil for a FIN.
func drainTo(conn net.Conn) (n int, err error) {
	b := make([]byte, 1<<16)
	for {
		m, err := conn.Read(b)
		n += m
		if err != nil && err.Error() == "EOF" {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
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

// TestPeerThatDoesNotRead: its window stays shut, and the user can leave.
func TestPeerThatDoesNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		linger  string
		signals int
	}{"one signal and the linger time": {"500ms", 1}, "two signals": {"60s", 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			ln := r.listen()
			p := r.start(lab.Sender, nil, "send", "--json", "--pattern", "-n", "1G", "--linger", c.linger, ln.Addr().String())
			accept(t, ln)
			r.passes(50_000)
			time.Sleep(300 * time.Millisecond) // the window is shut by then; if it isn't, the test holds all the same
			for range c.signals {
				p.signal(syscall.SIGINT)
				time.Sleep(50 * time.Millisecond) // two signals of a kind that are pending are one
			}
			p.want(130, "not ACKed")
			rep := p.report()
			if rep.number(t, "frames.leaked") != 0 || rep.number(t, "bytes_written") != rep.number(t, "bytes_released")+rep.number(t, "bytes_aborted") {
				t.Errorf("leaked %v, written %v, released %v, aborted %v", rep.at("frames.leaked"), rep.at("bytes_written"), rep.at("bytes_released"), rep.at("bytes_aborted"))
			}
			r.clean()
		})
	}
}

func TestPeerResetsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln := r.listen()
	path, _ := file(t, 20_000_000)
	p := r.start(lab.Sender, nil, "send", ln.Addr().String(), path)
	conn := accept(t, ln)
	if _, err := readFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	p.want(1, ln.Addr().String(), "reset")
	r.clean()
}

// TestPeerThatDoesNotClose: all bytes are ACKed, and that is what counts.
func TestPeerThatDoesNotClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln := r.listen()
	path, _ := file(t, 10_000)
	p := r.start(lab.Sender, nil, "send", "--linger", "200ms", ln.Addr().String(), path)
	conn := accept(t, ln)
	if n, err := drainTo(conn); n != 10_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	p.want(0, ln.Addr().String(), "didn't close", "200ms")
}

// TestPeerThatSends: what comes back is ACKed, counted and thrown away.
func TestPeerThatSends(t *testing.T) {
	r := newRig(t, lab.Config{})
	ln := r.listen()
	path, _ := file(t, 1_000_000)
	p := r.start(lab.Sender, nil, "send", "--json", ln.Addr().String(), path)
	conn := accept(t, ln)
	done := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, 300_000))
		done <- err
	}()
	if n, err := drainTo(conn); n != 1_000_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	conn.Close()
	p.want(0)
	if n := p.report().number(t, "streams.0.bytes_received"); n != 300_000 {
		t.Errorf("%.0f bytes received, want 300000", n)
	}
}

// TestKilled: the kernel takes the program off the interface, which works at once, and so does the next run.
func TestKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--pattern", "-t", "60", to)
	r.passes(5_000_000)
	p.signal(syscall.SIGKILL)
	<-p.done
	r.ping(1)
	r.clean()
	path, _ := file(t, 100_000)
	r.start(lab.Sender, nil, "send", to, path).want(0)
}

// TestLinkDownAndUp: the transfer waits, and goes on.
func TestLinkDownAndUp(t *testing.T) {
	t.Parallel()
	for _, end := range []string{lab.Sender, lab.Receiver} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, lab.Config{})
			path, sum := file(t, 6_000_000)
			s, to := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "-b", "60M", to, path)
			r.passes(1_000_000)
			if err := r.SetLink(end, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			if err := r.SetLink(end, true); err != nil {
				t.Fatal(err)
			}
			p.want(0)
			received(t, s, 1, 6_000_000, sum)
			sound(t, p.report(), 6_000_000)
		})
	}
}

// TestMTUFalls: segments that are queued already are cut.
func TestMTUFalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{MTU: 1500})
	path, sum := file(t, 6_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "-b", "60M", to, path)
	r.passes(1_000_000)
	if err := r.SetMTU(1280); err != nil {
		t.Fatal(err)
	}
	p.want(0)
	received(t, s, 1, 6_000_000, sum)
	sound(t, p.report(), 6_000_000)
}

func TestTinyWindows(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, sum := file(t, 200_000)
	for _, flags := range [][]string{{"--rcvbuf", "2K"}, {"--window-clamp", "1152"}, {"--rcvbuf", "4K", "--read-rate", "8M"}} {
		s, to := r.sink(append([]string{"--once"}, flags...)...)
		p := r.start(lab.Sender, nil, "send", "--json", to, path)
		p.want(0)
		received(t, s, 1, 200_000, sum)
		sound(t, p.report(), 200_000)
	}
}

// TestCoexistence: ping and the kernel's own TCP on the same interface work during a run.
func TestCoexistence(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--pattern", "-t", "60", "-b", "300M", to)
	r.passes(1_000_000)
	r.ping(3)
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.DialTimeout("tcp4", to, 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("through the kernel"))
		return err
	}); err != nil {
		t.Errorf("the kernel's own TCP: %v", err)
	}
	p.signal(syscall.SIGTERM)
	p.want(143)
}

// TestOtherInterface: two runs at once on different interfaces.
func TestOtherInterface(t *testing.T) {
	one, two := newRig(t, lab.Config{}), newRig(t, lab.Config{})
	path, sum := file(t, 5_000_000)
	s1, to1 := one.sink("--once")
	s2, to2 := two.sink("--once")
	p1 := one.start(lab.Sender, nil, "send", to1, path)
	p2 := two.start(lab.Sender, nil, "send", to2, path)
	p1.want(0)
	p2.want(0)
	received(t, s1, 1, 5_000_000, sum)
	received(t, s2, 1, 5_000_000, sum)
}

// TestQueueWithoutSocket: when replies arrive where nobody looks, the error names the queue.
func TestQueueWithoutSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 4})
	path, sum := file(t, 1_000_000)
	s, to := r.sink()
	// Which queue a reply takes depends on its hash, so that one of these arrives on another one than 0.
	for range 20 {
		p := r.start(lab.Sender, nil, "send", "--queues", "1", "--connect-timeout", "700", to, path)
		if p.wait() == 0 {
			continue
		}
		p.want(1, "queue", "without a socket", "--queues")
		r.clean()
		all := r.start(lab.Sender, nil, "send", "--json", to, path)
		all.want(0)
		if all.report().number(t, "start.queues") != 4 {
			t.Error("not all queues were bound")
		}
		s.signal(syscall.SIGINT)
		s.want(130)
		if r := s.report(); !strings.Contains(strings.Join(sums(r), " "), sum) {
			t.Error("the file didn't arrive")
		}
		return
	}
	t.Skip("veth put every reply on queue 0: nothing to see on this kernel")
}

func sums(r report) (all []string) {
	streams, _ := r.at("streams").([]any)
	for _, s := range streams {
		sum, _ := s.(map[string]any)["sha256"].(string)
		all = append(all, sum)
	}
	return all
}

// TestPeerResetsDuringAPause: nobody has to write to the pipe for the reset to be noticed.
func TestPeerResetsDuringAPause(t *testing.T) {
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
	if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
		t.Fatal(err)
	}
	p.want(1, "reset")
	r.clean()
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

// TestNoAnswer: a SYN that nobody answers, waited for or not.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, _ := file(t, 10)
	r.ping(1) // the neighbour is known from here on
	if err := r.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	r.start(lab.Sender, nil, "send", "--connect-timeout", "300", "10.77.0.2:9000", path).want(1, "10.77.0.2:9000", "timed out", "no answer", "--connect-timeout")
	p := r.start(lab.Sender, nil, "send", "--connect-timeout", "60s", "10.77.0.2:9000", path)
	for s := (lab.Status{}); s.Sender.XDPProgram == 0; {
		var err error
		if s, err = lab.ReadStatus(r.Name()); err != nil {
			t.Fatal(err)
		}
	}
	p.signal(syscall.SIGTERM)
	p.want(143, "interrupted")
	r.clean()
}
