package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
)

// resetTime is how long the frames of a connection that we reset may take to come back.
const resetTime = 5 * time.Second

// sender carries one connection through its life.
type sender struct {
	run    *run
	id     int // from 1
	dial   session.DialConfig
	source func() (source, error)

	meter     streamMeter
	sampled   sampled
	conn      connection // nil before it stands
	connected Connected
	begin     time.Time
	report    StreamReport
}

// send runs the connection to its end; what became of it is in the report.
func (s *sender) send() {
	s.report.ID, s.report.Remote = s.id, s.dial.Remote.String()
	err := s.connect()
	s.run.decided()
	if err == nil {
		err = s.guarded()
		s.conclude()
	}
	if err != nil {
		s.report.Err, s.report.Error = err, err.Error()
	}
}

func (s *sender) connect() error {
	ctx, cancel := context.WithTimeout(s.run.stop, s.run.cfg.ConnectTimeout)
	defer cancel()
	conn, err := s.run.net.Dial(ctx, s.dial)
	if err != nil {
		return dialError(err)
	}
	s.conn, s.begin = conn, time.Now()
	local, remote := conn.LocalAddr(), conn.RemoteAddr()
	s.report.Local, s.report.Remote = local.String(), remote.String()
	s.connected = Connected{
		ID: s.id, Socket: s.id, LocalHost: local.Addr().String(), LocalPort: local.Port(),
		RemoteHost: remote.Addr().String(), RemotePort: remote.Port(), MSS: conn.Stats().MSS,
	}
	s.run.began(s)
	return nil
}

// dialError adds the remedy to errors that the peer caused.
func dialError(err error) error {
	switch {
	case errors.Is(err, tcp.ErrRefused):
		return fmt.Errorf("%w: nothing listens there, or a firewall refuses: start the receiver first (xsend sink)", err)
	case errors.Is(err, tcp.ErrTimeout):
		return fmt.Errorf("%w; --connect-timeout says how long to wait", err)
	}
	return err
}

// transmit sends everything, closes, and waits for the ACK of everything and the last frame.
func (s *sender) transmit() error {
	src, err := s.source()
	if err != nil {
		s.conn.Abort()
		return err
	}
	if p, ok := src.(pausing); ok {
		defer p.close()
	}
	p := newPump(s.conn, src, s.run.cfg.Hash, s.run.cfg.Rewrite, &s.meter)
	if err = p.run(s.run.stop); err != nil {
		s.conn.Abort() // nothing that is incomplete may end in a FIN
	} else {
		err = s.drain(p)
	}
	s.report.SHA256 = p.sum()
	err = holdError(s.takeBack(p, err))
	s.conn.Leave()
	s.report.tallied(&p.tally)
	return err
}

// drain waits until the peer has ACKed everything and our FIN, and the frames are back. Once the user
// interrupts, it gives up after the linger time, and at once when he does so again.
func (s *sender) drain(p *pump) error {
	ctx, end := s.run.patience()
	defer end()
	err := p.settle(ctx)
	if err == nil {
		err = s.conn.WaitSent(ctx)
	}
	if err == nil || ctx.Err() == nil {
		return err
	}
	unacked := int64(p.offset) - int64(s.conn.Stats().BytesAcked)
	s.conn.Abort()
	return fmt.Errorf("%v: %w: %d of %d bytes were not ACKed when it was reset", s.conn.RemoteAddr(), errInterrupted, max(0, unacked), p.offset)
}

// takeBack collects the frames of a connection that failed or was reset.
func (s *sender) takeBack(p *pump, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), resetTime)
	defer cancel()
	if serr := p.settle(ctx); serr != nil && err == nil {
		err = fmt.Errorf("%v: %d of %d frames did not come back: %w", s.conn.RemoteAddr(), p.tally.commits-p.tally.releases, p.tally.commits, serr)
	}
	return errors.Join(err, p.tally.wrong)
}

// conclude takes the figures, and waits for the peer to close as well.
func (s *sender) conclude() {
	s.report.Seconds = time.Since(s.begin).Seconds()
	s.report.tcpStats(s.conn.Stats())
	s.report.BitsPerSecond = bitRate(s.report.Bytes, s.report.Seconds)
	s.run.ended(time.Now())
}

// farewell awaits the peer's FIN, or a reset, for the linger time.
func (s *sender) farewell() {
	if s.conn == nil || s.report.Err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.run.stop, s.run.cfg.Linger)
	defer cancel()
	err := s.conn.WaitPeerClosed(ctx)
	remote := s.conn.RemoteAddr()
	switch {
	case err == nil || s.run.stop.Err() != nil:
	case errors.Is(err, tcp.ErrReset):
		s.run.cfg.Warn(fmt.Sprintf("%v reset the connection after it had ACKed everything", remote))
	default:
		s.run.cfg.Warn(fmt.Sprintf("%v ACKed everything, but didn't close its side within %v", remote, s.run.cfg.Linger))
	}
}
