package dataplane

import (
	"fmt"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Open makes a stream that w will write to and starts its handshake; for the
// poller's goroutine, between two Steps. cfg.SendSlots 0 means as many as the stream
// could ever have frames. The error wraps ErrBadConfig, tcp.ErrBadConfig,
// ErrFlowInUse, ErrTooMany, ErrStopped or ErrQueueDead.
func (p *Poller) Open(now tcp.Time, w *Writer, cfg tcp.Config) (*Stream, error) {
	if err := p.mayOpen(w, &cfg); err != nil {
		return nil, fmt.Errorf("open %v: %w", cfg.Flow.RemoteAddr(), err)
	}
	if cfg.SendSlots == 0 {
		cfg.SendSlots = max(64, min(16384, p.perPacket*p.lendable+16))
	}
	cfg.MaxSegs, cfg.Arena = p.caps.MaxSegs, p.holds.arena
	conn, err := tcp.New(cfg, p.pool)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", cfg.Flow.RemoteAddr(), err)
	}
	if err := conn.Connect(now); err != nil {
		return nil, fmt.Errorf("open %v: %w", cfg.Flow.RemoteAddr(), err)
	}
	s := &Stream{poller: p, writer: w, flow: cfg.Flow, conn: conn, due: conn.Deadline(), parked: umem.NoFrame, parkedEnd: umem.NoFrame, hold: streamHold{most: cfg.Hold.Bytes}}
	for i := range s.news {
		s.news[i] = make(chan struct{})
	}
	s.mssNow, s.stateNow = conn.MSS(), conn.State()
	s.mss.Store(int32(s.mssNow))
	s.state.Store(uint32(s.stateNow))
	p.flows[s.flow] = s
	if p.trace != nil {
		p.traceOpen(now, s, &cfg)
	}
	if p.directory != nil {
		p.directory.set(s.flow, p)
	}
	p.deadlines.add(s)
	p.ready.add(s)
	w.lane.streams++
	p.reshare()
	return s, nil
}

func (p *Poller) mayOpen(w *Writer, cfg *tcp.Config) error {
	switch {
	case p.failed != nil:
		return p.failed
	case p.closing:
		return ErrStopped
	case p.sums.spoiled() != nil:
		return p.sums.spoiled()
	case w == nil || w.poller != p || w.lane.left:
		return fmt.Errorf("%w: the writer is not one of this poller", ErrBadConfig)
	case cfg.Checksum == tcp.ChecksumOffload && !p.caps.TxMetadata:
		return fmt.Errorf("%w: checksum offload: the queue takes no TX metadata to ask for it with", ErrBadConfig)
	case p.mode != ReleaseAck && !cfg.Resum:
		return fmt.Errorf("%w: release mode %v needs tcp.Config.Resum", ErrBadConfig, p.mode)
	case p.flows[cfg.Flow] != nil:
		return fmt.Errorf("%w: local port %d", ErrFlowInUse, cfg.Flow.LocalPort)
	case len(p.deadlines.heap) >= p.maxStreams:
		return fmt.Errorf("%w: there are %d, the most that MaxStreams allows", ErrTooMany, p.maxStreams)
	}
	if n := len(p.deadlines.heap) + 1; fairShare(p.lendable, n) < minBudget {
		return fmt.Errorf("%w: %d frames are not enough for %d streams; a larger region (more frames) is", ErrTooMany, p.lendable, n)
	}
	return nil
}

// Abort ends a stream with a RST; for the poller's goroutine.
func (p *Poller) Abort(now tcp.Time, s *Stream) {
	s.conn.Abort(now)
	p.settle(now)
	p.touched(now, s)
}

// SetMTU changes the bytes of IP packet that the path of a stream carries; for the
// poller's goroutine.
func (p *Poller) SetMTU(now tcp.Time, s *Stream, mtu int) {
	s.conn.SetMTU(mtu)
	p.touched(now, s)
}

// Streams is the number of streams that are not over; for the poller's goroutine.
func (p *Poller) Streams() int { return len(p.deadlines.heap) }

// remove forgets a stream that is over.
func (p *Poller) remove(s *Stream) {
	delete(p.flows, s.flow)
	if p.directory != nil {
		p.directory.set(s.flow, nil)
	}
	p.deadlines.remove(s)
	p.ready.remove(s)
	p.setBudget(s, 0)
	s.writer.lane.streams--
	if p.lastHit == s {
		p.lastHit = nil
	}
}
