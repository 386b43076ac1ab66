package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// BenchmarkVeth is goodput over veth to a kernel receiver that only counts; the
// writer fills nothing.
func BenchmarkVeth(b *testing.B) {
	r := newRig(b, lab.Config{})
	rc := r.receive(func(c *sink.Config) { c.SkipHash = true; c.ReadSize = 1 << 20 })
	s := r.open(session.Config{})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	c, err := s.Dial(ctx, session.DialConfig{Remote: rc.addr})
	if err != nil {
		b.Fatal(err)
	}
	const unit = 1 << 20
	b.SetBytes(unit)
	w := c.Writer()
	w.OnRelease = nil
	for b.Loop() {
		for left := unit; left > 0; {
			buf, ok := w.Reserve(c.Stream())
			if !ok {
				w.Poll()
				if buf, ok = w.Reserve(c.Stream()); !ok {
					if err := w.Wait(ctx); err != nil {
						b.Fatal(err)
					}
					continue
				}
			}
			n := min(left, len(buf.Bytes))
			w.Commit(c.Stream(), buf, n, 0)
			left -= n
		}
	}
	c.CloseWrite()
	if err := c.WaitSent(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	k := s.Counters()
	b.ReportMetric(float64(k.Submitted)/float64(k.Kicks[1]+k.Kicks[2]+1), "desc/kick")
	if _, err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
