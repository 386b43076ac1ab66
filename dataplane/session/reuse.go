package session

import (
	"context"
	"net/netip"

	"github.com/xsend/xsend/tcp"
)

// reuse gives a pair of ports in TIME-WAIT to a new connection of the same two ends. The
// new one begins with a sequence number above all that the old one used, and its
// timestamps go on, so that no old duplicate fits
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1, https://www.rfc-editor.org/rfc/rfc6191#section-2). A port that anything
// else holds is in use.
func (c *Conn) reuse(ctx context.Context, local, remote netip.AddrPort) error {
	old := c.session.former(local, remote)
	if old == nil || !old.given.Load() || old.stream.State() != tcp.TimeWait {
		return nil
	}
	st, err := old.stream.Stats(ctx)
	if err != nil {
		return err
	}
	if err := old.stream.Abort(ctx); err != nil { // in TIME-WAIT it says nothing to the peer
		return err
	}
	select {
	case <-old.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.reused, c.above = true, old.iss.Add(int(st.BytesAcked)+2) // SYN and FIN
	return nil
}

// former is the session's connection between two ends; nil where there is none.
func (s *Session) former(local, remote netip.AddrPort) *Conn {
	for _, c := range s.connections() {
		if c.local == local && c.remote == remote {
			return c
		}
	}
	return nil
}

// sequence is the initial sequence number of a new connection.
func (c *Conn) sequence(iss tcp.Seq) tcp.Seq {
	if c.reused && iss.Before(c.above) {
		return c.above
	}
	return iss
}
