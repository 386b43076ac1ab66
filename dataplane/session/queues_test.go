package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safchain/ethtool"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/internal/steady"
	"github.com/xsend/xsend/tcp"
)

// Connections over several queues, each with a socket, a poller and frames of its own.
func TestQueues(t *testing.T) {
	for _, n := range []int{2, 4} {
		everyWay(t, fmt.Sprint(n), trial{lab: lab.Config{Queues: n}, conns: 8, bytes: 1 << 20})
	}
}

// Fewer queues than the NIC has: who is answered on another one learns where.
func TestFewerQueuesThanTheNICHas(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 4})
	rc := r.receive(func(c *sink.Config) { c.Count = 0 })
	warned := ""
	s := r.open(session.Config{Queues: 1, Warn: func(w string) { warned += w }})
	if !strings.Contains(warned, "veth-a has 4 RX queues and 1 get a socket") {
		t.Errorf("warned of %q", warned)
	}
	// The kernel spreads its answers by the flow, so that some ports are lucky.
	for range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := s.Dial(ctx, session.DialConfig{Remote: rc.addr})
		if err == nil || strings.Contains(err.Error(), "no answer") { // a busy machine
			continue
		}
		if !errors.Is(err, tcp.ErrTimeout) || !strings.Contains(err.Error(), "RX queues without a socket") || !strings.Contains(err.Error(), "--queues 0") {
			t.Fatal(err)
		}
		for q, n := range must(s.Program()).NoSocketQueue {
			if named := strings.Contains(err.Error(), fmt.Sprintf("queue %d (%d packets)", q, n)); named != (n > 0) {
				t.Errorf("%d packets were dropped on queue %d: %v", n, q, err)
			}
		}
		t.Log(err)
		return
	}
	t.Error("no answer arrived on another queue: the test has no power")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// With several queues the kernel chooses where answers arrive: every connection
// works, and what arrives elsewhere is handed over.
func TestQueuesAnswersAnywhere(t *testing.T) {
	const conns = 6
	r := newRig(t, lab.Config{Queues: 4})
	rc := r.receive(func(c *sink.Config) { c.Count = conns })
	s := r.open(session.Config{Writers: conns})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var want string // the same for all
	for range conns {
		c, err := s.Dial(ctx, session.DialConfig{Remote: rc.addr})
		if err != nil {
			t.Fatal(err)
		}
		p := payload(1, 1<<20)
		want = sumOf(p)
		if err := write(ctx, c, p); err != nil {
			t.Fatal(err)
		}
	}
	for res := range rc.results {
		if res.Bytes != 1<<20 || res.SHA256 != want {
			t.Errorf("%+v", res)
		}
	}
	report, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	k := report.Counters
	t.Logf("%+v", k)
	if k.Submitted != k.Completed || k.RxUnknown > 0 || k.RxOtherQueue == 0 {
		t.Errorf("%+v", report)
	}
}

// A NIC with fewer TX than RX queues: connections are on those that send, and the others receive for them.
func TestFewerTXQueues(t *testing.T) {
	t.Parallel()
	for _, tx := range []uint32{1, 3} {
		o := trial{lab: lab.Config{Queues: 4}, conns: 8, bytes: 1 << 18, before: func(r *rig) {
			r.at(lab.Sender, func() error {
				e, err := ethtool.NewEthtool()
				if err != nil {
					return err
				}
				defer e.Close()
				steady.Call(func() {
					_, err = e.SetChannels(r.lab.Sender().Interface, ethtool.Channels{RxCount: 4, TxCount: tx})
				})
				return err
			})
		}}.run(t)
		for i, res := range o.results {
			if res.SHA256 != o.wants[i] {
				t.Errorf("%d TX queues: connection %d: %+v", tx, i, res)
			}
		}
		if k := o.session.Counters; k.Submitted != k.Completed || k.Rebuilds > 0 || o.session.Frames.Quarantined > 0 {
			t.Errorf("%d TX queues: %+v", tx, o.session)
		}
	}
}
