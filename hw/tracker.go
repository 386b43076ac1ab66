package hw

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// tracker compares what the kernel says with what the connections use and reports the differences. It has no
// clock and no goroutine: Watch feeds it.
type tracker struct {
	kernel *kernel
	report func(Event)

	link        linkState
	paths       []*trackedPath
	routesDirty bool // something happened that may have changed a route
}

// linkState is the part of an interface that changes while connections live.
type linkState struct {
	index   int
	up      bool
	carrier bool
	mtu     int
	removed bool
}

// trackedPath is a path and what the last look at it found.
type trackedPath struct {
	Path
	unresolved bool // the kernel has no usable entry for the next hop: asked again at the next tick
	failed     bool // the next hop didn't answer, and that was reported
	routeLost  bool
}

// pathKey identifies a path: two connections to one destination may have different sources and so routes.
type pathKey struct{ destination, source netip.Addr }

func (p Path) key() pathKey { return pathKey{p.Route.Destination, p.Route.Source} }

func newTracker(k *kernel, link Interface, report func(Event)) *tracker {
	return &tracker{
		kernel: k, report: report,
		link: linkState{index: link.Index, up: link.Up, carrier: link.Carrier, mtu: link.MTU},
	}
}

// add starts to follow p, or takes p as the newest knowledge of a path that is followed, and looks at once.
func (t *tracker) add(p Path) {
	tracked := t.follow(p)
	t.checkRoute(tracked)
	t.checkNeighbour(tracked)
}

func (t *tracker) follow(p Path) *trackedPath {
	t.remove(p.key())
	tracked := &trackedPath{Path: p}
	t.paths = append(t.paths, tracked)
	return tracked
}

func (t *tracker) remove(key pathKey) {
	t.paths = slices.DeleteFunc(t.paths, func(p *trackedPath) bool { return p.key() == key })
}

// notice takes one notification.
func (t *tracker) notice(m syscall.NetlinkMessage) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if link, err := parseLink(m.Data); err == nil {
			t.noticeLink(link, m.Header.Type == unix.RTM_DELLINK)
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if entry, err := parseNeighbour(m.Data); err == nil {
			t.noticeNeighbour(entry, m.Header.Type == unix.RTM_DELNEIGH)
		}
	default: // routes, rules, next hops and addresses: the groups joined bring nothing else
		t.routesDirty = true
	}
}

func (t *tracker) noticeLink(m linkMessage, removed bool) {
	// Linux announces no IPv4 route that goes away with its interface, so any link event may mean one.
	t.routesDirty = true
	if m.index != t.link.index || m.family != unix.AF_UNSPEC || t.link.removed {
		return // a bridge reports its ports in a family of its own
	}
	cameUp := !t.link.carrier && m.carrier() && !removed
	t.setLink(linkState{
		index: m.index, mtu: m.mtu, removed: removed,
		up: m.up() && !removed, carrier: m.carrier() && !removed,
	})
	if cameUp {
		t.checkNeighbours()
	}
}

// setLink reports each difference once; what stops sending comes before what allows it.
func (t *tracker) setLink(now linkState) {
	before := t.link
	t.link = now
	if before.carrier && !now.carrier {
		t.reportLink(CarrierDown)
	}
	switch {
	case now.removed:
		t.reportLink(LinkRemoved)
		return
	case before.up != now.up:
		t.reportLink(choose(now.up, LinkUp, LinkDown))
	}
	if now.mtu > 0 && before.mtu != now.mtu {
		t.report(Event{Kind: MTUChanged, Interface: now.index, MTU: now.mtu})
	}
	if !before.carrier && now.carrier {
		t.reportLink(CarrierUp)
	}
}

func (t *tracker) reportLink(kind EventKind) {
	t.report(Event{Kind: kind, Interface: t.link.index})
}

func (t *tracker) noticeNeighbour(m neighbourMessage, removed bool) {
	if m.index != t.link.index {
		return
	}
	if removed {
		m.state = unix.NUD_NONE
	}
	for _, p := range t.paths {
		if p.Route.NextHop == m.addr && p.Route.Interface == m.index {
			firstFailure := t.setNeighbour(p, m)
			t.ask(p, m, firstFailure)
		}
	}
}

// setNeighbour takes what a neighbour entry says. Entries without a usable address change nothing: the last
// good one stays in use. It reports whether the entry failed, for the first time since it was good.
func (t *tracker) setNeighbour(p *trackedPath, m neighbourMessage) (firstFailure bool) {
	mac := m.usable()
	p.unresolved = mac == (MAC{})
	switch {
	case p.unresolved && m.state&unix.NUD_FAILED != 0 && !p.failed:
		p.failed = true
		t.reportPath(NeighbourFailed, p, nil)
		return true
	case p.unresolved:
	case mac != p.MAC:
		p.failed, p.MAC = false, mac
		t.reportPath(NeighbourChanged, p, nil)
	case p.failed:
		p.failed = false
		t.reportPath(NeighbourBack, p, nil)
	}
	return false
}

// ask has the kernel confirm an entry as soon as it goes stale, and resolve one again as soon as it fails. If
// it goes on failing, or is missing, the next tick asks: a full table can't make this a loop.
func (t *tracker) ask(p *trackedPath, m neighbourMessage, firstFailure bool) {
	if (firstFailure || m.state&unix.NUD_STALE != 0) && t.link.carrier {
		_ = t.kernel.use(m.index, p.Route.NextHop) // refused: the next refresh asks again
	}
}

// checkNeighbours is the refresh: it reads each next hop's entry and tells the kernel that it is in use.
func (t *tracker) checkNeighbours() {
	for _, p := range t.paths {
		t.checkNeighbour(p)
	}
}

// checkUnresolved is the refresh of those next hops that the kernel can't reach now.
func (t *tracker) checkUnresolved() {
	for _, p := range t.paths {
		if p.unresolved {
			t.checkNeighbour(p)
		}
	}
}

func (t *tracker) checkNeighbour(p *trackedPath) {
	if p.Route.Interface != t.link.index || !t.link.carrier {
		return
	}
	m, err := t.kernel.neighbour(p.Route.Interface, p.Route.NextHop)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return // not an answer; the next refresh asks again
	}
	t.setNeighbour(p, m)
	if m.state&nudFixed == 0 { // NTF_USE would take NUD_PERMANENT away
		_ = t.kernel.use(p.Route.Interface, p.Route.NextHop)
	}
}

// checkRoutes asks for every route again.
func (t *tracker) checkRoutes() {
	t.routesDirty = false
	for _, p := range t.paths {
		t.checkRoute(p)
	}
}

func (t *tracker) checkRoute(p *trackedPath) {
	now, err := t.kernel.again(p.Route)
	switch {
	case err != nil && !p.routeLost:
		p.routeLost = true
		t.reportPath(RouteLost, p, fmt.Errorf("route to %v: %w", p.Route.Destination, err))
	case err != nil:
	case now != p.Route || p.routeLost:
		hopChanged := now.NextHop != p.Route.NextHop || now.Interface != p.Route.Interface
		p.Route, p.routeLost = now, false
		if hopChanged {
			t.learn(p)
		}
		t.reportPath(RouteChanged, p, nil)
	}
}

// again repeats the question that r answered, from the same source: a connection can't change it.
func (k *kernel) again(r Route) (Route, error) {
	q := routeQuestion{dst: r.Destination, source: r.Source}
	if r.Pinned {
		m, err := k.link(r.Interface)
		if err != nil {
			return Route{}, err
		}
		q.out, q.outName = m.index, m.name
	}
	return k.resolve(q)
}

// learn takes a new next hop's MAC address if the kernel has it, and has it resolved otherwise.
func (t *tracker) learn(p *trackedPath) {
	if p.Route.Interface != t.link.index || !t.link.carrier {
		return
	}
	m, _ := t.kernel.neighbour(p.Route.Interface, p.Route.NextHop)
	mac := m.usable()
	p.failed, p.unresolved = false, mac == (MAC{})
	if !p.unresolved {
		p.MAC = mac
	}
	if m.wantsUse() {
		_ = t.kernel.use(p.Route.Interface, p.Route.NextHop)
	}
}

// resync asks for everything again: at the start, and when notifications were lost.
func (t *tracker) resync() {
	m, err := t.kernel.linkByIndex(t.link.index)
	switch {
	case err == nil:
		t.noticeLink(m, false)
	case noSuchLink(err):
		t.noticeLink(linkMessage{index: t.link.index}, true)
	}
	t.checkRoutes()
	t.checkNeighbours()
}

func (t *tracker) reportPath(kind EventKind, p *trackedPath, err error) {
	t.report(Event{Kind: kind, Interface: t.link.index, Path: p.Path, Err: err})
}

func choose[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}
