package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/xsend/xsend/internal/transfer"
	"github.com/xsend/xsend/internal/units"
	"golang.org/x/term"
)

// redraw is how often the progress bar moves.
const redraw = 100 * time.Millisecond

// show prints what "xsend send" does: progress and remarks to standard error, the result to standard output.
// On a terminal progress is a bar, elsewhere it is a line per connection and interval.
type show struct {
	std    stdio
	title  string
	asJSON bool
	events *events // nil without --json-stream
	lines  bool
	detail bool
	head   bool // the head of the table is printed; the sampler's

	mu   sync.Mutex
	draw bool                     // a bar
	bar  *progressbar.ProgressBar // nil before the first connection stands
	quit chan struct{}
	done sync.WaitGroup
}

// newShow decides between bar and lines: an interval or details that were asked for mean lines. unread is told when
// nobody reads the events any more.
func newShow(std stdio, f *sendFlags, asked bool, unread func(error)) *show {
	s := &show{std: std, asJSON: f.asJSON, detail: f.verbose, quit: make(chan struct{})}
	if f.cfg.Title != "" {
		s.title = f.cfg.Title + ":  "
	}
	switch {
	case f.asStream:
		s.events = &events{out: std.out, unread: unread, title: f.cfg.Title}
	case f.asJSON:
	case asked || f.verbose || !isTerminal(std.err):
		s.lines = true
	default:
		f.cfg.Interval = 0
		s.draw = true
	}
	return s
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newBar is a bar for so many bytes, or a spinner where nobody knows how many.
func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
}

// warn prints a remark on a line of its own.
func (s *show) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear() // it is drawn again at the next step
	}
	fmt.Fprintf(s.std.err, "%sxsend send: %s\n", s.title, text)
}

// begin starts the bar.
func (s *show) begin(m *transfer.Meter) {
	if !s.draw {
		return
	}
	s.mu.Lock()
	s.bar = newBar(s.std.err, m.Total())
	s.mu.Unlock()
	s.done.Go(func() {
		for {
			select {
			case <-s.quit:
				return
			case <-time.After(redraw):
				s.mu.Lock()
				s.step(m)
				s.mu.Unlock()
			}
		}
	})
}

// step moves the bar. The rate is ours: the library's includes time before the first byte.
func (s *show) step(m *transfer.Meter) {
	n := m.Released()
	rate := float64(n) * 8 / time.Since(m.Begin()).Seconds()
	s.bar.Describe(fmt.Sprintf("%10s  %12s", units.Bytes(n), units.BitRate(rate)))
	_ = s.bar.Set64(n) // fails past the end only
}

// end takes the bar away.
func (s *show) end() {
	close(s.quit)
	s.done.Wait()
	if s.bar != nil {
		_ = s.bar.Finish()
	}
}

func (s *show) stream(c transfer.Connected) {
	if !s.lines {
		return
	}
	local, remote := net.JoinHostPort(c.LocalHost, fmt.Sprint(c.LocalPort)), net.JoinHostPort(c.RemoteHost, fmt.Sprint(c.RemotePort))
	s.print(fmt.Sprintf("[%3d] %s connected to %s, MSS %d", c.ID, local, remote, c.MSS))
}

func (s *show) start(st transfer.Start) {
	if s.events != nil {
		s.events.start(st)
	}
}

func (s *show) sample(i transfer.Interval) {
	switch {
	case s.events != nil:
		s.events.interval(i)
	case s.lines:
		if !s.head {
			s.head = true
			s.print(rowHead)
		}
		s.print(rows(&i, s.detail)...)
	}
}

func (s *show) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		fmt.Fprintf(s.std.err, "%s%s\n", s.title, line)
	}
}

// report prints the result: an event or an object, or a few lines for people.
func (s *show) report(r *transfer.Report) error {
	if s.events != nil {
		return s.events.end(r)
	}
	if s.asJSON {
		return printJSON(s.std.out, r)
	}
	var b strings.Builder
	for i := range r.Streams {
		if st := &r.Streams[i]; st.Local != "" { // it did connect
			streamLine(&b, st, len(r.Streams) > 1, s.detail)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	sumLines(&b, r, s.detail)
	text := b.String()
	if s.title != "" {
		text = s.title + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+s.title) + "\n"
	}
	_, err := io.WriteString(s.std.out, text)
	return err
}

func streamLine(b *strings.Builder, st *transfer.StreamReport, hashes, detail bool) {
	fmt.Fprintf(b, "[%3d] %s  %d bytes in %.2f s, %s, %d segments, %d retransmits, rtt %.2f ms", st.ID, st.Remote,
		st.Bytes, st.Seconds, units.BitRate(st.BitsPerSecond), st.Segments, st.Retransmits, st.RTT/1000)
	if st.Error != "" {
		b.WriteString(", failed")
	}
	if hashes && st.SHA256 != "" {
		fmt.Fprintf(b, "  sha256 %s", st.SHA256)
	}
	b.WriteByte('\n')
	if detail {
		fmt.Fprintf(b, "      %s%s\n", moment(&st.Moment), losses(&st.Losses))
	}
}

func sumLines(b *strings.Builder, r *transfer.Report, detail bool) {
	fmt.Fprintf(b, "sent        %d bytes in %.2f s, %s, CPU %.0f %%\n", r.Bytes, r.Seconds, units.BitRate(r.BitsPerSecond), r.CPU.Total)
	fmt.Fprintf(b, "dataplane   %s on %s (%s), %s, attach %s, binding %s, release %s, MTU %d, MSS %d\n",
		r.Mode, r.Start.Interface, r.Start.Driver, checksumOf(r)+", sg "+r.SG, r.Attach, r.Binding, r.Release, r.MTU, r.MSS)
	settingsLines(b, r)
	fmt.Fprintf(b, "frames      %d, %d free, %d leaked, %d quarantined\n", r.Frames.Total, r.Frames.Free, r.Frames.Leaked, r.Frames.Quarantined)
	fmt.Fprintf(b, "descriptors %d submitted, %d completed, %d quarantined, %d spurious\n", r.Descs.Submitted, r.Descs.Completed, r.Descs.Quarantined, r.Descs.Spurious)
	fmt.Fprintf(b, "bytes       %d written, %d released, %d lent while held\n", r.BytesWritten, r.BytesReleased, r.LentWhileHeld)
	holdLine(b, r)
	offloadLines(b, r.Offload, detail)
	bookLines(b, r)
	if r.Witnessed {
		fmt.Fprintf(b, "witness     %d descriptors rewritten in flight\n", r.RewrittenInFlight)
	}
	evidenceLines(b, r)
	if r.SHA256 != "" {
		fmt.Fprintf(b, "sha256      %s\n", r.SHA256)
	}
	if r.Pcap != nil {
		fmt.Fprintf(b, "capture     %s, %d packets, %d lost\n", r.Pcap.File, r.Pcap.Packets, r.Pcap.Lost)
	}
}

// evidenceLines say what audit and trap saw.
func evidenceLines(b *strings.Builder, r *transfer.Report) {
	if a := r.Audit; a != nil {
		differences := "no difference"
		if a.Changed != nil {
			differences = "a difference: below"
		}
		fmt.Fprintf(b, "audit       %d commits, compared in %d transmissions and %d releases: %s\n", a.Commits, a.Transmissions, a.Releases, differences)
	}
	if t := r.Trap; t != nil {
		fmt.Fprintf(b, "trap        %d calls of mprotect\n", t.Calls)
		if t.Stray != nil {
			fmt.Fprintf(b, "            a stray write by:\n%s", t.Stray.Stack)
		}
	}
}

// checksumOf says who computed checksums, and where that is not said by it, where.
func checksumOf(r *transfer.Report) string {
	if r.ChecksumWhere == "" || r.Checksum == "sw" {
		return "checksum " + r.Checksum
	}
	return fmt.Sprintf("checksum %s (%s)", r.Checksum, r.ChecksumWhere)
}

// offloadLines tell what became of each setting: as asked for, as taken, as it was. Those that nobody asked for are told in detail only.
func offloadLines(b *strings.Builder, knobs []transfer.Knob, detail bool) {
	head := "offload"
	for i := range knobs {
		k := &knobs[i]
		if k.Requested == "default" && !detail {
			continue
		}
		what := k.Active
		if k.Accepted != k.Active {
			what = k.Accepted + " > " + what
		}
		if k.Requested != k.Accepted {
			what = k.Requested + " > " + what
		}
		if k.Where != "" {
			what += " by " + k.Where
		}
		if !k.Proved {
			what += ", unproved"
		}
		fmt.Fprintf(b, "%-11s %s: %s (%s)\n", head, k.Name, what, k.Evidence)
		head = ""
	}
}
