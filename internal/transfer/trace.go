package transfer

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/dataplane/trace"
)

// TraceSummary is what became of the lifecycle trace.
type TraceSummary struct {
	File   string `json:"file"`
	Events uint64 `json:"events"`
	Lost   uint64 `json:"lost"` // more than the file writer could follow
}

// openTrace has the pollers write the lifecycle trace.
func (r *run) openTrace(sc *session.Config) (err error) {
	if r.cfg.Trace == "" {
		return nil
	}
	if r.trace, err = trace.Create(r.cfg.Trace, "xsend "+r.cfg.Version); err != nil {
		return err
	}
	if r.input != nil && r.input.file != nil && r.trace.SameFile(r.input.file) {
		return fmt.Errorf("trace %s: it is the file that is to be sent: give another name", r.cfg.Trace)
	}
	sc.Trace = r.trace.Ring
	return nil
}

// closeTrace completes it, once the session is closed.
func (r *run) closeTrace() {
	if r.trace == nil {
		return
	}
	events, lost, err := r.trace.Close()
	if err != nil {
		r.cfg.Warn(err.Error())
	}
	if r.report.Trace == nil { // nothing was started, so nothing is left behind
		return
	}
	r.report.Trace.Events, r.report.Trace.Lost = events, lost
	if lost > 0 {
		r.cfg.Warn(fmt.Sprintf("trace %s: %d events are missing: writing it was slower than sending; \"xsend trace check\" will decide nothing behind the first of them", r.cfg.Trace, lost))
	}
}
