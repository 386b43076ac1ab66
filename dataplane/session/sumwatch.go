package session

import (
	"fmt"

	"github.com/xsend/xsend/hw/sumprobe"
	"github.com/xsend/xsend/tcp"
)

// sumProbe counts the kernel's own checksums (sumprobe.Probe); a test stands in for it.
type sumProbe interface {
	Control() (sumprobe.Control, error)
	Calls(sumprobe.Flow) (sumprobe.Calls, error)
	Attributes() bool
	Close() error
}

func openSumProbe() (sumProbe, error) {
	p, err := sumprobe.Open()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// sumWatch looks, while a canary is under way, whether the kernel computes the checksums of its
// connection's packets. In copy mode nothing else tells: the kernel does it wherever the driver leaves a packet to it,
// whatever the features say.
type sumWatch struct {
	probe         sumProbe
	attributes    bool
	before, after sumprobe.Control // around the canary
	calls         sumprobe.Calls
	watched       bool
	err           error // why not
}

// watchSums begins, for a queue in copy mode whose connections ask for checksums.
func (s *Session) watchSums() *sumWatch {
	w := &sumWatch{}
	if w.probe, w.err = s.cfg.sumProbe(); w.err == nil {
		w.attributes = w.probe.Attributes()
		w.before, w.err = w.probe.Control()
	}
	return w
}

// watchesSums reports whether the kernel may be the one that computes: not where it is known.
func (s *Session) watchesSums() bool {
	return s.sums.accepted == ChecksumHardware && s.info.Mode != "zerocopy"
}

// read takes what was counted while the canary was under way.
func (w *sumWatch) read(f sumprobe.Flow) {
	if w == nil || w.probe == nil || w.err != nil {
		return
	}
	if w.calls, w.err = w.probe.Calls(f); w.err == nil {
		w.after, w.err = w.probe.Control()
	}
	w.watched = w.err == nil
}

// close removes the probe; what it found stays.
func (w *sumWatch) close(warn func(string)) {
	if w.probe == nil {
		return
	}
	if err := w.probe.Close(); err != nil {
		warn(err.Error())
	}
	w.probe = nil
}

// power reports that calls would have been counted, from before the canary until after it.
func (w *sumWatch) power() bool { return w.watched && w.before.Hits() && w.after.Hits() }

// place is where the checksums of a canary with that verdict were computed, whereEither where the watch does not
// tell, and how that is known.
func (w *sumWatch) place(v tcp.Verdict) (where, how string) {
	switch {
	case w == nil:
		return whereEither, "not watched"
	case w.err != nil:
		return whereEither, fmt.Sprintf("nobody tells which of them it is: %v", w.err)
	case !w.watched:
		return whereEither, "nobody tells which of them it is: the canary did not end"
	}
	counted := fmt.Sprintf("kprobe on %s: %d calls for the canary's connection", sumprobe.Symbol, w.calls.Flow)
	if !w.attributes {
		counted = fmt.Sprintf("kprobe on %s, whose calls cannot be told apart on this kernel (no BTF): %d by anybody during the canary", sumprobe.Symbol, w.calls.Unknown)
	}
	counted += fmt.Sprintf(", control %d of %d before and %d of %d after", w.before.Counted, w.before.Sent, w.after.Counted, w.after.Sent)
	switch {
	case w.calls.Flow > 0:
		return whereKernel, counted
	case !w.power():
		return whereEither, counted + ": it proves nothing without a control that hits"
	case w.calls.Unknown > 0:
		return whereEither, fmt.Sprintf("%s: %d calls of which nobody knows whose they are", counted, w.calls.Unknown)
	case v != tcp.CanaryProved:
		return whereEither, counted + ": not by the kernel, and nobody knows whether at all"
	}
	return whereNIC, counted
}

// flowOf is a connection as the probe knows it.
func flowOf(c *Conn) sumprobe.Flow {
	return sumprobe.Flow{Local: c.local.Port(), Remote: c.remote}
}
