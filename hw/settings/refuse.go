package settings

import (
	"errors"
	"slices"
)

// wish is a setting that was asked for, by the interface's name for it.
type wish struct {
	group     Group
	key, want string
	refused   string // why it was left out
}

// leaveOut goes on without a setting that was refused, if that is allowed.
func (r *Run) leaveOut(w *wish, why error) error {
	if !r.cfg.Fallback {
		return why
	}
	w.refused = why.Error()
	r.cfg.Warn(w.refused + ": it is left out")
	return nil
}

// orderRefused is leaveOut for settings of an order, said once.
func (r *Run) orderRefused(o request, keys []string, why error) error {
	if !r.cfg.Fallback {
		return why
	}
	r.cfg.Warn(why.Error() + ": it is left out")
	for i := range r.wishes {
		if w := &r.wishes[i]; w.group == o.group && slices.Contains(keys, w.key) {
			w.refused = why.Error()
		}
	}
	return nil
}

// harmless refuses orders that could cut the machine off.
func (r *Run) harmless(orders []request) error {
	if r.cfg.Force {
		return nil
	}
	return r.cfg.dangers.check(r.link, orders)
}

// allowed are the orders that could not; the others are refused.
func (r *Run) allowed(orders []request) (list []request, err error) {
	for _, o := range orders {
		why := r.harmless([]request{o})
		if why == nil {
			list = append(list, o)
			continue
		}
		if !errors.Is(why, ErrForce) {
			return nil, why
		}
		if err := r.orderRefused(o, o.values.keys(), why); err != nil {
			return nil, err
		}
	}
	return list, nil
}
