package trap

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/umem"
)

// Trap protects the frames of one region. A nil Trap does nothing.
type Trap struct {
	region  *umem.Region
	table   table
	fd      int // the table's
	writers atomic.Uint32
	calls   atomic.Uint64
	failed  atomic.Pointer[error]
	monitor *monitor
}

// maxMaps is where the kernel says how many mappings a process may have.
const maxMaps = "/proc/sys/vm/max_map_count"

// Check says why the frames of a region made with cfg cannot be protected. The error wraps umem.ErrProtect.
func Check(cfg umem.Config) error {
	text, err := os.ReadFile(maxMaps)
	if err != nil {
		return fmt.Errorf("%w: %w", umem.ErrProtect, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", umem.ErrProtect, maxMaps, err)
	}
	return cfg.CheckProtect(n)
}

// New sets a trap over every frame of a region for which Check had no objection. The error wraps umem.ErrProtect where
// the memory is somebody else's.
func New(r *umem.Region) (*Trap, error) {
	if err := r.ProtectAll(false); err != nil {
		return nil, err
	}
	t := &Trap{region: r}
	var err error
	if t.table, t.fd, err = newTable(r); err != nil {
		return nil, errors.Join(err, r.ProtectAll(true))
	}
	return t, nil
}

// Ledger is memory for umem.Pool.Share of the pool of n frames from first on.
func (t *Trap) Ledger(first umem.Frame, n int) []byte { return t.table.ledger(first, n) }

// NewWriter is the number of a new writer.
func (t *Trap) NewWriter() uint32 {
	if t == nil {
		return 0
	}
	return t.writers.Add(1)
}

// Allow lets frame f be written: it is somebody's from now on.
func (t *Trap) Allow(f umem.Frame) { t.set(f, true) }

// Forbid ends that.
func (t *Trap) Forbid(f umem.Frame) { t.set(f, false) }

func (t *Trap) set(f umem.Frame, may bool) {
	t.table.set(f, closed)
	if may {
		t.table.set(f, writable)
	}
	if t.failed.Load() != nil {
		return
	}
	t.calls.Add(1)
	if err := t.region.Protect(f, may); err != nil {
		t.giveUp(err)
	}
}

// giveUp takes all protection away: a writer must not meet a fault where it may write. That needs no mapping more than there are.
func (t *Trap) giveUp(err error) {
	err = errors.Join(fmt.Errorf("the write trap was given up: %w", err), t.region.ProtectAll(true))
	t.failed.CompareAndSwap(nil, &err)
}

// Wrote notes what is committed in frame f.
func (t *Trap) Wrote(f umem.Frame, l *Last) { t.table.wrote(f, l) }

// Calls is how often mprotect was called for a frame.
func (t *Trap) Calls() uint64 { return t.calls.Load() }

// Close takes the trap away, after everything that uses the region's pools: their ledgers are gone with it. The error says where the trap
// was given up on the way.
func (t *Trap) Close() error {
	if t == nil {
		return nil
	}
	err := errors.Join(t.monitor.dismiss(), t.table.unmap(), unix.Close(t.fd), t.region.ProtectAll(true))
	if failed := t.failed.Load(); failed != nil {
		err = errors.Join(*failed, err)
	}
	return err
}
