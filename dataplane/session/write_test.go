package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
)

// marker is what the writer leaves in a frame that was handed back to it.
const marker = 0xEE

// payload is n bytes that follow from the seed.
func payload(seed uint64, n int) []byte {
	b := make([]byte, n)
	key := [32]byte{byte(seed), byte(seed >> 8)}
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// rewrite overwrites a frame the moment it is handed back: who handed it back too
// early is found out.
func rewrite(_ dataplane.Release, payload []byte) {
	for i := range payload {
		payload[i] = marker
	}
}

// fill commits p on c, from a writer that rewrites.
func fill(ctx context.Context, c *session.Conn, p []byte) error { return fillRounds(ctx, c, p, 0) }

// fillRounds is fill with a pause after so many frames, until all of them were handed
// back and rewritten, as with a buffer that is sent, and filled again when the call
// returns. Thus a packet lost near the end of a round cannot be sent again before. 0 is
// no pause.
func fillRounds(ctx context.Context, c *session.Conn, p []byte, round int) error {
	w := c.Writer()
	w.OnRelease = rewrite
	for i := 0; len(p) > 0; i++ {
		if round > 0 && i%round == 0 {
			if err := settle(ctx, c); err != nil {
				return err
			}
		}
		b, err := w.ReserveWait(ctx, c.Stream())
		if err != nil {
			return fmt.Errorf("%d bytes before the end: %w", len(p), err)
		}
		n := copy(b.Bytes, p)
		w.Commit(c.Stream(), b, n, 0)
		p = p[n:]
	}
	return nil
}

// finish sends our FIN and waits until the peer has everything and says so, and every
// frame is back.
func finish(ctx context.Context, c *session.Conn) error {
	c.CloseWrite()
	err := errors.Join(c.WaitSent(ctx), c.WaitPeerClosed(ctx))
	if err != nil {
		return err
	}
	return settle(ctx, c)
}

// settle waits until every frame of c is back.
func settle(ctx context.Context, c *session.Conn) error {
	for w := c.Writer(); ; {
		if w.Poll(); w.Held(c.Stream()) == 0 {
			return nil
		}
		if err := w.Wait(ctx); err != nil {
			return fmt.Errorf("%d frames are not back: %w", w.Held(c.Stream()), err)
		}
	}
}

// write is fill and finish.
func write(ctx context.Context, c *session.Conn, p []byte) error {
	return writeRounds(ctx, c, p, 0)
}

func writeRounds(ctx context.Context, c *session.Conn, p []byte, round int) error {
	if err := fillRounds(ctx, c, p, round); err != nil {
		return err
	}
	return finish(ctx, c)
}
