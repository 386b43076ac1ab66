package dataplane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// over is a context that is done: with it nothing waits.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// piped is a rig with one stream and its pipe.
func piped(t testing.TB, frames int, edit func(*Config)) (*rig, *Pipe) {
	t.Helper()
	g := newRig(t, frames, edit)
	w := g.writer(0)
	p := w.Pipe(g.open(w))
	g.until("idle", func() bool { return g.step() == 0 && g.p.Out() == 0 })
	return g, p
}

// got is what the peer has of a pipe's stream.
func (g *rig) got(p *Pipe) []byte { return g.peer.flows[p.stream.flow].stream }

// flushed steps until a Flush ends.
func (g *rig) flushed(p *Pipe) error {
	g.Helper()
	var err error
	g.until("flushed", func() bool { err = p.Flush(over); return !errors.Is(err, context.Canceled) })
	return err
}

func letters(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26 ^ i>>8&7)
	}
	return b
}

// TestWriteIsCopied: the caller's bytes are his again at once, and frames are cut as
// the segments are.
func TestWriteIsCopied(t *testing.T) {
	g, p := piped(t, 64, nil)
	want := letters(3000)
	b := bytes.Clone(want)
	if n, err := p.Write(b); n != 3000 || err != nil || p.Outstanding() != 3 {
		t.Fatalf("%d, %v, %d commits", n, err, p.Outstanding())
	}
	clear(b)
	if n, err := p.Write(nil); n != 0 || err != nil || p.Outstanding() != 3 {
		t.Errorf("nothing: %d, %v, %d commits", n, err, p.Outstanding())
	}
	must(t, g.flushed(p))
	if !bytes.Equal(g.got(p), want) || p.Outstanding() != 0 {
		t.Errorf("the peer got %d bytes, %d outstanding", len(g.got(p)), p.Outstanding())
	}
	g.finish()
}

// lapsing is a context that is done from the second look on.
type lapsing struct {
	context.Context
	looked bool
}

func (c *lapsing) Err() error {
	if !c.looked {
		c.looked = true
		return nil
	}
	return c.Context.Err()
}

// TestWriteWaitsForItsBudget: a context that ends meanwhile ends the call with what was
// written, and the next goes on behind that.
func TestWriteWaitsForItsBudget(t *testing.T) {
	g, p := piped(t, 64, nil)
	p.SetContext(over)
	if n, err := p.Write([]byte("x")); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("over before it began: %d, %v", n, err)
	}
	enough := errors.New("enough")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	want := letters(1 << 18)
	calls := 0
	for at := 0; at < len(want); calls++ {
		p.SetContext(&lapsing{Context: ended})
		budget := p.stream.Budget()
		n, err := p.Write(want[at:]) // the poller rests meanwhile
		if at += n; at < len(want) && (!errors.Is(err, enough) || n < 1460 || n > 1460*budget) {
			t.Fatalf("%d bytes, %v; the budget was %d frames", n, err, budget)
		}
		g.idle()
	}
	p.SetContext(t.Context())
	must(t, g.flushed(p))
	if calls < 3 || !bytes.Equal(g.got(p), want) {
		t.Errorf("%d calls; the peer got %d bytes of %d, or others", calls, len(g.got(p)), len(want))
	}
	g.finish()
}

// TestPipeEnds: what each call says when the stream takes no more.
func TestPipeEnds(t *testing.T) {
	calls := map[string]func(*Pipe) error{
		"Write":       func(p *Pipe) error { _, err := p.Write([]byte("x")); return err },
		"Write none":  func(p *Pipe) error { _, err := p.Write(nil); return err },
		"ReadFrom":    func(p *Pipe) error { _, err := p.ReadFrom(bytes.NewReader([]byte("x"))); return err },
		"Reserve":     func(p *Pipe) error { _, err := p.Reserve(context.Background()); return err },
		"SendFile":    func(p *Pipe) error { _, err := p.SendFile(letterFile(t, 2920), 0, 5); return err },
		"File":        func(p *Pipe) error { _, err := p.ReadFrom(letterFile(t, 2920)); return err },
		"File's part": func(p *Pipe) error { _, err := p.ReadFrom(io.LimitReader(letterFile(t, 2920), 5)); return err },
	}
	for name, end := range map[string]struct {
		end  func(*rig, *Pipe)
		want error
	}{
		"CloseWrite": {func(_ *rig, p *Pipe) { must(t, p.CloseWrite()); must(t, p.CloseWrite()) }, ErrClosed},
		"abort":      {func(g *rig, p *Pipe) { g.p.Abort(g.now, p.stream) }, tcp.ErrAborted},
		"clean end": {func(g *rig, p *Pipe) {
			must(t, p.CloseWrite())
			p.stream.closed = false // as if the peer's doing alone had ended it
			g.until("ended", p.stream.Ended)
		}, ErrClosed},
	} {
		g, p := piped(t, 64, nil)
		end.end(g, p)
		for call, f := range calls {
			if err := f(p); !errors.Is(err, end.want) {
				t.Errorf("%s after %s: %v", call, name, err)
			}
		}
		if p.Outstanding() != 0 || p.writer.bufs != 0 {
			t.Errorf("%s: %d outstanding, %d reserved", name, p.Outstanding(), p.writer.bufs)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Errorf("%s: Flush of nothing: %v", name, err)
		}
		g.finish()
	}
}

// TestErrorNamesTheStreamOnce.
func TestErrorNamesTheStreamOnce(t *testing.T) {
	g, p := piped(t, 64, nil)
	g.p.Abort(g.now, p.stream)
	_, write := p.Write([]byte("x"))
	_, reserve := p.Reserve(t.Context())
	for want, err := range map[string]error{"write to 10.0.0.2:80: ": write, "reserve for 10.0.0.2:80: ": reserve, "close 10.0.0.2:80: ": p.CloseWrite()} {
		if want += tcp.ErrAborted.Error(); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	g.finish()
}

// TestSendTellsOnce: each piece is told of once, with its cookie and its bytes where
// they were filled, whether it arrives, the stream ends before, or it comes too late.
func TestSendTellsOnce(t *testing.T) {
	g, p := piped(t, 64, nil)
	reasons := map[uint64]Reason{}
	var told []byte
	done := func(r Release, payload []byte) {
		if _, ok := reasons[r.Cookie]; ok {
			t.Errorf("told of piece %d twice", r.Cookie)
		}
		reasons[r.Cookie] = r.Reason
		told = append(told, payload...)
		clear(payload)
	}
	send := func(cookie uint64, text string) *byte {
		b, err := p.Reserve(t.Context())
		must(t, err)
		p.Send(b, copy(b.Bytes, text), cookie, done)
		return &b.Bytes[0]
	}
	var seen []uint64
	p.writer.OnRelease = func(r Release, _ []byte) { seen = append(seen, r.Cookie) }
	send(1<<63, "one ")
	send(0, "two ")
	b, err := p.Reserve(t.Context())
	must(t, err)
	p.Abandon(b)
	p.writer.Commit(p.stream, func() Buf { b, _ := p.writer.Reserve(p.stream); b.Bytes[0] = '!'; return b }(), 1, 77)
	must(t, g.flushed(p))
	if string(g.got(p)) != "one two !" || string(told) != "one two " || len(reasons) != 2 || len(seen) != 3 || seen[2] != 77 {
		t.Errorf("got %q, told %q, %v, seen %v", g.got(p), told, reasons, seen)
	}
	g.peer.mute = true
	send(2, "lost")
	late, err := p.Reserve(t.Context())
	must(t, err)
	g.idle()
	g.p.Abort(g.now, p.stream)
	p.Send(late, 3, 3, done)
	if err := g.flushed(p); !errors.Is(err, tcp.ErrAborted) {
		t.Errorf("flush: %v", err)
	}
	if len(reasons) != 4 || reasons[1<<63] != Acked || reasons[0] != Acked || reasons[2] != Aborted || reasons[3] != Aborted {
		t.Errorf("%v", reasons)
	}
	g.finish()
}

// TestPipeOfAStream: one for each, before anything else, and other streams of the
// writer go on as before.
func TestPipeOfAStream(t *testing.T) {
	g, p := piped(t, 64, nil)
	w := p.writer
	if w.Pipe(p.stream) != p {
		t.Error("another pipe")
	}
	c := newSource(1, w, g.open(w), 5000)
	g.idle()
	c.push()
	if !panics(func() { w.Pipe(c.s) }) {
		t.Error("a pipe for a stream that has frames")
	}
	if n, err := p.Write(letters(5000)); n != 5000 || err != nil {
		t.Fatal(n, err)
	}
	g.until("released", func() bool {
		var out [3]Release
		for _, r := range out[:w.Releases(out[:])] {
			if r.Stream == c.s {
				c.took(t, r)
			}
		}
		return p.Outstanding() == 0 && len(c.pending) == 0
	})
	if !bytes.Equal(g.got(p), letters(5000)) || !bytes.Equal(g.peer.flows[c.s.flow].stream, c.bytes) {
		t.Error("the peer got something else")
	}
	if other := g.writer(0); !panics(func() { other.Pipe(p.stream) }) {
		t.Error("a pipe of another writer's stream")
	}
	g.finish()
}

func panics(f func()) (is bool) {
	defer func() { is = recover() != nil }()
	f()
	return
}

// TestNotFromARelease: a call that would wait for releases where they are told is a
// mistake that shows at once.
func TestNotFromARelease(t *testing.T) {
	for name, call := range map[string]func(*Pipe){
		"Write":    func(p *Pipe) { _, _ = p.Write(nil) },
		"ReadFrom": func(p *Pipe) { _, _ = p.ReadFrom(nil) },
		"SendFile": func(p *Pipe) { _, _ = p.SendFile(nil, 0, 0) },
		"Reserve":  func(p *Pipe) { _, _ = p.Reserve(over) },
		"Flush":    func(p *Pipe) { _ = p.Flush(over) },
	} {
		for _, poll := range []bool{true, false} {
			g, p := piped(t, 64, nil)
			told := false
			b, err := p.Reserve(t.Context())
			must(t, err)
			p.Send(b, 1, 0, func(Release, []byte) {
				if told = true; !panics(func() { call(p) }) {
					t.Errorf("%s does not panic", name)
				}
			})
			g.idle()
			if poll {
				p.writer.Poll()
			} else {
				p.writer.Releases(make([]Release, 1))
			}
			if !told || p.Outstanding() != 0 || panics(func() { p.check() }) {
				t.Errorf("%s: told %v", name, told)
			}
			g.finish()
		}
	}
}

// TestPipeAllocatesNothing once it has seen as many pieces as are out at a time.
func TestPipeAllocatesNothing(t *testing.T) {
	g, w, s := quickRig(t, 512)
	p := w.Pipe(s)
	ctx := context.Background()
	b := letters(14 * 1460) // every second segment is ACKed
	f := letterFile(t, 2920)
	told := 0
	done := func(Release, []byte) { told++ }
	for name, c := range map[string]struct {
		write  func()
		allocs float64
	}{
		"Write": {func() { _, _ = p.Write(b) }, 0},
		"Send": {func() {
			for range 2 {
				b, _ := p.Reserve(ctx)
				p.Send(b, 100, 1, done)
			}
		}, 0},
		"SendFile": {func() { _, _ = p.SendFile(f, 0, 2920) }, 1}, // the file's syscall.RawConn
	} {
		round := func() {
			c.write()
			for p.Outstanding() > 0 {
				w.Poll()
				g.p.Notify(g.p.Step(g.now) == 0)
				g.now += 10 * tcp.Microsecond
			}
		}
		for range 50 {
			round()
		}
		if n := testing.AllocsPerRun(200, round); n > c.allocs {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if told < 200 {
		t.Errorf("%d releases: the test tests nothing", told)
	}
}
