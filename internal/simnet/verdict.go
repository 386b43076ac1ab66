package simnet

import (
	"errors"
	"fmt"
)

// Findings is what happened that must not happen in the right release mode.
func (r *Run) Findings() Findings { return r.wrong }

// RewrittenInFlight is the number of descriptors whose bytes changed between
// submission and the NIC's read.
func (r *Run) RewrittenInFlight() (n uint64) {
	for _, k := range r.Kernels {
		n += k.Stats().RewrittenInFlight
	}
	return n
}

// WrongBytes is the number of bytes that the peer's application got wrong.
func (r *Run) WrongBytes() (n int64) {
	for _, c := range r.Peer.Conns() {
		n += c.Wrong()
	}
	return n
}

// Complete is nil if every stream arrived whole, down to its end, and nothing was
// wrong on the way: what the right release mode promises.
func (r *Run) Complete() error {
	var errs []error
	for _, s := range r.Streams {
		errs = append(errs, r.arrived(s))
	}
	return errors.Join(append(errs, r.Clean())...)
}

func (r *Run) arrived(s *Stream) error {
	c := r.peerOf(s)
	switch {
	case c == nil:
		return fmt.Errorf("port %d: no connection: %v", s.Flow().LocalPort, s.Err())
	case s.Err() != nil && !s.lingered:
		return fmt.Errorf("port %d: %w", c.Port(), s.Err())
	case s.Written != uint64(r.Bytes) || s.Released+s.Demoted != s.Written || uint64(c.Received()) != s.Written || s.Acked() != s.Written || !c.GotFIN():
		return fmt.Errorf("port %d: %d bytes written, %d released, %d demoted, %d ACKed, %d received, FIN %v", c.Port(), s.Written, s.Released, s.Demoted, s.Acked(), c.Received(), c.GotFIN())
	}
	return nil
}

// Clean is nil if nothing happened that must not, whether the streams arrived or
// not: no wrong byte anywhere, no frame handed back early, none lost, all sums right.
func (r *Run) Clean() error {
	var errs []error
	refuse := func(n uint64, what string) {
		if n != 0 {
			errs = append(errs, fmt.Errorf("%d %s", n, what))
		}
	}
	f := r.wrong
	refuse(uint64(r.WrongBytes()), "bytes wrong at the receiver")
	refuse(f.WireWrong, "bytes wrong on the wire")
	refuse(f.WrongMarks, "segments that say of marks what they must not")
	refuse(f.ReleaseWrong, "bytes wrong when their frame was handed back")
	refuse(f.BeforeACK, "frames handed back before the peer had their bytes")
	refuse(f.BeforeKernel, "frames handed back while the kernel held them")
	refuse(f.LentWhileHeld, "frames lent while held")
	for _, k := range r.Kernels {
		st := k.Stats()
		refuse(st.Invalid, "descriptors that no kernel takes")
		refuse(st.Refused, "packets that no NIC takes")
		refuse(st.RewrittenInFlight, "descriptors rewritten between submission and the NIC's read")
		refuse(st.RewrittenHeld, "descriptors rewritten between submission and completion")
	}
	return errors.Join(append(errs, r.Books())...)
}

// Books is nil if everything that was counted adds up at the end, in any mode.
func (r *Run) Books() error {
	census, err := r.Poller.Audit()
	if err != nil {
		return err
	}
	back := census.Free + census.Fill + census.RX + census.Writer
	if r.Kernel().closed { // for good: what it held stays out of use
		back += census.Quarantined
	}
	if back != census.Total {
		return fmt.Errorf("%d of %d frames are back: %+v", back, census.Total, census)
	}
	books, err := r.Poller.BooksNow()
	if err = errors.Join(err, books.Ledger.Settled()); err != nil {
		return err
	}
	var k KernelStats
	for _, other := range r.Kernels {
		st := other.Stats()
		k.Submitted += st.Submitted
		k.Completed += st.Completed
		k.Abandoned += st.Abandoned
		k.Twice += st.Twice
		k.Invented += st.Invented
		k.InventedRX += st.InventedRX
	}
	c := r.Poller.CountersNow()
	switch {
	case c.Submitted != c.Completed+c.Quarantined || c.Out != 0:
		return fmt.Errorf("descriptors: %d submitted, %d completed, %d quarantined, %d out", c.Submitted, c.Completed, c.Quarantined, c.Out)
	case c.Submitted != k.Submitted || c.Completed > k.Completed:
		return fmt.Errorf("descriptors: the poller says %d submitted and %d completed, the kernel %d and %d", c.Submitted, c.Completed, k.Submitted, k.Completed)
	case len(r.Kernels) == 1 && c.Spurious+c.Duplicate+c.OutOfRange != k.Twice+k.Invented:
		return fmt.Errorf("completions: %d spurious, %d again and %d out of range, the kernel told %d twice and invented %d", c.Spurious, c.Duplicate, c.OutOfRange, k.Twice, k.Invented)
	}
	return r.bytes()
}

// bytes is nil if each byte written has one release.
func (r *Run) bytes() error {
	c := r.Poller.CountersNow()
	var written, released, demoted, aborted uint64
	for _, s := range r.Streams {
		written += s.Written
		released += s.Released
		demoted += s.Demoted
		aborted += s.Aborted
		if s.Commits != s.Answers {
			return fmt.Errorf("port %d: %d commits, %d releases", s.Flow().LocalPort, s.Commits, s.Answers)
		}
	}
	if written != released+demoted+aborted || c.BytesWritten != written || c.BytesReleased != released || c.BytesDemoted != demoted || c.BytesAborted != aborted {
		return fmt.Errorf("bytes: %d written, %d released, %d demoted, %d aborted; the poller says %d, %d, %d, %d",
			written, released, demoted, aborted, c.BytesWritten, c.BytesReleased, c.BytesDemoted, c.BytesAborted)
	}
	if c.ArenaCopied != c.ArenaAcked+c.ArenaAborted || c.ArenaUsed != 0 {
		return fmt.Errorf("arena: %d bytes copied, %d ACKed, %d given up, and %d still used", c.ArenaCopied, c.ArenaAcked, c.ArenaAborted, c.ArenaUsed)
	}
	return nil
}
