package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xsend/xsend/hw"
)

// cutting are the groups whose change takes the link down for a moment, may take it or the address away, or sends what arrives to other queues.
var cutting = []Group{Channels, Ring, Pause, MTU, RSS, Rule}

// plan turns a change into orders, in the order in which they depend on each other. What can't be is refused before anything is changed; what is as
// asked for already needs no order.
func (r *Run) plan() (orders []request, err error) {
	for _, g := range order {
		v := named(g, r.cfg.Change[g], r.snapshot)
		todo := Values{}
		for _, k := range v.keys() {
			w := wish{group: g, key: k, want: v[k]}
			if why := possible(r.link, g, k, w.want, r.snapshot); why != nil {
				if err := r.leaveOut(&w, why); err != nil {
					return nil, err
				}
			} else if now := r.snapshot.Values[g][k]; wantedOf(g, now) != w.want || active(now) != w.want {
				todo[k] = w.want
			}
			r.wishes = append(r.wishes, w)
		}
		if len(todo) > 0 {
			orders = append(orders, request{set: true, group: g, name: r.link.Name, index: r.link.Index, values: todo})
		}
	}
	return orders, nil
}

// wantedOf is the part of a value that can be set.
func wantedOf(g Group, value string) string {
	if g == Feature {
		return wanted(value)
	}
	return value
}

// named are what was asked for by the names that the interface has for it.
func named(g Group, asked Values, s Snapshot) Values {
	v := Values{}
	for k, want := range asked {
		if g == Channels && k == anyChannels {
			for _, k := range anyOf(s) {
				v[k] = want
			}
			continue
		}
		v[k] = want
	}
	return v
}

// anyOf are the channels that a plain number means.
func anyOf(s Snapshot) []string {
	if most, _ := strconv.Atoi(s.most[Channels]["combined"]); most > 0 {
		return []string{"combined"}
	}
	return []string{"rx", "tx"}
}

func possible(link hw.Interface, g Group, k, want string, s Snapshot) error {
	now, known := s.Values[g][k]
	subject := fmt.Sprintf("%s: set %s=%s", link.Name, Name(g, k), want)
	why, unreadable := s.Unreadable[g]
	switch {
	case unreadable:
		return fmt.Errorf("%s: %w: the driver %s doesn't tell it: %s; leave %s out", subject, ErrRefused, link.Driver, why, flags[g])
	case !known && g == Feature:
		return fmt.Errorf("%s: %w: %s has no such feature: %s", subject, ErrRefused, link.Name, closest(k, s.Values[g]))
	case !known:
		return fmt.Errorf("%s: %w: %s has no such setting: leave it out", subject, ErrRefused, link.Name)
	case g == Feature && isFixed(now) && active(now) != want:
		return fmt.Errorf("%s: %w: it is %s, the driver %s doesn't let it be changed now: leave it out", subject, ErrRefused, now, link.Driver)
	case g == Channels && s.most[g][k] == "0":
		return fmt.Errorf("%s: %w: %s has no %s channels: %s", subject, ErrRefused, link.Name, k, channelsOf(s))
	case above(want, s.most[g][k]):
		return fmt.Errorf("%s: %w: the driver %s takes at most %s: choose up to that", subject, ErrRefused, link.Driver, s.most[g][k])
	}
	return nil
}

// channelsOf is a hint at the channels that the interface has.
func channelsOf(s Snapshot) string {
	var kinds, flag []string
	for _, k := range keysOf[Channels] {
		if most, _ := strconv.Atoi(s.most[Channels][k]); most > 0 {
			kinds, flag = append(kinds, fmt.Sprintf("%s, at most %d", k, most)), append(flag, k+"=N")
		}
	}
	if len(kinds) == 0 {
		return "it has none that can be set: leave " + flags[Channels] + " out"
	}
	return fmt.Sprintf("it has %s: choose %s %s", strings.Join(kinds, " and "), flags[Channels], strings.Join(flag, ","))
}

// above compares numbers; where the kernel names no limit there is none.
func above(want, most string) bool {
	w, err := strconv.ParseUint(want, 10, 32)
	m, unknown := strconv.ParseUint(most, 10, 32)
	return err == nil && unknown == nil && w > m
}

// dangers answers what a change could cut off: why the machine is reached by the interface, or "" where it isn't; and how many IPv6
// addresses an MTU below 1280 would take.
type dangers struct {
	carries   func(index int) (string, error)
	addresses func(index int) (int, error)
}

// leastMTUv6 is the least MTU that IPv6 runs on, https://www.rfc-editor.org/rfc/rfc8200#section-5.
const leastMTUv6 = 1280

// check refuses orders that can cut something off.
func (d dangers) check(link hw.Interface, orders []request) error {
	for _, o := range orders {
		if !slices.Contains(cutting, o.group) {
			continue
		}
		why, err := d.carries(link.Index)
		if err != nil {
			return fmt.Errorf("%s: set %s: %w: whether the machine is reached by it can't be told: %w; --force does it nevertheless", link.Name, o.what(), ErrForce, err)
		}
		if why != "" {
			return fmt.Errorf("%s: set %s: %w: %s: choose another interface, or do it nevertheless with --force", link.Name, o.what(), ErrForce, why)
		}
		if err := d.checkMTU(link, o); err != nil {
			return err
		}
	}
	return nil
}

func (d dangers) checkMTU(link hw.Interface, o request) error {
	mtu, err := strconv.Atoi(o.values[""])
	if o.group != MTU || err != nil || mtu >= leastMTUv6 || link.MTU < leastMTUv6 {
		return nil
	}
	n, err := d.addresses(link.Index)
	switch {
	case err != nil:
		return fmt.Errorf("%s: set mtu %d: %w: its IPv6 addresses, which it would lose, can't be read: %w; --force does it nevertheless", link.Name, mtu, ErrForce, err)
	case n > 0:
		return fmt.Errorf("%s: set mtu %d: %w: below %d the kernel forgets its %d IPv6 addresses, and nobody restores them: choose a larger MTU, or do it nevertheless with --force",
			link.Name, mtu, ErrForce, leastMTUv6, n)
	}
	return nil
}
