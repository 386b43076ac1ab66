package porttest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

// recorder is a testing.TB whose failures are what the test wants.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	if r.failure == "" {
		r.failure = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// failure is what the named row of the table says about a port; "" where it passes.
// A port so broken that it panics fails too.
func failure(t *testing.T, row string, port dataplane.Port, rig Rig) string {
	t.Helper()
	rec := &recorder{TB: t}
	rig.Port = port
	i := slices.IndexFunc(table, func(c check) bool { return c.name == row })
	if i < 0 {
		t.Fatalf("no row %q in the table", row)
	}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(rec) {
				rec.Errorf("panic: %v", p)
			}
		}()
		table[i].on(rec, &rig)
	}()
	return rec.failure
}

// TestTableFindsBrokenPorts breaks a right port in one way each: the row that is
// there for it must fail, and must pass without.
func TestTableFindsBrokenPorts(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 200 * time.Millisecond
	for _, c := range []struct {
		row   string
		fault string
		brk   func(*memory) dataplane.Port
	}{
		{"caps", "claims another ring", func(m *memory) dataplane.Port { return wrongCaps{m} }},
		{"idle", "rings for nothing", func(m *memory) dataplane.Port { return eagerKick{m} }},
		{"tx-every-frame-once", "loses a completion", func(m *memory) dataplane.Port { return &losesCompletion{memory: m} }},
		{"tx-every-frame-once", "completes twice", func(m *memory) dataplane.Port { return &completesTwice{memory: m} }},
		{"tx-every-frame-once", "never sends", func(m *memory) dataplane.Port { return neverSends{m} }},
		{"tx-every-frame-once", "swaps two packets", func(m *memory) dataplane.Port { return &swaps{memory: m} }},
		{"tx-every-frame-once", "sends a wrong byte", func(m *memory) dataplane.Port { return wrongByte{m} }},
		{"tx-same-frame-thrice", "completes each frame once", func(m *memory) dataplane.Port { return &mergesClones{memory: m, seen: map[uint64]bool{}} }},
		{"tx-room", "has always room", func(m *memory) dataplane.Port { return alwaysRoom{m} }},
		{"rx-every-frame-once", "receives twice", func(m *memory) dataplane.Port { return &receivesTwice{memory: m} }},
		{"rx-every-frame-once", "receives elsewhere", func(m *memory) dataplane.Port { return receivesElsewhere{m} }},
		{"rx-fill-room", "has always room", func(m *memory) dataplane.Port { return alwaysRoom{m} }},
		{"wait-does-not-spin", "Wait returns at once", func(m *memory) dataplane.Port { return noWait{m} }},
		{"wait-ends-by-wake", "Wake does nothing", func(m *memory) dataplane.Port { return noWake{m} }},
		{"no-allocation", "allocates", func(m *memory) dataplane.Port { return &allocates{memory: m} }},
	} {
		t.Run(c.row+"/"+c.fault, func(t *testing.T) {
			m, rig := newMemory(t, shapeOf(c.row))
			if got := failure(t, c.row, m, rig); got != "" {
				t.Fatalf("the right port fails: %s", got)
			}
			m, rig = newMemory(t, shapeOf(c.row))
			if got := failure(t, c.row, c.brk(m), rig); got == "" {
				t.Error("the broken port passes")
			}
		})
	}
}

func shapeOf(row string) Shape {
	for _, c := range table {
		if c.name == row {
			return c.shape
		}
	}
	return normal
}

type wrongCaps struct{ *memory }

func (p wrongCaps) Caps() dataplane.Caps { c := p.memory.Caps(); c.TxRing *= 2; return c }

type eagerKick struct{ *memory }

func (p eagerKick) Kick() dataplane.Kick { p.memory.Kick(); return dataplane.KickOK }

type losesCompletion struct {
	*memory
	n int
}

func (p *losesCompletion) Reap(a []uint64) int {
	n := p.memory.Reap(a)
	if n > 0 {
		if p.n++; p.n == 3 {
			return n - 1
		}
	}
	return n
}

type completesTwice struct {
	*memory
	last uint64
	n    int
}

func (p *completesTwice) Reap(a []uint64) int {
	if p.n == 5 {
		p.n++
		a[0] = p.last
		return 1
	}
	n := p.memory.Reap(a[:1])
	if n > 0 {
		p.n++
		p.last = a[0]
	}
	return n
}

type neverSends struct{ *memory }

func (p neverSends) Kick() dataplane.Kick { return dataplane.KickOK }

type swaps struct {
	*memory
	done bool
}

func (p *swaps) Tx(d []umem.Desc) {
	p.memory.Tx(d)
	if n := len(p.memory.tx); n >= 2 && !p.done {
		p.done = true
		q := p.memory.tx
		q[n-1], q[n-2] = q[n-2], q[n-1]
	}
}

type wrongByte struct{ *memory }

func (p wrongByte) Tx(d []umem.Desc) {
	f, _ := p.region.FrameAt(d[0].Addr)
	p.region.Bytes(f)[d[0].Len-1] ^= 1
	p.memory.Tx(d)
}

type mergesClones struct {
	*memory
	seen map[uint64]bool
}

func (p *mergesClones) Reap(a []uint64) int {
	n, kept := p.memory.Reap(a), 0
	for _, addr := range a[:n] {
		if !p.seen[addr] {
			p.seen[addr] = true
			a[kept] = addr
			kept++
		}
	}
	return kept
}

type alwaysRoom struct{ *memory }

func (p alwaysRoom) TxRoom(n int) int   { return n }
func (p alwaysRoom) FillRoom(n int) int { return n }

type receivesTwice struct {
	*memory
	last umem.Desc
	n    int
}

func (p *receivesTwice) Rx(d []umem.Desc) int {
	n := p.memory.Rx(d)
	if n == 0 {
		return 0
	}
	if p.n++; p.n == 2 {
		d[0] = p.last
	}
	p.last = d[0]
	return n
}

type receivesElsewhere struct{ *memory }

func (p receivesElsewhere) Rx(d []umem.Desc) int {
	n := p.memory.Rx(d)
	for i := range d[:n] {
		d[i].Addr = p.region.Addr(0) + d[i].Addr%uint64(p.region.ChunkSize())
	}
	return n
}

type noWait struct{ *memory }

func (p noWait) Wait(time.Duration) {}

type noWake struct{ *memory }

func (p noWake) Wake() {}

var sink []byte

type allocates struct{ *memory }

func (p *allocates) Kick() dataplane.Kick {
	sink = make([]byte, 64)
	return p.memory.Kick()
}
