package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xsend/xsend/hw"
)

// Restored is what became of putting everything back.
type Restored struct {
	Exact       bool         `json:"exact"`
	Settings    int          `json:"settings"`       // that were compared
	Gone        bool         `json:"gone,omitempty"` // so is the interface: there was nothing to put back
	Differences []Difference `json:"differences"`
}

// String is "exact (41 settings)", or the list of what could not be put back.
func (r Restored) String() string {
	switch {
	case r.Gone:
		return "the interface is gone, and its settings with it"
	case r.Exact:
		return fmt.Sprintf("exact (%d settings)", r.Settings)
	}
	var list []string
	for _, d := range r.Differences {
		list = append(list, d.String())
	}
	return fmt.Sprintf("%d of %d settings are not as they were: %s", len(r.Differences), r.Settings, strings.Join(list, "; "))
}

// Putting back is tried again for that long: a driver may need a moment after a reset, and the kernel one to let go of a program or of sockets
// that a killed process had.
const (
	restorePatience = 2 * time.Second
	restorePause    = 20 * time.Millisecond
	leastPasses     = 3 // the channels' way back may take along coalescing that was back already
)

// restorer puts an interface back to a snapshot.
type restorer struct {
	do       kernel
	step     func(string)
	patience time.Duration
}

// restore changes what differs until nothing does, or patience ends. The error is that of the last order that failed.
func (r restorer) restore(link hw.Interface, s Snapshot) (Restored, error) {
	end := time.Now().Add(r.patience)
	for pass := 1; ; pass++ {
		refused, diff, err := r.pass(link, s)
		if err != nil {
			return Restored{}, err
		}
		r.step("compared")
		if len(diff) == 0 {
			return Restored{Exact: true, Settings: s.Len(), Differences: []Difference{}}, nil
		}
		if pass < leastPasses {
			continue
		}
		if !time.Now().Before(end) {
			return Restored{Settings: s.Len(), Differences: diff}, refused
		}
		time.Sleep(restorePause)
	}
}

// pass sets what differs, group by group, and reads everything back. A refusal doesn't keep it from trying the rest.
func (r restorer) pass(link hw.Interface, s Snapshot) (refused error, diff []Difference, err error) {
	for _, g := range restoreOrder() {
		now, err := r.do(request{group: g, name: link.Name, index: link.Index})
		if err != nil {
			continue // the comparison tells
		}
		todo := inverse(g, s.Values[g], now.values)
		if len(todo) == 0 {
			continue
		}
		r.step("before " + string(g))
		order := request{set: true, group: g, name: link.Name, index: link.Index, values: todo}
		if _, err := r.do(order); err != nil {
			refused = errors.Join(refused, setError(order, err, nil))
		}
		r.step("after " + string(g))
	}
	now, err := r.do.snapshot(link.Name, link.Index)
	if err != nil {
		return nil, nil, err
	}
	return refused, s.Diff(now), nil
}

func restoreOrder() []Group {
	list := slices.Clone(order)
	slices.Reverse(list)
	return append(list, consequences...)
}

// inverse are the values that lead from is to was, of those that can be set.
func inverse(g Group, was, is Values) Values {
	todo := Values{}
	for k, want := range was {
		now, there := is[k]
		switch {
		case g == Feature && (isFixed(want) || isFixed(now)):
		case !there && g != Rule, wantedOf(g, want) == wantedOf(g, now):
		default:
			todo[k] = wantedOf(g, want)
		}
	}
	if g == Rule && was != nil {
		for k := range is {
			if _, had := was[k]; !had {
				todo[k] = absent
			}
		}
	}
	return todo
}
