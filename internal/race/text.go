package race

import (
	"fmt"
	"io"

	"github.com/xsend/xsend/internal/units"
)

// WriteText writes the table for people.
func (r *Result) WriteText(w io.Writer) {
	fmt.Fprintf(w, "the race %s; each row sends %s in rounds of %s from %d buffers, in %d runs; xsend %s, Linux %s\n",
		r.where(), units.Bytes(r.Bytes), units.Bytes(r.Round), r.Buffers, r.Turns, r.Version, r.Kernel)
	for i := range r.Blocks {
		b := &r.Blocks[i]
		fmt.Fprintf(w, "\n%s\n", b.heading())
		fmt.Fprintf(w, "%-27s %-31s %10s %7s %12s %12s %8s %26s %9s %9s\n", "sender", "the writer rewrites", "corrupted", "%", "rounds hit", "goodput",
			"CPU s/GB", "hold ms p50 / p99 / max", "copied", "rewritten")
		for j := range b.Rows {
			b.Rows[j].writeText(w)
		}
	}
	fmt.Fprint(w, "\ncorrupted: bytes that are not what was promised, by the receiver; hold: from the call until \"yours again\"; copied: the kernel says that it copied;\n"+
		"rewritten: xsend's descriptors whose bytes changed before they were completed\n")
	if r.Verdict.Shown {
		fmt.Fprintf(w, "shown: what was right corrupted nothing, what was wrong did (%.0f s)\n", r.Seconds)
		return
	}
	fmt.Fprintln(w, "NOT SHOWN:")
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(w, "  %s\n", reason)
	}
}

// heading is the block's title, with the packets that were dropped.
func (b *Block) heading() string {
	if b.Loss == nil {
		return b.title()
	}
	return fmt.Sprintf("%s: %d packets dropped", b.title(), b.Dropped)
}

// where says over what path it went.
func (r *Result) where() string {
	if r.Target != "" {
		return fmt.Sprintf("from %s to %s", r.Interface, r.Target)
	}
	if r.RTTMS > 0 {
		return fmt.Sprintf("between two namespaces of this machine over a wire with an RTT of %g ms, MTU %d", r.RTTMS, r.MTU)
	}
	return fmt.Sprintf("between two namespaces of this machine over a veth pair, MTU %d", r.MTU)
}

func (r *Row) writeText(w io.Writer) {
	fmt.Fprintf(w, "%-27s %-31s ", r.Call, r.When)
	if r.Outcome != Done {
		fmt.Fprintf(w, "%s: %s\n", r.Outcome, r.Reason)
		return
	}
	fmt.Fprintf(w, "%10d %7s %12s %12s %8.2f %26s %9s %9s\n", r.Corrupted, r.percent(), fmt.Sprintf("%d/%d", r.RoundsHit, r.Rounds),
		units.BitRate(r.BitsPerSecond), r.CPU, fmt.Sprintf("%s / %s / %s", milli(r.Hold.P50), milli(r.Hold.P99), milli(r.Hold.Max)), r.copied(), count(r.RewrittenInFlight))
	if r.Remark != "" {
		fmt.Fprintf(w, "%-27s   (%s)\n", "", r.Remark)
	}
}

// percent is the part of the bytes that were corrupted.
func (r *Row) percent() string {
	switch share := 100 * float64(r.Corrupted) / float64(max(1, r.Bytes)); {
	case r.Corrupted == 0:
		return "0"
	case share < 0.01:
		return "<0.01"
	case share < 10:
		return fmt.Sprintf("%.2f", share)
	default:
		return fmt.Sprintf("%.1f", share)
	}
}

// copied is how many of the notifications said that the kernel had copied.
func (r *Row) copied() string {
	if r.Copied == nil || r.Notified == nil {
		return "-"
	}
	switch *r.Copied {
	case 0:
		return "no"
	case *r.Notified:
		return "yes"
	}
	return fmt.Sprintf("%d/%d", *r.Copied, *r.Notified)
}

// milli prints microseconds as milliseconds, with three digits.
func milli(us float64) string {
	switch ms := us / 1e3; {
	case ms < 1:
		return fmt.Sprintf("%.3f", ms)
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	default:
		return fmt.Sprintf("%.1f", ms)
	}
}

func count(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
