package session

import (
	"fmt"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// DefaultArena is the bytes of memory for what peers that stand still hold, over all queues.
const DefaultArena = 64 << 20

// Hold is how long, and with how many bytes, a peer that ACKs nothing keeps frames from their writer. Zero means the
// default given. Time counts from the last ACK of something new: who reads slowly is not meant.
type Hold struct {
	// Policy is backpressure (the writer waits as long as the connection lives), demote (what is not ACKed is copied to the
	// arena, the frames go back, and the writer gets none for this connection until the peer goes on) or abort (RST). "" is demote; in
	// the wrong release modes it is backpressure, and nothing else is taken.
	Policy tcp.HoldPolicy
	Bytes  int           // most payload that frames are held for; 0 = the connection's share of the frames
	Time   time.Duration // without progress before demotion, or the RST of abort; 0 = 10 s
	Abort  time.Duration // without progress before the RST that follows a demotion; 0 = 30 min, negative = never
}

// hold is what a connection is made with.
func (s *Session) hold(h Hold) tcp.Hold {
	if h.Policy == "" && s.cfg.Release == dataplane.ReleaseAck {
		h.Policy = tcp.HoldDemote
	}
	return tcp.Hold{Policy: h.Policy, Bytes: h.Bytes, Time: tcp.Duration(h.Time), Abort: tcp.Duration(h.Abort)}
}

// mapArena maps a sending queue's part of the arena.
func (s *Session) mapArena(q *queue) (err error) {
	if s.cfg.Arena < 0 || s.cfg.Release != dataplane.ReleaseAck || q.index >= s.senders() {
		return nil
	}
	if q.arena, err = umem.MapArena(s.cfg.Arena / s.senders()); err != nil {
		return fmt.Errorf("queue %d of %d that send: %w", q.index, s.senders(), err)
	}
	s.info.Arena += q.arena.Size()
	return nil
}

// closeArena gives it back, after the poller.
func (q *queue) closeArena() error {
	if q.arena == nil {
		return nil
	}
	return q.arena.Close()
}
