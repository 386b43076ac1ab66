package session

import (
	"context"
	"fmt"
	"sync"

	"github.com/xsend/xsend/hw"
)

// follower keeps connections on their path while link, route and neighbour change.
type follower struct {
	session *Session
	watch   *hw.Watch
	wait    sync.WaitGroup
	mu      sync.Mutex // the session's connections and the watch's paths change together
}

func newFollower(s *Session, path hw.Path) (*follower, error) {
	w, err := hw.NewWatch(s.life, hw.WatchConfig{Link: s.via, Paths: []hw.Path{path}})
	if err != nil {
		return nil, err
	}
	f := &follower{session: s, watch: w}
	f.wait.Go(f.run)
	return f, nil
}

// add follows the path of a new connection.
func (f *follower) add(c *Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.session
	s.mu.Lock()
	s.conns[c] = struct{}{}
	path := c.path
	s.mu.Unlock()
	f.watch.Add(path)
}

// remove stops following the path of c, unless another connection is on it.
func (f *follower) remove(c *Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.session
	s.mu.Lock()
	delete(s.conns, c)
	path, shared := c.path, false
	for o := range s.conns {
		shared = shared || o.isOn(path)
	}
	s.mu.Unlock()
	if !shared {
		f.watch.Remove(path)
	}
}

func (f *follower) run() {
	for e := range f.watch.Events() {
		f.apply(e)
	}
}

func (f *follower) apply(e hw.Event) {
	s := f.session
	switch e.Kind {
	case hw.CarrierDown, hw.CarrierUp:
		for _, q := range s.queues {
			q.poller.SetLink(e.Kind == hw.CarrierUp)
		}
	case hw.LinkRemoved:
		s.removed.Store(true)
	case hw.MTUChanged:
		f.setMTU(e.MTU)
	case hw.NeighbourChanged:
		f.setPath(e)
	case hw.RouteChanged:
		if e.Path.Route.Interface != s.via.Index {
			s.cfg.Warn(fmt.Sprintf("route to %v now leaves by interface %d; connections stay on %s", e.Path.Route.Destination, e.Path.Route.Interface, s.via.Name))
			return
		}
		f.setPath(e)
	}
	s.cfg.Warn(fmt.Sprintf("%s: %v", s.via.Name, e))
}

// setMTU follows the interface's MTU. Packets larger than it would be dropped by the
// kernel without a word.
func (f *follower) setMTU(mtu int) {
	s := f.session
	s.mu.Lock()
	s.mtu = mtu
	s.mu.Unlock()
	for _, c := range s.connections() {
		f.fit(s.life, c)
	}
}

// fit tells a connection what its path carries now, if that is news.
func (f *follower) fit(ctx context.Context, c *Conn) {
	s := f.session
	s.mu.Lock()
	mtu, before := c.pathMTU(), c.mtu
	c.mtu = mtu
	s.mu.Unlock()
	if mtu != before {
		_ = c.stream.SetMTU(ctx, mtu) // fails only when the session ends
	}
}

// setPath gives the connections to a destination their new next hop and path MTU.
func (f *follower) setPath(e hw.Event) {
	s := f.session
	for _, c := range s.connections() {
		if !c.follows(e.Path) {
			continue
		}
		_ = c.stream.SetPath(s.life, c.wirePath(e.Path)) // fails only when the session ends
		f.fit(s.life, c)
	}
}

// follows reports that p is the connection's path, which it is on from now on.
func (c *Conn) follows(p hw.Path) bool {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if !c.isOn(p) {
		return false
	}
	c.path = p
	return true
}

// isOn reports that p is about the connection's path. The session's mu is held.
func (c *Conn) isOn(p hw.Path) bool {
	return c.path.Route.Destination == p.Route.Destination && c.path.Route.Source == p.Route.Source
}

func (f *follower) close() error {
	err := f.watch.Close()
	f.wait.Wait()
	return err
}
