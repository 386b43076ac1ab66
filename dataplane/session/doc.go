// Package session puts a run together and takes it apart in reverse: privileges,
// route and neighbour, the steering program, carrier, memory, a socket and a poller
// per queue, then connections. It is what `xsend send` uses and the one entry for
// programs that embed xsend.
//
// It owns the order of starting and stopping and everything it started; it never
// touches a ring or a packet. Open leaves nothing behind when it fails, Close
// nothing at all.
//
//	s, err := session.Open(ctx, session.Config{Destination: addr.Addr()})
//	c, err := s.Dial(ctx, session.DialConfig{Remote: addr})
//	_, err = io.Copy(c, file)          // or c.Write; c.Pipe() has more
//	err = c.Flush(ctx)                 // ACKed, and out of the NIC
//	c.CloseWrite(); c.WaitSent(ctx)
//	report, err := s.Close()
//
// Programs that produce their bytes in place reserve frames instead, with c.Pipe() or
// c.Writer(), and are told of each one when it is theirs again.
//
// Network namespaces: Open works in the namespace of the calling thread, and keeps
// it: sockets that are rebuilt later are opened there too.
//
// Goroutines: one locked poller per queue, one that follows link, route and
// neighbour, and one for each connection that was closed and is not over. All methods may be called from any goroutine, unless they say otherwise.
package session
