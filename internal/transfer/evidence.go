package transfer

import (
	"errors"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
)

// Audit is what was compared with what had been committed.
type Audit struct {
	Commits       uint64   `json:"commits"`
	Transmissions uint64   `json:"transmissions"` // frames in packets
	Releases      uint64   `json:"releases"`
	Bytes         uint64   `json:"bytes"`             // compared
	Changed       *Changed `json:"changed,omitempty"` // the first difference
}

// Changed is a byte that was not as it had been committed.
type Changed struct {
	Local    string `json:"local"` // of the connection
	Remote   string `json:"remote"`
	Frame    uint32 `json:"frame"`
	Offset   int    `json:"offset"`   // in the frame
	Position uint64 `json:"position"` // in the stream
	When     string `json:"when"`     // it was found: before its first transmission, a retransmission, its release
	Was      *byte  `json:"was"`      // null where the frame was committed anew meanwhile
	Is       byte   `json:"is"`
	Bytes    int    `json:"bytes"`    // that differ
	Compared int    `json:"compared"` // bytes
}

// Trap is what the write trap did.
type Trap struct {
	Calls uint64 `json:"calls"` // of mprotect, for frames
	Stray *Stray `json:"stray,omitempty"`
}

// Stray is the first store to a frame that was not its writer's.
type Stray struct {
	Frame  uint32 `json:"frame"`
	Offset int    `json:"offset"` // in the frame
	Holder string `json:"holder"`
	Last   string `json:"last"` // who committed it last
	Stack  string `json:"stack"`
}

func (r *run) describeEvidence(left *session.Report) {
	if r.cfg.Trap {
		r.report.Trap = &Trap{Calls: left.TrapCalls, Stray: r.stray}
	}
	a := left.Audit
	if a == nil {
		return
	}
	r.report.Audit = &Audit{Commits: a.Commits, Transmissions: a.Transmissions, Releases: a.Releases, Bytes: a.Bytes}
	if c := a.First; c != nil {
		r.report.Audit.Changed = &Changed{
			Local: c.Local.String(), Remote: c.Remote.String(), Frame: uint32(c.Frame), Offset: c.Offset, Position: c.Position,
			When: c.When.String(), Is: c.Is, Bytes: c.Bytes, Compared: c.Compared,
		}
		if was := c.Was; c.Known {
			r.report.Audit.Changed.Was = &was
		}
	}
}

// spoiled says that the payload cannot be vouched for, whatever else went well.
func (r *Report) spoiled() bool {
	return r.Audit != nil && r.Audit.Changed != nil || r.Trap != nil && r.Trap.Stray != nil
}

// guarded is transmit, where a stray store ends with an error. The frames that it was about are left to the session.
func (s *sender) guarded() error {
	err := s.conn.Guard(s.transmit)
	var stray *dataplane.StrayWrite
	if !errors.As(err, &stray) {
		return err
	}
	s.conn.Abort()
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if s.run.stray == nil {
		s.run.stray = &Stray{
			Frame: uint32(stray.Frame), Offset: stray.Offset, Holder: stray.Holder, Last: stray.Last.String(), Stack: string(stray.Stack),
		}
	}
	return err
}
