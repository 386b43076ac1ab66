package matrix

import (
	"fmt"
	"strings"
)

// String says what was asked for, what was in force, and how that is known.
func (k Knob) String() string {
	var b strings.Builder
	b.WriteString(k.Name)
	switch {
	case k.Requested != "" && k.Active != "" && k.Requested != k.Active:
		fmt.Fprintf(&b, " %s: %s", k.Requested, k.Active)
	case k.Active != "":
		fmt.Fprintf(&b, " %s", k.Active)
	default:
		fmt.Fprintf(&b, " %s", k.Requested)
	}
	if k.Accepted != "" && k.Accepted != k.Requested && k.Accepted != k.Active {
		fmt.Fprintf(&b, " (accepted as %s)", k.Accepted)
	}
	if k.Evidence != "" {
		fmt.Fprintf(&b, ", %s", k.Evidence)
	}
	return b.String()
}

// unasked is what "xsend send" calls requested where nothing was.
const unasked = "default"

// Evidence is what is known of a knob, and in which rows.
type Evidence struct {
	Knob Knob
	Rows []int
}

// Evidence lists what is known of knobs, the same once, in order of rows. What nobody asked for is left out, and what a report says without evidence where
// it is as asked for: the row says it.
func (r *Result) Evidence() (list []Evidence) {
	at := map[Knob]int{}
	for i := range r.Rows {
		for _, k := range r.Rows[i].Knobs {
			if k.Requested == unasked || k.Evidence == "" && k.Active == k.Requested {
				continue
			}
			n, ok := at[k]
			if !ok {
				n = len(list)
				at[k] = n
				list = append(list, Evidence{Knob: k})
			}
			list[n].Rows = append(list[n].Rows, r.Rows[i].Number)
		}
	}
	return list
}

// Span prints row numbers: "1-3, 7".
func (e Evidence) Span() string {
	var b strings.Builder
	for i := 0; i < len(e.Rows); {
		j := i
		for j+1 < len(e.Rows) && e.Rows[j+1] == e.Rows[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", e.Rows[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", e.Rows[j])
		}
		i = j + 1
	}
	return b.String()
}
