package race

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// WriterConfig is one run of a row, as its child is told.
type WriterConfig struct {
	Self      string         `json:"self"`
	Sender    string         `json:"sender"`
	Target    netip.AddrPort `json:"target"`
	Interface string         `json:"interface"`
	Rounds    int            `json:"rounds"`
	Round     int            `json:"round_bytes"`
	Buffers   int            `json:"buffers"`
	Late      time.Duration  `json:"late_ns"` // where the row has late completions
}

// WriterReport is what a child says of its run.
type WriterReport struct {
	Lacking     string         `json:"lacking,omitempty"` // why this kernel hasn't got the row; nothing was sent
	Local       netip.AddrPort `json:"local"`
	Bytes       int64          `json:"bytes"`
	CPU         float64        `json:"cpu_seconds"` // of this process, from the connection to its end
	Retransmits uint64         `json:"retransmits"`

	Notified *uint64 `json:"notified,omitempty"` // notifications of the kernel's zero-copy calls
	Copied   *uint64 `json:"copied,omitempty"`   // those of them that say that it has copied

	RewrittenInFlight *uint64 `json:"rewritten_in_flight,omitempty"` // xsend: descriptors
	LentWhileHeld     *uint64 `json:"lent_while_held,omitempty"`     // xsend: bytes

	Begin  time.Time `json:"begin"`
	Rounds []Moments `json:"rounds"`
}

// Moments are when things happened to the buffer of a round, in nanoseconds since the report's Begin.
type Moments struct {
	Handed    int64 `json:"h"` // the API was given it
	Back      int64 `json:"b"` // the API said that it is the writer's again
	Rewritten int64 `json:"w"` // every byte of it was overwritten
}

// book notes moments and time used while a run lasts.
type book struct {
	report *WriterReport
	cpu    float64
}

func newBook(r *WriterReport, rounds int) *book {
	r.Begin, r.Rounds = time.Now(), make([]Moments, rounds)
	return &book{r, processorTime()}
}

// now is the time since the run's begin.
func (b *book) now() int64 { return int64(time.Since(b.report.Begin)) }

// end notes what the run has used.
func (b *book) end() { b.report.CPU = processorTime() - b.cpu }

// RunWriter is a child's part: one run of a row.
func RunWriter(ctx context.Context, cfg WriterConfig) (r WriterReport, err error) {
	s, err := lookup(cfg.Sender)
	switch {
	case err != nil:
		return r, err
	case cfg.Rounds < 1 || cfg.Round < pageSize || cfg.Buffers < 1:
		return r, fmt.Errorf("%d rounds of %d bytes in %d buffers: nothing to send", cfg.Rounds, cfg.Round, cfg.Buffers)
	case s.release != "":
		err = runXsend(ctx, &cfg, s, &r)
	default:
		err = runKernel(&cfg, &r)
	}
	return r, err
}

// processorTime is what this process has used of processors, in seconds.
func processorTime() float64 {
	var ru unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &ru) // fails for a bad argument only
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()).Seconds()
}
