package race

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/sink"
)

// slowSink is a receiver on loopback that reads so slowly that what was sent waits for it.
func slowSink(t *testing.T) netip.AddrPort {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan netip.AddrPort, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = sink.Run(ctx, sink.Config{
			Listen: "127.0.0.1:0", Verify: true, SkipHash: true, BytesPerSecond: 40 << 20, ReadSize: 64 << 10,
			OnListening: func(a net.Addr) { listening <- netip.MustParseAddrPort(a.String()) },
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case at := <-listening:
		return at
	case <-done:
		t.Fatal("the receiver doesn't listen")
	}
	return netip.AddrPort{}
}

// written is a run on loopback, and what the receiver says of it.
func written(t *testing.T, to netip.AddrPort, sender string) (WriterReport, sink.Verdict) {
	t.Helper()
	const rounds, round = 32, 64 << 10
	r, err := RunWriter(t.Context(), WriterConfig{Sender: sender, Target: to, Rounds: rounds, Round: round, Buffers: 8})
	if err != nil {
		t.Fatalf("%s: %v", sender, err)
	}
	if r.Lacking != "" {
		return r, sink.Verdict{}
	}
	if r.Bytes != rounds*round || len(r.Rounds) != rounds || r.CPU <= 0 {
		t.Errorf("%s: %d bytes, %d rounds, %v s", sender, r.Bytes, len(r.Rounds), r.CPU)
	}
	for i, m := range r.Rounds {
		if m.Handed > m.Back || m.Back > m.Rewritten || m.Rewritten == 0 || i > 0 && m.Handed < r.Rounds[i-1].Handed {
			t.Fatalf("%s: round %d: %+v", sender, i, m)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v, err := awaitVerdict(ctx, &path{to: to}, sink.Query{Remote: r.Local, Round: round})
	if err != nil || v.Bytes != r.Bytes || v.Err != "" {
		t.Fatalf("%s: %+v, %v", sender, v, err)
	}
	return r, v
}

// The kernel's APIs, used rightly, corrupt nothing; used wrongly, or unusable otherwise, they do.
func TestKernelWriters(t *testing.T) {
	to := slowSink(t)
	for _, s := range Senders {
		if s.release != "" || s.Name == SendfileOther { // the one needs root, the other one the program
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			r, v := written(t, to, s.Name)
			if r.Lacking != "" {
				t.Skip(r.Lacking)
			}
			if right := s.Role == RoleReference; right != (v.WrongBytes == 0) || right != (v.Rounds.Hit == 0) {
				t.Errorf("%d wrong bytes in %d rounds", v.WrongBytes, v.Rounds.Hit)
			}
			zero := strings.Contains(s.Name, "zerocopy") || strings.Contains(s.Name, "sendzc")
			if zero != (r.Notified != nil && *r.Notified >= 1) || zero && *r.Copied > *r.Notified {
				t.Errorf("%s notified, %s copied", count(r.Notified), count(r.Copied))
			}
		})
	}
}

// Without io_uring its rows say so, and why; nothing is sent.
func TestLacking(t *testing.T) {
	to := slowSink(t)
	for _, name := range []string{SendZCReturn, SendZCNotified} {
		var r WriterReport
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // for good: the thread ends with its filter
			if err = forbidRings(); err == nil {
				r, err = RunWriter(context.Background(), WriterConfig{Sender: name, Target: to, Rounds: 1, Round: 4096, Buffers: 1})
			}
		}()
		<-done
		if err != nil || !strings.Contains(r.Lacking, "io_uring_setup: operation not permitted (kernel.io_uring_disabled") || r.Bytes != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestWrongWriters(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:9")
	for text, cfg := range map[string]WriterConfig{
		"no such row":        {Sender: "x", Target: to, Rounds: 1, Round: 4096, Buffers: 1},
		"nothing to send":    {Sender: Send, Target: to, Round: 4096, Buffers: 1},
		"connection refused": {Sender: Send, Target: to, Rounds: 1, Round: 4096, Buffers: 1},
	} {
		if _, err := RunWriter(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := RunOther(1, nil, nil); err == nil {
		t.Error("another process with buffers of a byte")
	}
}
