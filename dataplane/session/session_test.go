package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// rig is a lab with a kernel TCP sink at its receiving end.
type rig struct {
	t      testing.TB
	lab    *lab.Lab
	addr   netip.AddrPort
	result chan sink.Result
}

func newRig(t testing.TB, cfg lab.Config, edit func(*sink.Config)) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and AF_XDP")
	}
	cfg.Name = fmt.Sprintf("ses%d-%d", os.Getpid(), rand.Uint32N(100000))
	l, err := lab.Up(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &rig{t: t, lab: l, result: make(chan sink.Result, 64)}
	r.listen(edit)
	return r
}

func (r *rig) listen(edit func(*sink.Config)) {
	r.t.Helper()
	sc := sink.Config{Count: 1}
	if edit != nil {
		edit(&sc)
	}
	var ln net.Listener
	err := r.lab.Do(lab.Receiver, func() (err error) {
		ln, err = net.Listen("tcp4", netip.AddrPortFrom(r.lab.Receiver().IPv4.Addr(), 0).String())
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	sc.Listener = ln
	r.addr = netip.MustParseAddrPort(ln.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	go func() {
		results, _ := sink.Run(ctx, sc)
		for _, res := range results {
			r.result <- res
		}
		close(r.result)
	}()
}

func (r *rig) open(cfg session.Config) *session.Session {
	r.t.Helper()
	cfg.Destination = r.addr.Addr()
	cfg.Warn = func(s string) { r.t.Log(s) }
	var s *session.Session
	err := r.lab.Do(lab.Sender, func() (err error) {
		s, err = session.Open(r.t.Context(), cfg)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// send writes n bytes of a seeded stream to c and returns their SHA-256.
func send(t *testing.T, c *session.Conn, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := sha256.New()
	src := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(n)), h)
	w := c.Writer()
	w.OnRelease = func(r dataplane.Release, payload []byte) {
		for i := range payload {
			payload[i] = 0xEE
		}
	}
	for {
		b, err := w.ReserveWait(ctx, c.Stream())
		if err != nil {
			t.Fatal(err)
		}
		k, err := io.ReadFull(src, b.Bytes)
		if k == 0 {
			w.Abandon(c.Stream(), b)
			break
		}
		w.Commit(c.Stream(), b, k, 0)
		if err != nil {
			break
		}
	}
	c.CloseWrite()
	if err := c.WaitSent(ctx); err != nil {
		t.Fatal(err)
	}
	w.Poll()
	return hex.EncodeToString(h.Sum(nil))
}

func TestSendOverVeth(t *testing.T) {
	for _, tc := range []struct {
		name string
		lab  lab.Config
		n    int
	}{
		{"clean", lab.Config{}, 64 << 20},
		{"loss 1 %", lab.Config{Loss: 1, LossSeed: 7}, 8 << 20},
		{"empty", lab.Config{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.lab, nil)
			s := r.open(session.Config{})
			t.Logf("%+v", s.Info())
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			c, err := s.Dial(ctx, session.DialConfig{Remote: r.addr})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			want := send(t, c, tc.n)
			t.Logf("%.2f Gbit/s", float64(tc.n)*8/time.Since(start).Seconds()/1e9)
			st, _ := c.Stats(ctx)
			t.Logf("%+v", st)
			res := <-r.result
			if res.SHA256 != want || res.Bytes != int64(tc.n) {
				t.Errorf("receiver got %d bytes, SHA-256 %s, want %s (%s)", res.Bytes, res.SHA256, want, res.Err)
			}
			report, err := s.Close()
			if err != nil {
				t.Error(err)
			}
			k := report.Counters
			t.Logf("%+v", report)
			if report.Frames.Leaked != 0 || k.Submitted != k.Completed || k.BytesWritten != uint64(tc.n) || k.BytesReleased != uint64(tc.n) {
				t.Errorf("books: %+v", report)
			}
		})
	}
}
