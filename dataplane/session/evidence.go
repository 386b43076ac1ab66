package session

import (
	"fmt"
	"os"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trap"
	"github.com/xsend/xsend/umem"
)

// checkTrap refuses what contradicts a trap whatever the interface is.
func (c *Config) checkTrap() error {
	switch {
	case !c.Trap:
		return nil
	case c.Binding == BindingAsavie:
		return fmt.Errorf("%w: --trap: %w: github.com/asavie/xdp maps the frames itself, and once: use --binding native", ErrConfig, umem.ErrProtect)
	case c.HugePages:
		return fmt.Errorf("%w: --trap with --hugepages: %w: protection goes by the page of %d bytes: leave one of them out", ErrConfig, umem.ErrProtect, os.Getpagesize())
	}
	return nil
}

// checkTrapped refuses a region whose frames cannot be protected one by one.
func (s *Session) checkTrapped() error {
	if !s.cfg.Trap {
		return nil
	}
	if err := trap.Check(umem.Config{Frames: s.cfg.Frames, ChunkSize: s.cfg.Chunk}); err != nil {
		return fmt.Errorf("%w: --trap: %w", ErrConfig, err)
	}
	return nil
}

// openEvidence sets what watches the payload, over memory that is mapped.
func (s *Session) openEvidence() (err error) {
	if s.cfg.Audit {
		s.audit = new(dataplane.PayloadAudit)
	}
	if !s.cfg.Trap {
		return nil
	}
	if s.trap, err = trap.New(s.region); err != nil {
		return err
	}
	return s.trap.Watch(s.cfg.Monitor)
}

// closeEvidence ends that, once no poller uses the memory any more.
func (s *Session) closeEvidence() error { return s.trap.Close() }

// reportEvidence puts what was found into the report; a difference is an error.
func (s *Session) reportEvidence(r *Report) error {
	if s.trap != nil {
		r.TrapCalls = s.trap.Calls()
	}
	if s.audit == nil {
		return nil
	}
	found := s.audit.Report()
	if r.Audit = &found; found.First == nil {
		return nil
	}
	return found.First
}

// Guard runs f, and turns a store of f's, in this goroutine, to a frame that is not its writer's into a *dataplane.StrayWrite. Without
// Config.Trap it just runs f.
func (s *Session) Guard(f func() error) error { return s.trap.Guard(f) }

// Explain makes a *dataplane.StrayWrite of a system call's EFAULT where it was to write to one of bufs, and that lies in a
// frame which is not its writer's; any other error is passed on.
func (s *Session) Explain(err error, bufs ...[]byte) error { return s.trap.Explain(err, bufs...) }

// TrapMonitor is what the process that Config.Monitor starts has to call: it returns when the session's process has ended, and where
// that was a stray store, has told stderr of it.
func TrapMonitor() error { return trap.Monitor(os.Stderr) }
