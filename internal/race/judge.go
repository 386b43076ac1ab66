package race

import "fmt"

// Verdict is what a race has shown. Its JSON names are stable.
type Verdict struct {
	Shown   bool     `json:"shown"`   // everything that it is about
	Reasons []string `json:"reasons"` // why not
}

// Judge looks whether the rows show what they are about: the references and xsend's right mode corrupt nothing, ever;
// sendfile() does; and where packets are lost, so do xsend's own wrong modes, without which a 0 of the right one would mean
// nothing.
func Judge(blocks []Block) Verdict {
	v := Verdict{Reasons: []string{}}
	rows := 0
	for i := range blocks {
		for j := range blocks[i].Rows {
			rows++
			if why := blocks[i].Rows[j].wrong(blocks[i].Loss); why != "" {
				v.Reasons = append(v.Reasons, fmt.Sprintf("%s, %s, %s: %s", blocks[i].title(), blocks[i].Rows[j].Call, blocks[i].Rows[j].When, why))
			}
		}
	}
	if rows == 0 {
		v.Reasons = append(v.Reasons, "there are no rows")
	}
	v.Shown = len(v.Reasons) == 0
	return v
}

// title names a block.
func (b *Block) title() string {
	if b.Loss == nil {
		return "the path's own loss"
	}
	return fmt.Sprintf("%g %% loss", *b.Loss)
}

// wrong says why a row does not show what it should, "" if it does.
func (r *Row) wrong(loss *float64) string {
	right := r.Role == RoleReference || r.Role == RoleOurs
	switch {
	case r.Outcome == Lacking && r.optional:
		return ""
	case r.Outcome != Done:
		return fmt.Sprintf("%s: %s", r.Outcome, r.Reason)
	case r.Bytes == 0:
		return "nothing was compared"
	case right && r.Corrupted > 0:
		return fmt.Sprintf("%d corrupted bytes, where there must be none", r.Corrupted)
	case r.Role == RoleOurs && at(r.RewrittenInFlight) > 0:
		return fmt.Sprintf("%d descriptors rewritten in flight, where there must be none", *r.RewrittenInFlight)
	case r.Name == Sendfile && r.Corrupted == 0:
		return "no corrupted byte: the race of sendfile() was not met, so that the other rows prove nothing"
	case (r.Name == Completion || r.Name == Submit) && loss != nil && *loss >= leastLoss && r.Corrupted == 0:
		return "no corrupted byte: the control has no power"
	case r.Name == Acked && r.Corrupted > 0:
		return fmt.Sprintf("%d corrupted bytes at the receiver, which had ACKed them", r.Corrupted)
	case r.Name == Acked && loss != nil && at(r.RewrittenInFlight) == 0:
		return "no descriptor was rewritten in flight, although completions were late: the control has no power"
	}
	return ""
}

// leastLoss is the loss, in percent, from which on the controls must corrupt something.
const leastLoss = 1

// at is a count that may be missing.
func at(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}
