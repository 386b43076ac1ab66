package porttest

import (
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

// Shape is the size of the port that a test wants.
type Shape struct {
	Frames                               int
	TxRing, RxRing, FillRing, Completion int
}

// Rig is a port, its region, and the far end of its wire.
type Rig struct {
	Port   dataplane.Port
	Region *umem.Region
	MTU    int

	// Send puts a frame on the wire at the far end.
	Send func(frame []byte) error
	// Next reads the next frame that arrived at the far end; 0 where none did within d.
	Next func(buf []byte, d time.Duration) int
	// Up sets the port's own interface up or down. nil: it has none.
	Up func(up bool)
	// FarUp sets the far end's interface up or down. nil: it has none.
	FarUp func(up bool)
}

// Open makes a rig of a shape. The port is closed by the rig's cleanup.
type Open func(t testing.TB, shape Shape) *Rig

// WireRig is the rig of a port at the near end of a wire.
func WireRig(t testing.TB, w *Wire, p dataplane.Port, r *umem.Region) *Rig {
	t.Helper()
	peer := w.Far.NewPeer(t)
	return &Rig{
		Port: p, Region: r, MTU: w.Near.Link.Attrs().MTU,
		Send:  peer.Send,
		Next:  peer.Next,
		Up:    func(up bool) { w.Near.Up(t, up) },
		FarUp: func(up bool) { w.Far.Up(t, up) },
	}
}
