package tcp

// Seq is a sequence number. It wraps at 2^32, so that only Before and Sub compare
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.4).
type Seq uint32

// Before reports s < t.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }

// AtMost reports s <= t.
func (s Seq) AtMost(t Seq) bool { return int32(s-t) <= 0 }

// Sub is the number of bytes from t to s; negative where s is before t.
func (s Seq) Sub(t Seq) int { return int(int32(s - t)) }

// Add is s moved on by n bytes.
func (s Seq) Add(n int) Seq { return s + Seq(uint32(n)) }

func maxSeq(a, b Seq) Seq {
	if a.Before(b) {
		return b
	}
	return a
}
