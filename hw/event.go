package hw

import (
	"fmt"
	"net"
)

// EventKind says what a [Watch] saw change.
type EventKind uint8

const (
	// NeighbourChanged: the next hop has another MAC address, or has one at last; Path.MAC is the new one.
	NeighbourChanged EventKind = iota + 1
	// NeighbourFailed: the next hop no longer answers, or its entry was deleted. Path.MAC stays the last good one, and is to be used:
	// the kernel is made to ask again each second, and NeighbourChanged or NeighbourBack follows.
	NeighbourFailed
	// NeighbourBack: the next hop answers again, with the MAC address that it had.
	NeighbourBack
	// RouteChanged: the route to the destination leaves by another interface, has another next hop or another
	// MTU, or is back after RouteLost; Path.Route is the new one. Path.MAC is the new next hop's if the
	// kernel knows it already; otherwise it stays the old one's until NeighbourChanged.
	RouteChanged
	// RouteLost: there is no route any more, or the source address is gone; Err says why, Path is the last good one.
	RouteLost
	// LinkDown: the administrator took the interface down. CarrierDown comes with it.
	LinkDown
	// LinkUp: the administrator brought it up. Sending is possible from CarrierUp on.
	LinkUp
	// LinkRemoved: the interface is gone from the namespace and doesn't come back under its index.
	LinkRemoved
	// CarrierDown: frames no longer leave.
	CarrierDown
	// CarrierUp: they do again.
	CarrierUp
	// MTUChanged: MTU is the interface's new one, in bytes of IP packet.
	MTUChanged
)

var eventNames = [...]string{
	NeighbourChanged: "neighbour changed", NeighbourFailed: "neighbour failed", NeighbourBack: "neighbour back",
	RouteChanged: "route changed", RouteLost: "route lost",
	LinkDown: "link down", LinkUp: "link up", LinkRemoved: "link removed",
	CarrierDown: "carrier down", CarrierUp: "carrier up", MTUChanged: "MTU changed",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if k == 0 || int(k) >= len(eventNames) {
		return fmt.Sprintf("event %d", uint8(k))
	}
	return eventNames[k]
}

// Event is one change. Path is set for neighbour and route events, MTU for MTUChanged, Err for RouteLost.
type Event struct {
	Kind      EventKind
	Interface int // index of the interface that is watched
	Path      Path
	MTU       int
	Err       error
}

// String describes the event for a log line.
func (e Event) String() string {
	switch e.Kind {
	case NeighbourChanged, NeighbourFailed, NeighbourBack:
		return fmt.Sprintf("%v: %v is at %v", e.Kind, e.Path.Route.NextHop, net.HardwareAddr(e.Path.MAC[:]))
	case RouteChanged:
		return fmt.Sprintf("route is now %v", e.Path.Route)
	case RouteLost:
		return fmt.Sprintf("%v: %v", e.Kind, e.Err)
	case MTUChanged:
		return fmt.Sprintf("%v: %d", e.Kind, e.MTU)
	}
	return e.Kind.String()
}

// subject is what an event is about. Of two events about the same subject only the newer matters.
type subject struct {
	kinds EventKind // the first kind of a group that overwrite each other
	path  pathKey
}

func (e Event) subject() subject {
	switch e.Kind {
	case NeighbourChanged, NeighbourFailed, NeighbourBack:
		return subject{NeighbourChanged, e.Path.key()}
	case RouteChanged, RouteLost:
		return subject{RouteChanged, e.Path.key()}
	case LinkDown, LinkUp, LinkRemoved:
		return subject{kinds: LinkDown}
	case CarrierDown, CarrierUp:
		return subject{kinds: CarrierDown}
	}
	return subject{kinds: e.Kind}
}

// mailbox holds events until they are received. It is bounded by the number of subjects: a newer event takes
// the place of an older one about the same subject, at the end of the queue.
type mailbox struct{ events []Event }

func (m *mailbox) put(e Event) {
	for i := range m.events {
		if m.events[i].subject() == e.subject() {
			m.events = append(m.events[:i], m.events[i+1:]...)
			break
		}
	}
	m.events = append(m.events, e)
}

// next returns the oldest event, and a channel that is nil while there is none.
func (m *mailbox) next(out chan<- Event) (chan<- Event, Event) {
	if len(m.events) == 0 {
		return nil, Event{}
	}
	return out, m.events[0]
}

func (m *mailbox) sent() { m.events = m.events[1:] }
