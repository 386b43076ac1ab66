package faulttest_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/faulttest"
	"github.com/xsend/xsend/dataplane/witness"
	"github.com/xsend/xsend/internal/simnet"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

const (
	frames  = 128 // of the pool
	reserve = 16
	behind  = 32        // frames behind those of the pool
	size    = 200 << 10 // bytes sent
	chunk   = 2048
)

// rig is a transfer in memory, on virtual time, over a NIC that reads and completes at once, and a writer that does as it
// is told.
type rig struct {
	t       *testing.T
	world   *simnet.World
	peer    *simnet.Peer
	poller  *dataplane.Poller
	writer  *dataplane.Writer
	stream  *dataplane.Stream
	witness *witness.Port
	fault   *faulttest.Fault
	writing

	sum     simnet.Pattern
	written int
	taken   int
	commits int
	closed  bool
	worst   dataplane.Holders
}

var errShut = errors.New("the test keeps the queue shut")

// setup is what goes wrong in a rig.
type setup struct {
	fault faulttest.Kind
	writing
	kernel simnet.KernelConfig
	lose   func(frame []byte) bool // is told of each packet with payload
	shut   int                     // attempts to open the queue again that fail
}

// writing is what a writer does wrong.
type writing struct {
	keeps bool // reserves a frame and forgets it
	drops bool // never takes its last release
}

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	region, err := umem.Map(umem.Config{Frames: frames + behind, ChunkSize: chunk})
	must(t, err)
	t.Cleanup(func() { _ = region.Close() })
	r := &rig{t: t, world: simnet.New(7), writing: s.writing, sum: 99}
	path := simnet.LinkConfig{Delay: tcp.Millisecond, Rate: 125e6}
	r.peer = r.world.NewPeer(simnet.PeerConfig{}, nil)
	forward := r.world.NewLink(path, r.peer.Deliver)
	var kernel *simnet.Kernel
	back := r.world.NewLink(path, func(frame []byte) { kernel.Deliver(frame) })
	r.peer.Reverse(back)

	forward.Filter(func(frame []byte) bool { return s.lose != nil && len(frame) > 1000 && s.lose(frame) })

	cfg := faulttest.Config{Kind: s.fault, After: 20, Region: region, Stray: frames - 1, LateBy: 20 * tcp.Millisecond, Now: r.world.Now}
	r.fault = faulttest.New(cfg)
	open := func(int) (dataplane.Port, error) {
		if kernel != nil && s.shut > 0 {
			s.shut--
			return nil, errShut
		}
		s.kernel.Ring = 64
		kernel = r.world.NewKernel(s.kernel, region, forward)
		s.kernel.DiesAt = 0 // the next one lives
		w := witness.Wrap(r.fault.Wrap(kernel), region)
		if r.witness == nil {
			r.witness = w
		}
		return w, nil
	}
	port, _ := open(0)
	pool, err := umem.NewPool(region, 0, frames, reserve)
	must(t, err)
	r.poller, err = dataplane.New(dataplane.Config{Pool: pool, Port: port, Reopen: open, RxFrames: 16, MaxStreams: 4, Clock: r.world.Now, Times: true})
	must(t, err)
	r.writer, err = r.poller.NewWriter(0)
	must(t, err)
	r.stream, err = r.poller.Open(r.world.Now(), r.writer, tcp.Config{
		Flow: wire.FlowOf(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:80")),
		Path: wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2}},
		MTU:  1500, ISS: 1000, TimeWait: 3 * tcp.Second,
	})
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Step implements simnet.Stepper.
func (r *rig) Step(now tcp.Time) int {
	work := r.poller.Step(now)
	r.poller.Notify(work == 0)
	if r.poller.Dead() != nil {
		_ = r.poller.Rebuild(now)
	}
	return work + r.write()
}

// Next implements simnet.Stepper.
func (r *rig) Next(now tcp.Time) tcp.Time {
	return max(r.poller.Deadline(), now+100*tcp.Microsecond)
}

// Check implements simnet.Stepper: the books add up after every pass, whatever goes wrong.
func (r *rig) Check() error {
	b, err := r.poller.BooksNow()
	for i, n := range b.Holders.Frames {
		r.worst.Frames[i] = max(r.worst.Frames[i], n)
	}
	return err
}

func (r *rig) write() (n int) {
	if r.keeps && r.written == 0 {
		if _, ok := r.writer.Reserve(r.stream); ok {
			r.keeps = false
		}
	}
	for r.written < size {
		b, ok := r.writer.Reserve(r.stream)
		if !ok {
			break
		}
		k := min(len(b.Bytes), size-r.written)
		r.sum.Fill(b.Bytes[:k], uint64(r.written))
		r.writer.Commit(r.stream, b, k, uint64(r.commits))
		r.written += k
		r.commits++
		n++
	}
	if r.written == size && !r.closed {
		r.closed = true
		r.writer.CloseWrite(r.stream)
		n++
	}
	return n + r.take()
}

// take takes releases: all, or all but the last.
func (r *rig) take() int {
	var out [64]dataplane.Release
	most := len(out)
	if r.drops {
		most = max(0, min(most, r.commits-1-r.taken))
	}
	n := r.writer.Releases(out[:most])
	r.taken += n
	return n
}

// run sends everything, waits until nothing is left of the connection, closes it all, and returns what remains.
func (r *rig) run() dataplane.Remains {
	r.t.Helper()
	must(r.t, r.world.Run(r, 60*tcp.Second, r.stream.Home))
	if c := r.peer.Conns()[0]; c.Received() != size || !c.GotFIN() {
		r.t.Errorf("the peer got %d bytes, FIN %v", c.Received(), c.GotFIN())
	}
	r.poller.Shutdown(r.world.Now())
	must(r.t, r.world.Run(r, 60*tcp.Second, r.poller.Drained))
	rem, err := r.poller.Close()
	must(r.t, err)
	rem.Books.Ledger.Rewritten = r.witness.Rewritten()
	return rem
}
