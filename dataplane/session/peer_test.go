package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/tcp"
)

// A peer that goes away in the middle: the writer is told why, and every frame comes
// back as aborted.
func TestPeerGoesAwayInTheMiddle(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closes":          func(c *net.TCPConn) { _ = c.Close() }, // with bytes unread: the kernel resets
		"resets":          func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"closes for both": func(c *net.TCPConn) { _ = c.CloseWrite(); _ = c.CloseRead(); _ = c.Close() },
	} {
		for _, b := range bindings {
			t.Run(name+"/"+string(b), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Config{})
				ln, addr := r.listen()
				s := r.open(session.Config{Binding: b})
				c := dial(t, s, addr)
				go acceptAndLeave(ln, 1<<20, leave)
				err := fill(within(t), c, payload(1, 32<<20))
				if !errors.Is(err, tcp.ErrReset) || !errors.Is(c.Err(), tcp.ErrReset) {
					t.Errorf("writing: %v; the connection: %v; want %v", err, c.Err(), tcp.ErrReset)
				}
				if err := c.WaitSent(within(t)); !errors.Is(err, tcp.ErrReset) {
					t.Errorf("WaitSent: %v", err)
				}
				if err := settle(within(t), c); err != nil {
					t.Error(err)
				}
				rep, err := s.Close()
				if err != nil {
					t.Error(err)
				}
				books(t, rep)
			})
		}
	}
}

// acceptAndLeave reads n bytes of one connection.
func acceptAndLeave(ln net.Listener, n int64, leave func(*net.TCPConn)) {
	c, err := ln.Accept()
	if err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, n)
	leave(c.(*net.TCPConn))
}

// A peer that says FIN first, and reads on, gets everything.
func TestPeerClosesItsHalfFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln, addr := r.listen()
	s := r.open(session.Config{})
	c := dial(t, s, addr)
	p := payload(2, 4<<20)
	got := make(chan string, 1)
	go func() {
		peer, err := ln.Accept()
		if err != nil {
			return
		}
		_ = peer.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(peer)
		got <- sumOf(all)
	}()
	if err := c.WaitPeerClosed(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := write(within(t), c, p); err != nil {
		t.Fatal(err)
	}
	if sum := <-got; sum != sumOf(p) {
		t.Errorf("SHA-256 %s, want %s", sum, sumOf(p))
	}
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
}

// What the peer sends is ACKed and counted, not held against it.
func TestPeerTalksToo(t *testing.T) {
	t.Parallel()
	const echo = 3 << 20
	r := newRig(t, lab.Config{Loss: 1, LossSeed: 2})
	ln, addr := r.listen()
	s := r.open(session.Config{})
	c := dial(t, s, addr)
	go func() {
		peer, err := ln.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_, _ = peer.Write(make([]byte, echo))
		_ = peer.(*net.TCPConn).CloseWrite()
	}()
	if err := write(within(t), c, payload(3, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Stats(within(t)); err != nil || st.BytesReceived != echo {
		t.Errorf("%v: %+v", err, st)
	}
}

// A connection that cannot be had: the error says why, and the session is as good as
// before.
func TestDialFails(t *testing.T) {
	for _, b := range bindings {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			ln, closed := r.listen()
			_ = ln.Close()
			s := r.open(session.Config{Binding: b})
			if _, err := s.Dial(within(t), session.DialConfig{Remote: closed}); !errors.Is(err, tcp.ErrRefused) {
				t.Errorf("closed port: %v", err)
			}
			r.silence(t, s)
			c := dial(t, s, rc.addr)
			if err := write(within(t), c, payload(4, 1<<20)); err != nil {
				t.Error(err)
			}
			if n := s.Dialled(); n != 1 {
				t.Errorf("%d connections are followed", n)
			}
		})
	}
}

// silence dials into a cut cable.
func (r *rig) silence(t *testing.T, s *session.Session) {
	t.Helper()
	_, addr := r.listen()
	if err := r.lab.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Dial(ctx, session.DialConfig{Remote: addr}); !errors.Is(err, tcp.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
	if err := r.lab.SetLoss(0); err != nil {
		t.Fatal(err)
	}
}

// Abort ends a connection in the middle with a RST that the peer sees.
func TestAbort(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	rc := r.receive(nil)
	s := r.open(session.Config{})
	c := dial(t, s, rc.addr)
	if err := fill(within(t), c, payload(5, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := c.Abort(within(t)); err != nil {
		t.Fatal(err)
	}
	if res := <-rc.results; res.Err == "" {
		t.Errorf("the peer saw a clean end: %+v", res)
	}
	if _, err := c.Writer().ReserveWait(within(t), c.Stream()); !errors.Is(err, tcp.ErrAborted) {
		t.Errorf("%v, want %v", err, tcp.ErrAborted)
	}
	if err := settle(within(t), c); err != nil {
		t.Error(err)
	}
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
}

// Close with data under way resets, gives everything up, and says so in the books.
func TestCloseInTheMiddle(t *testing.T) {
	for _, b := range bindings {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			s := r.open(session.Config{Binding: b, Witness: true})
			c := dial(t, s, rc.addr)
			if err := fill(within(t), c, payload(6, 16<<20)); err != nil {
				t.Fatal(err)
			}
			rep, err := s.Close()
			if err != nil {
				t.Error(err)
			}
			books(t, rep)
			if again, err := s.Close(); err != nil || again.Frames != rep.Frames {
				t.Errorf("the second Close: %v, %+v", err, again)
			}
			if _, err := c.Writer().ReserveWait(within(t), c.Stream()); !errors.Is(err, tcp.ErrAborted) && !errors.Is(err, dataplane.ErrStopped) {
				t.Errorf("reserve after Close: %v", err)
			}
			if _, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr}); !errors.Is(err, session.ErrClosed) {
				t.Errorf("Dial after Close: %v", err)
			}
			if res := <-rc.results; res.Err == "" {
				t.Errorf("the peer saw a clean end: %+v", res)
			}
		})
	}
}

// Close ends a Dial that waits.
func TestCloseUnderADial(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, addr := r.listen()
	s := r.open(session.Config{})
	if err := r.lab.SetLoss(100); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Dial(within(t), session.DialConfig{Remote: addr})
		ended <- err
	}()
	if !eventually(patience, func() bool { return s.Counters().Submitted > 0 }) {
		t.Error("no SYN left")
	}
	if _, err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, session.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
}

// Dial, Abort and the ends of connections and session, all at once.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 2})
	rc := r.receive(func(c *sink.Config) { c.Count = 0 })
	s := r.open(session.Config{Writers: 8})
	var all sync.WaitGroup
	var dials atomic.Int32
	for range 8 {
		all.Go(func() {
			for {
				c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr})
				if errors.Is(err, session.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				dials.Add(1)
				_ = c.Abort(within(t)) // fails once the session is closed
				c.Close()
			}
		})
	}
	if !eventually(patience, func() bool { return dials.Load() >= 100 }) {
		t.Error("no progress")
	}
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	all.Wait()
	books(t, rep)
}
