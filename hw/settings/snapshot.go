package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// request is one question or order to the kernel about one group of an interface's settings.
type request struct {
	set    bool
	group  Group
	name   string // the interface's
	index  int
	values Values // to set; the others stay as they are
}

// what names what is to be set, without what no person can read.
func (r request) what() string {
	if r.group == RSS || r.group == Rule {
		return fmt.Sprintf("%s %s", r.group, strings.Join(r.values.keys(), ","))
	}
	return fmt.Sprintf("%s %s", r.group, r.values)
}

// reply is what the kernel said to a question.
type reply struct {
	values Values
	most   Values // the largest that it takes, where it says so
}

// kernel answers a request; a test stands in for it. Errors are the kernel's own; callers add subject and remedy.
type kernel func(request) (reply, error)

// Snapshot is how an interface is set.
type Snapshot struct {
	Values     map[Group]Values `json:"values"`
	Unreadable map[Group]string `json:"unreadable,omitempty"` // groups that the kernel didn't tell of, and why

	most map[Group]Values
}

// snapshot reads everything. Only an interface that is gone is an error.
func (k kernel) snapshot(name string, index int) (Snapshot, error) {
	s := Snapshot{Values: map[Group]Values{}, Unreadable: map[Group]string{}, most: map[Group]Values{}}
	for _, g := range all {
		r, err := k(request{group: g, name: name, index: index})
		switch {
		case errors.Is(err, unix.ENODEV):
			return Snapshot{}, fmt.Errorf("%s: read %s: %w", name, g, explain(err))
		case err != nil:
			s.Unreadable[g] = err.Error()
		default:
			s.Values[g], s.most[g] = r.values, r.most
		}
	}
	return s, nil
}

// Len is the number of settings in it.
func (s Snapshot) Len() (n int) {
	for _, v := range s.Values {
		n += len(v)
	}
	return n
}

// Difference is a setting that isn't as it was.
type Difference struct {
	Name string `json:"name"`
	Was  string `json:"was"`
	Is   string `json:"is"`

	group Group
	key   string
}

// String is "mtu was 1500, is 3000".
func (d Difference) String() string { return fmt.Sprintf("%s was %s, is %s", d.Name, d.Was, d.Is) }

const absent = "absent"

// Diff lists what isn't the same in now, in the order of the groups. What s can't say is no difference.
func (s Snapshot) Diff(now Snapshot) (found []Difference) {
	for _, g := range all {
		was, known := s.Values[g]
		if !known {
			continue
		}
		is := now.Values[g]
		for _, k := range union(was, is) {
			d := Difference{Name: Name(g, k), Was: was.or(k, absent), Is: is.or(k, absent), group: g, key: k}
			if why, cant := now.Unreadable[g]; cant {
				d.Is = "unreadable: " + why
			}
			if d.Was != d.Is {
				found = append(found, d)
			}
		}
	}
	return found
}

func union(a, b Values) []string {
	both := append(a.keys(), b.keys()...)
	slices.Sort(both)
	return slices.Compact(both)
}

// or is a value, or another one where it isn't there.
func (v Values) or(k, without string) string {
	if x, ok := v[k]; ok {
		return x
	}
	return without
}
