package porttest

import (
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

// patience is how long a test waits for what must come. It is long because it is
// waited for only where the test fails.
var patience = 5 * time.Second

// normal is the shape of tests to which the shape does not matter.
var normal = Shape{Frames: 1024, TxRing: 256, RxRing: 256, FillRing: 256, Completion: 256}

// check is one row of the table.
type check struct {
	name  string
	shape Shape
	run   func(*bench)
}

var table = []check{
	{"caps", normal, checkCaps},
	{"idle", normal, checkIdle},
	{"tx-every-frame-once", normal, checkTx},
	{"tx-room", Shape{64, 32, 32, 32, 64}, checkTxRoom},
	{"tx-same-frame-thrice", normal, checkClones},
	{"tx-completion-ring-full", Shape{512, 64, 64, 64, 64}, checkCompletionFull},
	{"tx-larger-than-mtu", normal, checkOversize},
	{"tx-peer-down", normal, checkPeerDown},
	{"tx-interface-down-and-up", normal, checkDownUp},
	{"rx-every-frame-once", normal, checkRx},
	{"rx-nothing-to-receive-into", normal, checkRxStarved},
	{"rx-fill-room", Shape{64, 32, 32, 16, 32}, checkFillRoom},
	{"wait-times-out", normal, checkWaitTimeout},
	{"wait-does-not-spin", normal, checkWaitNoSpin},
	{"wait-ends-by-frame", normal, checkWaitFrame},
	{"wait-ends-by-wake", normal, checkWaitWake},
	{"no-allocation", normal, checkAllocs},
	{"close-twice", normal, checkClose},
}

// Run checks the contract of dataplane.Port on the ports that open makes.
func Run(t *testing.T, open Open) {
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) { c.on(t, open(t, c.shape)) })
	}
}

// on runs the row on a rig.
func (c check) on(t testing.TB, r *Rig) {
	c.run(&bench{TB: t, Rig: r, shape: c.shape, out: map[uint64]int{}})
}

// bench is a rig under test with books of what was submitted.
type bench struct {
	testing.TB
	*Rig
	shape Shape
	out   map[uint64]int // submitted and not completed, by address
	buf   [64]uint64
	last  dataplane.Kick
}

// tx submits frame f as test frame seq.
func (b *bench) tx(f umem.Frame, seq uint32, size int) {
	b.Helper()
	if b.Port.TxRoom(1) != 1 {
		b.Fatalf("no room on the TX ring for frame %d", f)
	}
	PutFrame(b.Region.Bytes(f), seq, size)
	b.Port.Tx([]umem.Desc{{Addr: b.Region.Addr(f), Len: uint32(size)}})
	b.out[b.Region.Addr(f)]++
}

// reap takes completions once and checks each against the books.
func (b *bench) reap() int {
	b.Helper()
	n := b.Port.Reap(b.buf[:])
	for _, a := range b.buf[:n] {
		if b.out[a] == 0 {
			b.Fatalf("address %#x completed, and no descriptor of it is out", a)
		}
		b.out[a]--
	}
	return n
}

// outstanding is the number of descriptors that did not come back.
func (b *bench) outstanding() (n int) {
	for _, c := range b.out {
		n += c
	}
	return n
}

// drain kicks and reaps until everything came back.
func (b *bench) drain() {
	b.Helper()
	for end := time.Now().Add(patience); b.outstanding() > 0; {
		b.kick()
		b.reap()
		if time.Now().After(end) {
			b.Fatalf("%d descriptors did not come back, %d unsent, last kick %v", b.outstanding(), b.Port.TxUnsent(), b.last)
		}
	}
	if n := b.Port.TxUnsent(); n != 0 {
		b.Fatalf("everything completed, and %d descriptors are unsent", n)
	}
}

// push kicks, and reaps to make room for it, until everything is sent. What was
// sent need not have come back.
func (b *bench) push() {
	b.Helper()
	b.kick()
	for end := time.Now().Add(patience); b.Port.TxUnsent() > 0; b.kick() {
		b.reap()
		if time.Now().After(end) {
			b.Fatalf("%d descriptors stay unsent, last kick %v", b.Port.TxUnsent(), b.last)
		}
	}
}

// kick rings the doorbell; a port that is dead ends the test.
func (b *bench) kick() {
	b.Helper()
	if b.last = b.Port.Kick(); b.last == dataplane.KickDead {
		b.Fatalf("the port is dead; %d unsent", b.Port.TxUnsent())
	}
}

// arrived reads the next frame at the peer, which must be there and right.
func (b *bench) arrived() uint32 {
	b.Helper()
	buf := make([]byte, 4096)
	n := b.Next(buf, patience)
	if n == 0 {
		b.Fatal("a frame did not arrive at the peer")
	}
	seq, err := CheckFrame(buf[:n])
	if err != nil {
		b.Fatal(err)
	}
	return seq
}

// nothingArrived is for what must not have been sent.
func (b *bench) nothingArrived() {
	b.Helper()
	buf := make([]byte, 4096)
	if n := b.Next(buf, 20*time.Millisecond); n != 0 {
		seq, err := CheckFrame(buf[:n])
		b.Fatalf("frame %d arrived at the peer (%v): expected none", seq, err)
	}
}

// sizeOf gives test frames all sizes from the smallest to the largest.
func sizeOf(seq uint32) int {
	return MinFrame + int(seq*389)%(MaxFrame-MinFrame+1)
}
