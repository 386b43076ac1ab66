package session

import (
	"fmt"
	"sync"

	"github.com/xsend/xsend/hw"
)

// follower keeps connections on their path while link, route and neighbour change.
type follower struct {
	session *Session
	watch   *hw.Watch
	wait    sync.WaitGroup
}

func newFollower(s *Session, path hw.Path) (*follower, error) {
	w, err := hw.NewWatch(s.life, hw.WatchConfig{Link: s.link, Paths: []hw.Path{path}})
	if err != nil {
		return nil, err
	}
	f := &follower{session: s, watch: w}
	f.wait.Add(1)
	go f.run()
	return f, nil
}

func (f *follower) add(c *Conn) { f.watch.Add(c.path) }

func (f *follower) run() {
	defer f.wait.Done()
	for e := range f.watch.Events() {
		f.apply(e)
	}
}

func (f *follower) apply(e hw.Event) {
	s := f.session
	switch e.Kind {
	case hw.CarrierDown, hw.CarrierUp:
		s.cfg.Warn(fmt.Sprintf("%s: %v", s.link.Name, e))
		for _, q := range s.queues {
			q.poller.SetLink(e.Kind == hw.CarrierUp)
		}
	case hw.MTUChanged:
		f.setMTU(e)
	case hw.NeighbourChanged:
		f.setPath(e)
	case hw.RouteChanged:
		if e.Path.Route.Interface != s.link.Index {
			s.cfg.Warn(fmt.Sprintf("route to %v now leaves by interface %d; connections stay on %s", e.Path.Route.Destination, e.Path.Route.Interface, s.link.Name))
			return
		}
		f.setPath(e)
	case hw.LinkDown, hw.LinkUp, hw.LinkRemoved, hw.RouteLost, hw.NeighbourFailed, hw.NeighbourBack:
		s.cfg.Warn(fmt.Sprintf("%s: %v", s.link.Name, e))
	}
}

// setMTU follows the interface's MTU. Packets larger than it would be dropped by the
// kernel without a word.
func (f *follower) setMTU(e hw.Event) {
	s := f.session
	s.cfg.Warn(fmt.Sprintf("%s: %v", s.link.Name, e))
	for _, c := range s.connections() {
		_ = c.stream.SetMTU(s.life, e.MTU) // fails only when the session ends
	}
}

// setPath gives the connections to a destination their new next hop.
func (f *follower) setPath(e hw.Event) {
	s := f.session
	for _, c := range s.connections() {
		if c.path.Route.Destination == e.Path.Route.Destination && c.path.Route.Source == e.Path.Route.Source {
			_ = c.stream.SetPath(s.life, c.wirePath(e.Path)) // fails only when the session ends
		}
	}
	s.cfg.Warn(fmt.Sprintf("%s: %v", s.link.Name, e))
}

func (f *follower) close() error {
	err := f.watch.Close()
	f.wait.Wait()
	return err
}

func (s *Session) connections() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}
