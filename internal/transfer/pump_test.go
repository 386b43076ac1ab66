package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand"
	"testing"

	"github.com/xsend/xsend/dataplane"
)

// shaky is a source that brings bytes in pieces of seeded size, fails at some offset, and can call a function
// on the way.
type shaky struct {
	rnd     *rand.Rand
	content []byte
	at      int
	fail    error // instead of io.EOF
	onAt    int
	on      func()
	empty   bool // may bring nothing
}

func (s *shaky) size() int64 { return int64(len(s.content)) }

func (s *shaky) fill(ctx context.Context, into [][]byte) (int, error) {
	if s.on != nil && s.at >= s.onAt {
		s.on()
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	room := 0
	for _, b := range into {
		room += len(b)
	}
	n := min(room, len(s.content)-s.at, 1+s.rnd.Intn(room))
	if s.empty && s.rnd.Intn(3) == 0 {
		n = 0
	}
	for left, from := n, s.at; left > 0; into = into[1:] {
		m := copy(into[0], s.content[from:from+left])
		left, from = left-m, from+m
	}
	if s.at += n; s.at == len(s.content) {
		if s.fail != nil {
			return n, s.fail
		}
		return n, io.EOF
	}
	return n, nil
}

func random(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

func TestPumpDeliversWhole(t *testing.T) {
	for seed := range int64(60) {
		rnd := rand.New(rand.NewSource(seed))
		content := random(seed, []int{0, 1, 1448, 1449, 30_000, 400_000}[rnd.Intn(6)])
		conn := newFakeConn(t, seed, 1+rnd.Intn(200), 1448)
		src := &shaky{rnd: rnd, content: content, empty: true}
		meter := &streamMeter{}
		hash, rewrite := rnd.Intn(2) == 0, rnd.Intn(2) == 0
		p := newPump(conn, src, hash, rewrite, meter)
		if err := p.run(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := p.settle(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		conn.Leave()
		if !bytes.Equal(conn.got, content) || !conn.closed || conn.aborted {
			t.Errorf("seed %d: %d of %d bytes, closed %v, aborted %v", seed, len(conn.got), len(content), conn.closed, conn.aborted)
		}
		if sum := sha256.Sum256(content); hash && p.sum() != hex.EncodeToString(sum[:]) {
			t.Errorf("seed %d: wrong SHA-256", seed)
		}
		checkTally(t, seed, p, conn, len(content), rewrite)
	}
}

func checkTally(t *testing.T, seed int64, p *pump, conn *fakeConn, size int, rewrite bool) {
	t.Helper()
	n := uint64(size)
	if c := p.tally; c.commits != c.releases || c.written != n || c.released != n || c.aborted != 0 || c.wrong != nil || len(conn.free) != len(conn.memory) {
		t.Errorf("seed %d: %+v, %d of %d frames free", seed, c, len(conn.free), len(conn.memory))
	}
	if p.meter.written.Load() != int64(size) || p.meter.released.Load() != int64(size) {
		t.Errorf("seed %d: the meter shows %d and %d", seed, p.meter.written.Load(), p.meter.released.Load())
	}
	if size > 0 && p.tally.holdMean() != 20 {
		t.Errorf("seed %d: frames were held %v, want 20 ns", seed, p.tally.holdMean())
	}
	marked := 0
	for _, b := range conn.memory {
		marked += bytes.Count(b, []byte{Marker})
	}
	if whole := marked >= min(size, 1448); rewrite && !whole {
		t.Errorf("seed %d: only %d bytes carry the marker", seed, marked)
	}
}

// TestRewriteBeforeTheReleaseWouldBeSeen is the control: the fake notices bytes that change too early.
func TestRewriteBeforeTheReleaseWouldBeSeen(t *testing.T) {
	content := random(1, 50_000)
	conn := newFakeConn(t, 1, 100, 1448)
	p := newPump(conn, &shaky{rnd: conn.rnd, content: content}, false, true, &streamMeter{})
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range conn.committed {
		p.released(r, conn.memory[r.Frame])
	}
	p.tally = tally{commits: p.tally.commits}
	if err := p.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(conn.got, content) {
		t.Error("the marker was written before the peer read, and nobody saw it")
	}
}

func TestPumpEnds(t *testing.T) {
	broken := errors.New("the disk broke")
	for name, c := range map[string]struct {
		source func(*shaky, context.CancelCauseFunc)
		conn   func(*fakeConn)
		want   error // nil: closes
	}{
		"source fails":     {func(s *shaky, _ context.CancelCauseFunc) { s.fail = broken }, nil, broken},
		"connection fails": {nil, func(c *fakeConn) { c.fail = 20_000 }, errBroken},
		"stopped":          {func(s *shaky, stop context.CancelCauseFunc) { s.onAt, s.on = 20_000, func() { stop(errInterrupted) } }, nil, nil},
	} {
		for seed := range int64(20) {
			ctx, cancel := context.WithCancelCause(t.Context())
			conn := newFakeConn(t, seed, 30, 1448)
			if c.conn != nil {
				c.conn(conn)
			}
			src := &shaky{rnd: conn.rnd, content: random(seed, 200_000)}
			if c.source != nil {
				c.source(src, cancel)
			}
			p := newPump(conn, src, seed%2 == 0, false, &streamMeter{})
			err := p.run(ctx)
			if !errors.Is(err, c.want) || conn.closed != (c.want == nil) {
				t.Errorf("%s, seed %d: %v, closed %v", name, seed, err, conn.closed)
			}
			if err != nil {
				conn.Abort()
			}
			if err := p.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			conn.Leave()
			if len(conn.free) != len(conn.memory) || p.tally.written != p.tally.released+p.tally.aborted {
				t.Errorf("%s, seed %d: %d of %d frames are back, %+v", name, seed, len(conn.free), len(conn.memory), p.tally)
			}
			if c.want == nil && !bytes.Equal(conn.got, src.content[:p.offset]) {
				t.Errorf("%s, seed %d: what was read before is not what arrived", name, seed)
			}
			p.sum()
			cancel(nil)
		}
	}
}

func TestPumpChecksReleases(t *testing.T) {
	for name, lie := range map[string]func(*dataplane.Release){
		"cookie": func(r *dataplane.Release) { r.Cookie++ },
		"range":  func(r *dataplane.Release) { r.Start, r.Cookie = r.End, r.End },
	} {
		conn := newFakeConn(t, 1, 10, 1448)
		p := newPump(conn, &shaky{rnd: conn.rnd, content: random(1, 10_000)}, false, false, &streamMeter{})
		if err := p.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range conn.committed {
			lie(&conn.committed[i])
		}
		if err := p.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(p.tally.wrong, errRelease) {
			t.Errorf("%s: a false release went unnoticed: %v", name, p.tally.wrong)
		}
	}
}

func TestPumpAllocatesNothingPerRound(t *testing.T) {
	conn := newFakeConn(t, 1, 1, 1448)
	buf := dataplane.Buf{Bytes: conn.memory[0]}
	p := newPump(&endless{fakeConn: conn, buf: buf}, &generator{want: 1 << 40}, false, true, &streamMeter{})
	if n := testing.AllocsPerRun(100, func() { p.round(t.Context()) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// endless is a connection that always has its one frame.
type endless struct {
	*fakeConn
	buf dataplane.Buf
}

func (e *endless) Reserve() (dataplane.Buf, bool)    { return e.buf, true }
func (e *endless) Commit(dataplane.Buf, int, uint64) {}
func (e *endless) Poll() int                         { return 0 }
