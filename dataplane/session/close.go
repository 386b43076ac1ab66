package session

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/hw/settings"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Report is what is left when a session is over.
type Report struct {
	Frames            Frames
	Counters          dataplane.Counters     // over all queues
	Books             dataplane.Books        // over all queues, after the end
	Times             *dataplane.Times       // over all queues; nil without Config.Times
	RewrittenInFlight uint64                 // descriptors whose bytes changed under the kernel; only with Config.Witness
	Audit             *dataplane.AuditReport // nil without Config.Audit
	TrapCalls         uint64                 // of mprotect, for frames; 0 without Config.Trap
	Program           xdpprog.Counters
	Settings          []settings.Setting // of the NIC, while the session lasted; those of Config.Settings first
	Restored          *settings.Restored // how the NIC was put back; nil where nothing was set
}

// Frames is where the frames are.
type Frames struct {
	Total       int
	Free        int // nobody holds them, or the kernel had them for receiving
	Leaked      int // nobody accounts for them: a bug of ours
	Quarantined int // the kernel never gave them back
}

// Counters is the sum over all queues, a few milliseconds old.
func (s *Session) Counters() dataplane.Counters {
	var sum dataplane.Counters
	for _, q := range s.queues {
		sum.Add(q.poller.Counters())
	}
	return sum
}

// RewrittenInFlight is the descriptors so far whose bytes changed between submission
// and completion; 0 without Config.Witness.
func (s *Session) RewrittenInFlight() uint64 {
	n := uint64(0)
	for _, q := range s.queues {
		n += q.rewrittenInFlight()
	}
	return n
}

// Close ends what lives (RST), waits until the kernel has given everything back, at
// most 2 s, and takes the session down in reverse. No writer may be in use; a Dial
// that waits returns ErrClosed. The error joins what went wrong; the report is right
// either way. Further calls wait for the first and return the same.
func (s *Session) Close() (Report, error) {
	s.closing.Do(func() { s.report, s.failed = s.close() })
	return s.report, s.failed
}

func (s *Session) close() (Report, error) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.users.Wait()
	var report Report
	var err error
	for _, q := range s.queues {
		err = errors.Join(err, <-q.ended)
	}
	if s.prog != nil {
		report.Program, _ = s.prog.Counters()
	}
	err = errors.Join(err, s.stop())
	report.settle(s.set)
	report.Counters = s.Counters()
	report.RewrittenInFlight = s.RewrittenInFlight()
	err = errors.Join(err, s.reportEvidence(&report))
	for _, q := range s.queues {
		report.add(q)
	}
	if n := report.Frames.Leaked; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d frames leaked: a bug of xsend", n))
	}
	return report, err
}

func (r *Report) add(q *queue) {
	c := q.remains.Census
	r.Frames.Total += c.Total
	r.Frames.Free += c.Free + c.Fill + c.RX
	r.Frames.Leaked += q.remains.Leaked
	r.Frames.Quarantined += c.Quarantined
	r.addBooks(q)
}

// stop takes down what is up, in reverse: the program goes before the sockets, so
// that the queue is never without an owner while it redirects.
func (s *Session) stop() error {
	var errs []error
	if s.follow != nil {
		errs = append(errs, s.follow.close())
	}
	if s.prog != nil {
		errs = append(errs, s.prog.Close())
	}
	for _, c := range s.connections() {
		errs = append(errs, c.port.Close())
	}
	for _, q := range s.queues {
		errs = append(errs, q.close())
	}
	for _, q := range s.queues {
		errs = append(errs, q.free())
	}
	errs = append(errs, s.closeEvidence())
	if s.region != nil {
		errs = append(errs, s.region.Close())
	}
	errs = append(errs, s.restoreSettings()) // no program and no socket keeps the driver from it any more
	if s.ns != nil {
		s.ns.close()
	}
	return errors.Join(errs...)
}
