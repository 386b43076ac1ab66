package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/tcp"
)

// errConservation says that the books don't add up: a bug of ours.
var errConservation = errors.New("the books don't add up: a bug of xsend")

// neverSent are errors of a dial after which nothing had left; with ErrChecksum nothing of a stream.
var neverSent = []error{
	hw.ErrNoRoute, hw.ErrNoNeighbour, hw.ErrPortInUse, hw.ErrNoSource, hw.ErrNoInterface, hw.ErrNoZone,
	hw.ErrLocalDestination, hw.ErrNotUnicast, hw.ErrNotEthernet, hw.ErrLinkDown,
	session.ErrConfig, session.ErrInterface, session.ErrChecksum, tcp.ErrBadConfig,
	dataplane.ErrBadConfig, dataplane.ErrTooMany, dataplane.ErrFlowInUse,
}

func sentNothing(err error) bool {
	for _, never := range neverSent {
		if errors.Is(err, never) {
			return true
		}
	}
	return false
}

func (r *run) wrongMode() bool { return r.report.Release != dataplane.ReleaseAck.String() }

// sumUp adds the streams up.
func (r *run) sumUp() {
	rep := &r.report
	for _, s := range r.senders {
		rep.Streams = append(rep.Streams, s.report)
		rep.Bytes += s.report.Bytes
		rep.Segments += s.report.Segments
		rep.Retransmits += s.report.Retransmits
		if s.conn != nil || !sentNothing(s.report.Err) {
			rep.Started = true
		}
		if s.report.Err != nil {
			rep.Failed++
		}
		if rep.MSS == 0 {
			rep.MSS = s.report.MSS
		}
	}
	rep.SHA256 = commonSum(rep.Streams)
	rep.Start.Connected = r.connected()
	rep.Intervals = append(rep.Intervals, r.sampler.samples...)
	if r.meter.begin.IsZero() || r.end.IsZero() {
		return
	}
	rep.Seconds = r.end.Sub(r.meter.begin).Seconds()
	rep.OmittedBytes, rep.OmittedSeconds = uint64(r.sampler.omittedBytes), r.sampler.omittedTime.Seconds()
	rep.BitsPerSecond = bitRate(rep.Bytes-min(rep.Bytes, rep.OmittedBytes), rep.Seconds-rep.OmittedSeconds)
}

// commonSum is the SHA-256 of every stream, "" where they differ or one has none.
func commonSum(streams []StreamReport) string {
	for _, s := range streams {
		if s.SHA256 != streams[0].SHA256 {
			return ""
		}
	}
	if len(streams) == 0 {
		return ""
	}
	return streams[0].SHA256
}

// judge finds the error and the exit code. err is what stopped the run, or the session's.
func (r *run) judge(err error) {
	rep := &r.report
	rep.Interrupted = r.stop.Err() != nil
	err = errors.Join(r.streamErrors(), err)
	if r.unbalanced != nil {
		err = errors.Join(err, fmt.Errorf("a bug of xsend: %w", r.unbalanced))
	}
	switch {
	case err == nil:
		err = r.conserved()
	case rep.Interrupted && !rep.Started && !errors.Is(err, context.Cause(r.stop)):
		err = fmt.Errorf("%w: %w", errInterrupted, err) // whatever it says: without the signal it would have gone on
	}
	rep.Err = err
	if err != nil {
		rep.Error = err.Error()
	}
	switch {
	case rep.spoiled():
		rep.ExitCode = ExitFailed
	case r.wrongMode() && rep.BytesWritten > 0:
		rep.ExitCode = ExitWrongMode
	case !rep.Started && err != nil:
		rep.ExitCode = ExitNotStarted
	case err != nil:
		rep.ExitCode = ExitFailed
	}
}

// Signal makes the exit code that of a run which a signal ended.
func (r *Report) Signal(n int) {
	if r.Interrupted && r.ExitCode != ExitWrongMode {
		r.ExitCode = 128 + n
	}
}

// streamErrors says what failed; the same text of many streams once, with their number.
func (r *run) streamErrors() error {
	times := map[string]int{}
	for _, s := range r.senders {
		times[s.report.Error]++
	}
	var errs []error
	for _, s := range r.senders {
		err, n := s.report.Err, times[s.report.Error]
		times[s.report.Error] = 0
		switch {
		case err == nil || n == 0:
			continue
		case n > 1:
			err = fmt.Errorf("stream %d and %d more: %w", s.id, n-1, err)
		case len(r.senders) > 1:
			err = fmt.Errorf("stream %d: %w", s.id, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// conserved checks a run without errors: what was written was released, and what was submitted came back.
func (r *run) conserved() error {
	rep := &r.report
	switch d := rep.Descs; {
	case rep.BytesWritten != rep.BytesReleased+rep.BytesDemoted:
		return fmt.Errorf("%w: %d bytes written, %d released, %d demoted", errConservation, rep.BytesWritten, rep.BytesReleased, rep.BytesDemoted)
	case rep.Hold.ArenaCopied != rep.Hold.ArenaAcked:
		return fmt.Errorf("%w: %d bytes went to the arena, %d of them were ACKed", errConservation, rep.Hold.ArenaCopied, rep.Hold.ArenaAcked)
	case rep.BytesWritten != rep.Bytes:
		return fmt.Errorf("%w: %d bytes written, %d ACKed", errConservation, rep.BytesWritten, rep.Bytes)
	case d.Submitted != d.Completed+d.Quarantined:
		return fmt.Errorf("%w: %d descriptors submitted, %d completed, %d quarantined", errConservation, d.Submitted, d.Completed, d.Quarantined)
	case !r.wrongMode() && rep.LentWhileHeld+rep.RewrittenInFlight > 0:
		return fmt.Errorf("%w: %d bytes handed back while held, %d descriptors rewritten in flight", errConservation, rep.LentWhileHeld, rep.RewrittenInFlight)
	}
	return nil
}
