package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/xsend/xsend/internal/transfer"
	"github.com/xsend/xsend/internal/units"
)

// bookFlags say who is told of the books.
func (f *sendFlags) bookFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.cfg.Books, "ledger", "v", false, "print the ledger of descriptors, bytes and frames at the end, who held the memory, and for how long")
	flags.StringVar(&f.cfg.Metrics, "metrics", "", "show the same to Prometheus while the run lasts, at `ADDR`:port; :PORT is 127.0.0.1:PORT, any other address has to be said")
}

// bookLines print the ledger and where the memory was, a line of the ledger each.
func bookLines(b *strings.Builder, r *transfer.Report) {
	if r.Memory == nil {
		return
	}
	l := &r.Ledger
	fmt.Fprintf(b, "ledger      %d descriptors submitted = %d completed + %d quarantined + %d in flight\n", l.Submitted, l.Completed, l.Quarantined, l.InFlight)
	fmt.Fprintf(b, "            %d bytes written = %d released + %d demoted + %d aborted + %d held\n", l.Written, l.Released, l.Demoted, l.Aborted, l.Held)
	fmt.Fprintf(b, "            %d commits = %d releases + %d open\n", l.Commits, l.Releases, l.Open)
	fmt.Fprintf(b, "            %d frames = %d with a holder\n", l.Frames, l.Placed)
	faults := "none"
	for _, line := range l.Faults {
		if line.N > 0 {
			faults = strings.TrimPrefix(faults+fmt.Sprintf("; %s: %d %s", line.Name, line.N, line.Means), "none; ")
		}
	}
	fmt.Fprintf(b, "faults      %s\n", faults)
	memoryLines(b, r.Memory)
}

func memoryLines(b *strings.Builder, m *transfer.Memory) {
	fmt.Fprintf(b, "memory      %d frames of %d bytes, %d looks\n", m.Frames, m.Chunk, m.Samples)
	fmt.Fprintf(b, "            %-11s %8s %10s %8s\n", "held by", "now", "", "at most")
	for _, h := range m.Holders {
		fmt.Fprintf(b, "            %-11s %8d %10s %8d %10s\n", h.Holder, h.Frames, units.Bytes(h.Bytes), h.PeakFrames, units.Bytes(h.PeakBytes))
	}
	fmt.Fprintf(b, "times       %-11s %8s %10s %10s %10s\n", "of frames", "n", "p50", "p99", "max")
	for _, s := range m.Stages {
		fmt.Fprintf(b, "            %-11s %8d %10v %10v %10v\n", s.Stage, s.N, micros(s.P50), micros(s.P99), micros(s.Max))
	}
}

// micros is a time of so many microseconds, to three digits or so.
func micros(us float64) time.Duration {
	d := time.Duration(us * float64(time.Microsecond))
	for unit := time.Nanosecond; ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}
