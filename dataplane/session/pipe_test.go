package session_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// piped is what one test writes through a connection's pipe.
type piped func(ctx context.Context, c *session.Conn, b []byte, f *os.File) error

// pipes are the ways to write the same bytes.
var pipes = map[string]piped{
	"io.Copy of a file": func(_ context.Context, c *session.Conn, _ []byte, f *os.File) error {
		_, err := io.Copy(c, f)
		return err
	},
	"SendFile in parts": func(_ context.Context, c *session.Conn, b []byte, f *os.File) error {
		half := int64(len(b) / 2)
		_, first := c.Pipe().SendFile(f, 0, half)
		_, second := c.Pipe().SendFile(f, half, -1)
		return errors.Join(first, second)
	},
	"Write, flushed": func(ctx context.Context, c *session.Conn, b []byte, _ *os.File) error {
		scratch := make([]byte, 100_000)
		for i := 0; len(b) > 0; i++ {
			n, err := c.Write(scratch[:copy(scratch, b)])
			if err != nil {
				return err
			}
			clear(scratch)
			if b = b[n:]; i%16 == 0 {
				if err := c.Flush(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	},
	"bufio": func(_ context.Context, c *session.Conn, b []byte, _ *os.File) error {
		w := bufio.NewWriterSize(c, 1<<16)
		for ; len(b) > 0; b = b[min(len(b), 777):] {
			if _, err := w.Write(b[:min(len(b), 777)]); err != nil {
				return err
			}
		}
		return w.Flush()
	},
	"Send, rewritten": func(ctx context.Context, c *session.Conn, b []byte, _ *os.File) error {
		p, told := c.Pipe(), uint64(0)
		done := func(r dataplane.Release, payload []byte) {
			if !bytes.Equal(payload, b[r.Cookie:int(r.Cookie)+len(payload)]) || r.Start != r.Cookie {
				panic(fmt.Sprintf("told of %+v", r))
			}
			told += uint64(len(payload))
			clear(payload)
		}
		for at := 0; at < len(b); {
			buf, err := p.Reserve(ctx)
			if err != nil {
				return err
			}
			n := copy(buf.Bytes, b[at:])
			p.Send(buf, n, uint64(at), done)
			at += n
		}
		if err := p.Flush(ctx); err != nil || told != uint64(len(b)) {
			return fmt.Errorf("told of %d bytes, %w", told, err)
		}
		return nil
	},
}

// TestPipe: what is written through a pipe arrives at a kernel receiver whole, in both
// layouts, and with packets lost and completions late.
func TestPipe(t *testing.T) {
	for name, write := range pipes {
		for way, cfg := range map[string]session.Config{"linear": {}, "scatter-gather": {SG: session.SGOn}, "late": {}} {
			if testing.Short() && way != "late" {
				continue
			}
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				sendPiped(t, cfg, way == "late", write)
			})
		}
	}
}

func sendPiped(t *testing.T, cfg session.Config, delayed bool, write piped) {
	size, network := 8<<20+5, lab.Config{}
	if delayed {
		size, network = 1<<20+5, lab.Config{Loss: 1, LossSeed: 11}
	}
	r := newRig(t, network)
	rc := r.receive(nil)
	b := payload(7, size)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var late lateness
	cfg.Frames = smallFrames
	cfg.Witness = true
	if delayed {
		cfg.Wrap(func(_ int, p dataplane.Port, region *umem.Region) dataplane.Port { return late.around(p, region) })
	}
	s := r.open(cfg)
	c := dial(t, s, rc.addr)
	ctx := within(t)
	c.Pipe().SetContext(ctx)
	if err := write(ctx, c, b, f); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(ctx); err != nil || c.Pipe().Outstanding() != 0 {
		t.Fatalf("flush: %v, %d outstanding", err, c.Pipe().Outstanding())
	}
	st, err := c.Stats(ctx)
	if err != nil || st.BytesAcked != uint64(size) {
		t.Errorf("flushed: %d bytes of %d ACKed, %v", st.BytesAcked, size, err)
	}
	if err := finish(ctx, c); err != nil {
		t.Fatal(err)
	}
	if res := <-rc.results; res.SHA256 != sumOf(b) || res.Bytes != int64(size) {
		t.Errorf("the receiver has %d bytes of %d, SHA-256 %s", res.Bytes, size, res.SHA256)
	}
	rep, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	books(t, rep)
	if lates := late.stats(); rep.RewrittenInFlight != 0 || rep.Counters.BytesReleased != uint64(size) || delayed && (lates.Rewritten != 0 || lates.Late < 10*tcp.Millisecond) {
		t.Errorf("%+v, %+v", rep, lates)
	}
}

// TestFlushWithoutAReader: a Flush of what fits into the peer's buffer ends though its
// program reads nothing, one of more does not; and the reset of a peer that closes
// unread ends that one, with the connection's error.
func TestFlushWithoutAReader(t *testing.T) {
	r := newRig(t, lab.Config{})
	ln, addr := r.listen()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	s := r.open(session.Config{Frames: smallFrames})
	c := dial(t, s, addr)
	peer := <-accepted
	if _, err := c.Write(payload(1, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(within(t)); err != nil {
		t.Fatalf("ACKed, and not read: %v", err)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	c.Pipe().SetContext(deadline)
	n, err := c.ReadFrom(endless{})
	if !errors.Is(err, context.DeadlineExceeded) || n == 0 {
		t.Fatalf("nobody reads: %d bytes, %v", n, err)
	}
	if err := c.Flush(deadline); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody reads: %v", err)
	}
	if err := peer.Close(); err != nil { // unread bytes: the kernel resets
		t.Fatal(err)
	}
	if err := c.Flush(within(t)); !errors.Is(err, tcp.ErrReset) {
		t.Errorf("reset: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past its deadline: %v", err)
	}
	c.Pipe().SetContext(t.Context())
	if _, err := c.Write([]byte("x")); !errors.Is(err, tcp.ErrReset) {
		t.Errorf("write: %v", err)
	}
}

// endless is a reader without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
