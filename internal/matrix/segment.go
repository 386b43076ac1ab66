package matrix

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/internal/ethtool"
)

// segment sets TSO and GSO of an interface, and returns what puts them back. The error is a refusal; everything is as it
// was then, or the error is errNotRestored.
func segment(link string, on bool) (restore func() error, err error) {
	var undo []func() error
	restore = func() (err error) {
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		undo = nil
		if err != nil {
			return fmt.Errorf("%w: %w", errNotRestored, err)
		}
		return nil
	}
	for _, o := range []ethtool.Offload{ethtool.TSO, ethtool.GSO} {
		was, err := o.Read(link)
		if err != nil {
			return nil, errors.Join(err, restore())
		}
		if was == on {
			continue
		}
		// Also where it is refused: something may have been changed nevertheless.
		undo = append(undo, func() error { return o.Set(link, was) })
		if err := o.Set(link, on); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// uneven tells whether one of TSO and GSO is on and the other off, so that neither row is there without a change. What can't be
// read can't be set either, which the rows say.
func uneven(link string) bool {
	tso, err := ethtool.TSO.Read(link)
	if err != nil {
		return false
	}
	gso, err := ethtool.GSO.Read(link)
	return err == nil && tso != gso
}

// settable finds out whether TSO and GSO can be both on, or both off.
func (m *matrix) settable() (bool, error) {
	for _, on := range []bool{true, false} {
		restore, err := m.segment(m.link.Name, on)
		if errors.Is(err, errNotRestored) {
			return false, err
		}
		if err == nil {
			return true, restore()
		}
	}
	return false, nil
}

// errNotRestored ends a matrix: what would be measured then is something else.
var errNotRestored = errors.New("a setting could not be put back")
