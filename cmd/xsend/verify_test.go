package main

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// ask asks a sink at the receiver's end, from the sender's.
func (r *rig) ask(addr string, of string) (v []sink.Verdict) {
	r.t.Helper()
	if err := r.Do(lab.Sender, func() (err error) {
		v, err = sink.Ask(r.t.Context(), addr, []netip.AddrPort{netip.MustParseAddrPort(of)})
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// TestSinkVerifies what xsend sends, and sees what a wrong release mode does to it: in copy mode a
// frame is read at once, but what gets lost is sent again from a frame that has other bytes by then.
func TestSinkVerifies(t *testing.T) {
	r := newRig(t, lab.Config{Loss: 1})
	s, to := r.sink("--verify", "--no-hash")
	p := r.start(lab.Sender, nil, "send", "--pattern", "-n", "20M", "--json", to)
	p.want(0)
	if v := r.ask(to, p.report().at("streams.0.local").(string))[0]; v.State != sink.StateEnded || v.Bytes != 20<<20 || v.WrongBytes != 0 || v.FirstWrong != -1 {
		t.Errorf("%+v", v)
	}
	// The control.
	bad := r.start(lab.Sender, nil, "send", "--pattern", "-n", "20M", "--json", "--release", "submit", "--rewrite", to)
	bad.want(3, "WRONG ON PURPOSE")
	v := r.ask(to, bad.report().at("streams.0.local").(string))[0]
	if v.State != sink.StateEnded || v.WrongBytes == 0 || v.FirstWrong < 0 {
		t.Errorf("a wrong release mode shows nothing: %+v", v)
	}
	s.signal(syscall.SIGINT)
	s.want(1, "1 of 2 connections brought wrong bytes")
	rep := s.report()
	if rep.number(t, "streams.0.compared.wrong_bytes") != 0 || rep.number(t, "streams.1.compared.wrong_bytes") != float64(v.WrongBytes) || rep.number(t, "wrong") != 1 {
		t.Errorf("%v", rep)
	}
}

// TestSinkVerifiesInText: a file is not the pattern, and the text says so.
func TestSinkVerifiesInText(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 100_000)
	s := r.start(lab.Receiver, nil, "sink", "--verify", "--once", "--count", "2", "--listen", "10.77.0.2:9000")
	s.says("listening on ")
	r.start(lab.Sender, nil, "send", "--pattern", "-n", "1M", "10.77.0.2:9000").want(0)
	r.start(lab.Sender, nil, "send", "10.77.0.2:9000", path).want(0)
	s.want(1, "1 of 2 connections brought wrong bytes")
	if out := s.out.String(); !strings.Contains(out, "  verified\n") || !strings.Contains(out, "WRONG: ") || !strings.Contains(out, "the first at offset 0") {
		t.Errorf("printed %q", out)
	}
}
