package main

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

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
			if rep.number(t, "frames.leaked") != 0 || rep.number(t, "bytes_written") != rep.number(t, "bytes_released")+rep.number(t, "bytes_demoted")+rep.number(t, "bytes_aborted") {
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

// TestPeerThatSends: what comes back is ACKed, counted and thrown away. On a jumbo link too, where a packet of the MTU's size
// would not fit into the frame that it is received into: the MSS that we announce is what does.
func TestPeerThatSends(t *testing.T) {
	for _, mtu := range []int{1500, 9000} {
		t.Run(strconv.Itoa(mtu), func(t *testing.T) { peerThatSends(t, mtu) })
	}
}

func peerThatSends(t *testing.T, mtu int) {
	r := newRig(t, lab.Config{MTU: mtu})
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
	r.clean()
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
