package lifecycle

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the result as text: what was wrong, at most so many lines of it, and the sums.
func (r *Result) Print(w io.Writer, lines int) error {
	var b strings.Builder
	for i, v := range r.Violations {
		if i == lines {
			break
		}
		fmt.Fprintf(&b, "ILLEGAL     %v\n", v)
	}
	if n := min(lines, len(r.Violations)); uint64(n) < r.Illegal {
		fmt.Fprintf(&b, "            and %d more\n", r.Illegal-uint64(n))
	}
	for _, u := range r.Undecided {
		fmt.Fprintf(&b, "UNDECIDED   %s\n", u)
	}
	fmt.Fprintf(&b, "events      %d of %d queues and %d connections, %d lost\n", r.Events, r.Queues, r.Conns, r.Lost)
	fmt.Fprintf(&b, "frames      %d commits, %d releases\n", r.Commits, r.Releases)
	fmt.Fprintf(&b, "descriptors %d submitted = %d completed + %d quarantined + %d out; %d completions not believed, %d rebuilds\n",
		r.Submitted, r.Completed, r.Quarantined, r.Out, r.Spurious, r.Rebuilds)
	if r.ACKs+r.Compared > 0 {
		fmt.Fprintf(&b, "capture     has the ACKs of %d releases; %d retransmitted bytes compared\n", r.ACKs, r.Compared)
	}
	verdict := [...]string{"every release was legal", "not legal", "not decidable"}[r.ExitCode()]
	if r.Illegal > 0 {
		verdict = fmt.Sprintf("%d illegal transitions", r.Illegal)
	}
	fmt.Fprintf(&b, "verdict     %s\n", verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
