package session_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// patience is how long anything in a test may take that takes a second or two on an
// idle machine.
const patience = 60 * time.Second

// rig is a lab of the test's own.
type rig struct {
	t   testing.TB
	lab *lab.Lab
	v6  bool
}

var labs atomic.Int32

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and AF_XDP")
	}
}

func newRig(t testing.TB, cfg lab.Config) *rig {
	t.Helper()
	needRoot(t)
	cfg.Name = fmt.Sprintf("ses%d-%d", os.Getpid(), labs.Add(1))
	l, err := lab.Up(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, lab: l}
}

// at runs fn in the namespace of one end.
func (r *rig) at(end string, fn func() error) {
	r.t.Helper()
	if err := r.lab.Do(end, fn); err != nil {
		r.t.Fatal(err)
	}
}

// there is the receiver's address.
func (r *rig) there() netip.Addr {
	if r.v6 {
		return r.lab.Receiver().IPv6.Addr()
	}
	return r.lab.Receiver().IPv4.Addr()
}

// receiver is a kernel TCP sink at the lab's receiving end.
type receiver struct {
	addr    netip.AddrPort
	results chan sink.Result // of connections, in order of their ends; closed behind the last
}

// receive starts a sink for one connection, or as edit says.
func (r *rig) receive(edit func(*sink.Config)) *receiver {
	r.t.Helper()
	return r.receiveAt(r.there(), edit)
}

func (r *rig) receiveAt(addr netip.Addr, edit func(*sink.Config)) *receiver {
	r.t.Helper()
	rc := &receiver{results: make(chan sink.Result, 256)}
	listening := make(chan netip.AddrPort, 1)
	cfg := sink.Config{
		Listen: netip.AddrPortFrom(addr, 0).String(), Count: 1,
		OnConn:      func(res sink.Result) { rc.results <- res },
		OnListening: func(a net.Addr) { listening <- netip.MustParseAddrPort(a.String()) },
	}
	if edit != nil {
		edit(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	r.t.Cleanup(func() { cancel(); done.Wait() })
	failed := make(chan error, 1)
	done.Go(func() {
		failed <- r.lab.Do(lab.Receiver, func() error { _, err := sink.Run(ctx, cfg); return err })
		close(rc.results)
	})
	select {
	case rc.addr = <-listening:
	case err := <-failed:
		r.t.Fatal(err)
	}
	return rc
}

// listen is a listener at the receiving end, for a peer that the test plays itself.
func (r *rig) listen() (net.Listener, netip.AddrPort) {
	r.t.Helper()
	var ln net.Listener
	r.at(lab.Receiver, func() (err error) {
		ln, err = net.Listen("tcp", netip.AddrPortFrom(r.there(), 0).String())
		return err
	})
	r.t.Cleanup(func() { _ = ln.Close() })
	return ln, netip.MustParseAddrPort(ln.Addr().String())
}

// tryOpen opens a session at the sending end.
func (r *rig) tryOpen(cfg session.Config) (*session.Session, error) {
	if !cfg.Destination.IsValid() {
		cfg.Destination = r.there()
	}
	if cfg.Warn == nil {
		cfg.Warn = func(s string) { r.t.Log(s) }
	}
	var s *session.Session
	err := r.lab.Do(lab.Sender, func() (err error) {
		s, err = session.Open(r.t.Context(), cfg)
		return err
	})
	return s, err
}

// open is tryOpen of what must work. The test closes the session; the rig does so
// where the test failed before.
func (r *rig) open(cfg session.Config) *session.Session {
	r.t.Helper()
	s, err := r.tryOpen(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _, _ = s.Close() })
	return s
}

// within is a context for what takes a second or two.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, s *session.Session, to netip.AddrPort) *session.Conn {
	t.Helper()
	c, err := s.Dial(within(t), session.DialConfig{Remote: to})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until ok, and tells whether that happened in time.
func eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
