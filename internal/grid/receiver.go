package grid

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// receiver is the kernel's TCP at the other end, and a program that reads as fast as it can.
type receiver struct {
	address string
	conns   []reading
	cancel  context.CancelFunc
	ended   chan struct{}
}

// reading is what the program has read from one connection.
type reading struct {
	bytes atomic.Int64
	first atomic.Int64 // when the first bytes had come, in nanoseconds since the Unix epoch
}

// sample is a reading at a moment.
type sample struct {
	bytes int64
	since time.Duration // since the first byte; 0: none came yet
}

func (r *reading) sample() (s sample) {
	if first := r.first.Load(); first != 0 {
		s.bytes = r.bytes.Load()
		s.since = time.Since(time.Unix(0, first))
	}
	return s
}

func (r *reading) note(bytes int64) {
	if bytes == 0 {
		return
	}
	if r.first.Load() == 0 {
		r.first.Store(time.Now().UnixNano())
	}
	r.bytes.Store(bytes)
}

// receive listens for so many connections at the receiver's end.
func receive(ctx context.Context, l *lab.Lab, conns int) (*receiver, error) {
	var ln net.Listener
	if err := l.Do(lab.Receiver, func() (err error) {
		ln, err = net.Listen("tcp4", netip.AddrPortFrom(l.Receiver().IPv4.Addr(), 0).String())
		return err
	}); err != nil {
		return nil, err
	}
	r := &receiver{address: ln.Addr().String(), conns: make([]reading, conns), ended: make(chan struct{})}
	ctx, r.cancel = context.WithCancel(ctx)
	cfg := sink.Config{Listener: ln, Count: conns, SkipHash: true,
		BeforeRead: func(_ context.Context, conn int, read int64) { r.conns[conn-1].note(read) }}
	go func() {
		defer close(r.ended)
		_, _ = sink.Run(ctx, cfg) // it ends by being stopped
	}()
	return r, nil
}

// stop cuts the connections off, so that senders get a reset, and waits.
func (r *receiver) stop() {
	r.cancel()
	<-r.ended
}
