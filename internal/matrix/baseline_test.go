package matrix

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/kerneltcp"
	"github.com/xsend/xsend/internal/sink"
	"golang.org/x/sys/unix"
)

// verifying is a sink on loopback until the test ends.
func verifying(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sink.Run(ctx, sink.Config{Listen: "127.0.0.1:0", Verify: true, SkipHash: true, OnListening: func(a net.Addr) { listening <- a.String() }})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return <-listening
}

// TestBaseline: each call sends the pattern, and the kernel's counters are read.
func TestBaseline(t *testing.T) {
	to := verifying(t)
	for _, call := range []string{CallSend, CallSendfile, CallZerocopy} {
		r, err := Baseline(call, to, "lo", 0.2)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		v := verdictOn(t, to, r.Streams[0].Local)
		if v.WrongBytes != 0 || v.Bytes != r.Bytes {
			t.Errorf("%s: %d bytes sent, verdict %+v", call, r.Bytes, v)
		}
		if r.Segments == 0 || r.MSS == 0 || r.Bytes == 0 || r.Seconds < 0.2 || r.CPU.User+r.CPU.System <= 0 || r.Offload[0].Active != congestion {
			t.Errorf("%s: %+v", call, r)
		}
	}
	if _, err := Baseline("none such", to, "lo", 0.1); err == nil {
		t.Error("a call that there isn't")
	}
	if _, err := Baseline(CallSend, to, "none-such", 0.1); err == nil {
		t.Error("an interface that there isn't")
	}
}

// verdictOn asks until the connection has ended.
func verdictOn(t *testing.T, to string, local netip.AddrPort) sink.Verdict {
	t.Helper()
	for {
		v, err := sink.Ask(t.Context(), to, []netip.AddrPort{local})
		if err != nil {
			t.Fatal(err)
		}
		if v[0].State == sink.StateEnded {
			return v[0]
		}
	}
}

// TestNothingIsWrittenTooEarly: with fewer blocks than a socket has in flight, each is written again only when the kernel
// no longer reads it. The control writes at once, and the receiver gets wrong bytes.
func TestNothingIsWrittenTooEarly(t *testing.T) {
	to := verifying(t)
	const steps = 200 // 12.5 MiB
	for _, c := range []struct {
		call  string
		hasty bool
	}{{CallSend, false}, {CallSendfile, false}, {CallZerocopy, false}, {CallSendfile, true}} {
		fd, err := kerneltcp.Connect(netip.MustParseAddrPort(to), congestion, "lo")
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFeed(fd, c.call, 64<<10, 4)
		if err != nil {
			t.Fatal(err)
		}
		f.hasty = c.hasty
		for i := range steps {
			if err := f.step(i % f.count); err != nil {
				t.Fatal(err)
			}
		}
		var r BaselineReport
		if err := errors.Join(kerneltcp.Finish(fd, farewell), r.socket(fd)); err != nil {
			t.Fatal(err)
		}
		if v := verdictOn(t, to, r.Streams[0].Local); v.Bytes != steps*64<<10 || (v.WrongBytes > 0) != c.hasty {
			t.Errorf("%s, hasty %v: %+v", c.call, c.hasty, v)
		}
		f.close()
		unix.Close(fd)
	}
}

// TestNotifications: a block is free when all calls that sent from it were notified, in whatever order and over the end of
// their numbers; a range that can't be is refused.
func TestNotifications(t *testing.T) {
	f := &feed{calls: map[uint32]int{^uint32(0): 1, 0: 1, 1: 2, 2: 3}, held: []int{0, 2, 1, 1}}
	if err := f.note([]kerneltcp.Notice{{First: 2, Last: 2}}); err != nil || f.held[3] != 0 || f.held[1] != 2 {
		t.Errorf("%v, %v", f.held, err)
	}
	if err := f.note([]kerneltcp.Notice{{First: ^uint32(0), Last: 1, Copied: true}}); err != nil || f.held[1] != 0 || f.held[2] != 0 {
		t.Errorf("%v, %v", f.held, err)
	}
	if f.completed != 4 || f.copied != 3 || len(f.calls) != 0 {
		t.Errorf("%d notified, %d copied, %v left", f.completed, f.copied, f.calls)
	}
	f.calls[9] = 0
	if err := f.note([]kerneltcp.Notice{{First: 9, Last: 8}}); err == nil {
		t.Error("a range of all numbers was taken")
	}
}
