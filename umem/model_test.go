package umem

import (
	"fmt"
	"slices"
)

// model is the ledger written down as what it means, without one counter: the
// descriptors that the kernel has, the un-ACKed segments, and who was lent what.
// Everything else is found by searching. It is slow and has no way to be clever.
type model struct {
	region  *Region
	first   Frame
	frames  int
	reserve int

	tx          []uint64 // addresses of the descriptors that the kernel has not completed
	segments    []Frame  // one entry for each un-ACKed segment
	fill        []Frame  // in the fill ring
	rx          []Frame  // received, being parsed
	writer      map[Frame]bool
	engine      map[Frame]bool
	payload     map[Frame]bool // a writer's, whose end is an event
	quarantined map[Frame]bool

	acked, done []Frame
	early       uint64
}

func newModel(r *Region, first Frame, frames, reserve int) *model {
	return &model{
		region: r, first: first, frames: frames, reserve: reserve,
		writer: map[Frame]bool{}, engine: map[Frame]bool{},
		payload: map[Frame]bool{}, quarantined: map[Frame]bool{},
	}
}

// frameOf is the frame an address lies in, whichever pool it belongs to.
func (m *model) frameOf(addr uint64) uint64 { return addr / uint64(m.region.ChunkSize()) }

// ours is whether a frame number belongs to the pool.
func (m *model) ours(f uint64) bool {
	return f >= uint64(m.first) && f < uint64(m.first)+uint64(m.frames)
}

func count[T comparable](list []T, v T) (n int) {
	for _, have := range list {
		if have == v {
			n++
		}
	}
	return n
}

// descriptors is how many descriptors of f the kernel has for transmission.
func (m *model) descriptors(f Frame) (n int) {
	for _, addr := range m.tx {
		if m.frameOf(addr) == uint64(f) {
			n++
		}
	}
	return n
}

func (m *model) kernel(f Frame) int { return m.descriptors(f) + count(m.fill, f) }
func (m *model) tcp(f Frame) int    { return count(m.segments, f) }

// held is whether the kernel or TCP has the frame.
func (m *model) held(f Frame) bool { return m.kernel(f) > 0 || m.tcp(f) > 0 }

// free is whether nobody has the frame.
func (m *model) free(f Frame) bool {
	return !m.held(f) && !m.writer[f] && !m.engine[f] && !slices.Contains(m.rx, f)
}

// where lists the frames of which ok is true, in order.
func (m *model) where(ok func(Frame) bool) (list []Frame) {
	for f := m.first; f < m.first+Frame(m.frames); f++ {
		if ok(f) {
			list = append(list, f)
		}
	}
	return list
}

func (m *model) drop(f Frame) {
	m.segments = slices.Delete(m.segments, slices.Index(m.segments, f), slices.Index(m.segments, f)+1)
	if m.tcp(f) == 0 && m.payload[f] {
		m.acked = append(m.acked, f)
	}
	m.settle(f)
}

// settle hands a frame back to the writer whose bytes were in it, once no hold is left.
func (m *model) settle(f Frame) {
	if m.held(f) || !m.payload[f] {
		return
	}
	delete(m.payload, f)
	m.writer[f] = true
	m.done = append(m.done, f)
}

// complete is what the kernel's address does, and what is to be reported of it.
func (m *model) complete(addr uint64) (Frame, Fault) {
	f := m.frameOf(addr)
	if !m.ours(f) {
		return NoFrame, FaultRange
	}
	i := slices.IndexFunc(m.tx, func(a uint64) bool { return m.frameOf(a) == f })
	if i < 0 {
		return Frame(f), FaultSpurious
	}
	m.tx = slices.Delete(m.tx, i, i+1)
	if m.kernel(Frame(f)) == 0 {
		delete(m.quarantined, Frame(f))
		m.settle(Frame(f))
	}
	return Frame(f), FaultNone
}

func (m *model) received(addr uint64) (Frame, Fault) {
	f := m.frameOf(addr)
	if !m.ours(f) {
		return NoFrame, FaultRange
	}
	i := slices.Index(m.fill, Frame(f))
	if i < 0 {
		return Frame(f), FaultSpurious
	}
	m.fill = slices.Delete(m.fill, i, i+1)
	m.rx = append(m.rx, Frame(f))
	delete(m.quarantined, Frame(f))
	return Frame(f), FaultNone
}

func (m *model) quarantine() (descriptors int) {
	for _, f := range m.where(func(f Frame) bool { return m.kernel(f) > 0 }) {
		m.quarantined[f] = true
	}
	return len(m.tx) + len(m.fill)
}

func (m *model) reregistered() {
	held := m.where(func(f Frame) bool { return m.kernel(f) > 0 })
	m.tx, m.fill = nil, nil
	clear(m.quarantined)
	for _, f := range held {
		m.settle(f)
	}
}

// state names the one state of frame f, as DESIGN's table of holders does.
func (m *model) state(f Frame) string {
	switch kernel, tcp := m.kernel(f) > 0, m.tcp(f) > 0; {
	case m.quarantined[f]:
		return "quarantined"
	case slices.Contains(m.fill, f):
		return "fill"
	case slices.Contains(m.rx, f):
		return "rx"
	case m.writer[f] && (kernel || tcp):
		return "lent while held"
	case m.writer[f]:
		return "writer"
	case m.engine[f]:
		return "engine"
	case kernel && tcp:
		return "tcp+kernel"
	case kernel:
		return "kernel"
	case tcp:
		return "tcp"
	}
	return "free"
}

func (m *model) census() Census {
	n := map[string]int{}
	for f := m.first; f < m.first+Frame(m.frames); f++ {
		n[m.state(f)]++
	}
	return Census{
		Total: m.frames, Free: n["free"], Writer: n["writer"], Engine: n["engine"],
		TCP: n["tcp"], TCPKernel: n["tcp+kernel"], Kernel: n["kernel"], Fill: n["fill"], RX: n["rx"],
		Quarantined: n["quarantined"], LentWhileHeld: n["lent while held"], Descriptors: len(m.tx),
	}
}

// compare says where the ledger differs from the model.
func (m *model) compare(l ledger) error {
	c, err := l.Audit()
	if err != nil {
		return err
	}
	if want := m.census(); c != want {
		return fmt.Errorf("census:\n got %+v\nwant %+v", c, want)
	}
	if !slices.Equal(l.Acked(), m.acked) {
		return fmt.Errorf("acked: got %v, want %v", l.Acked(), m.acked)
	}
	if !slices.Equal(l.Done(), m.done) {
		return fmt.Errorf("done: got %v, want %v", l.Done(), m.done)
	}
	if got, want := l.LentEarly(), m.early; got != want {
		return fmt.Errorf("lent early: got %d, want %d", got, want)
	}
	free := len(m.where(m.free))
	if got, want := [2]int{l.Free(), l.Lendable()}, [2]int{free, max(0, free-m.reserve)}; got != want {
		return fmt.Errorf("free and lendable: got %v, want %v", got, want)
	}
	for f := m.first; f < m.first+Frame(m.frames); f++ {
		if got, want := [2]int{l.InKernel(f), l.InTCP(f)}, [2]int{m.kernel(f), m.tcp(f)}; got != want {
			return fmt.Errorf("frame %d, in kernel and TCP: got %v, want %v", f, got, want)
		}
	}
	return nil
}
