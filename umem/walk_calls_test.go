package umem

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// oneOf picks from a list; false where it is empty.
func oneOf[T any](w *walk, call string, list []T) (v T, ok bool) {
	if len(list) == 0 {
		return v, false
	}
	v = list[w.pick(len(list))]
	w.note("%v", v)
	w.tally[call]++
	return v, true
}

func keys(w *walk, set map[Frame]bool) []Frame {
	return w.m.where(func(f Frame) bool { return set[f] })
}

// took compares what a call that takes a free frame returned with what there was.
func (w *walk) took(call string, f Frame, ok bool, leave int) error {
	free := w.m.where(w.m.free)
	if want := len(free) > leave; ok != want {
		return fmt.Errorf("%s: got %v, want %v", call, ok, want)
	}
	if !ok {
		return nil
	}
	w.tally[call]++
	w.note("%d", f)
	if !slices.Contains(free, f) {
		return fmt.Errorf("%s: frame %d is %s, not free", call, f, w.m.state(f))
	}
	return nil
}

func (w *walk) lend() error {
	f, ok := w.l.Lend()
	err := w.took("lend", f, ok, w.m.reserve)
	if err == nil && ok {
		w.m.writer[f] = true
		w.write(f)
	}
	return err
}

func (w *walk) commit() error {
	if f, ok := oneOf(w, "commit", keys(w, w.m.writer)); ok {
		w.l.Commit(f)
		delete(w.m.writer, f)
		w.m.payload[f] = true
		w.m.segments = append(w.m.segments, f)
	}
	return nil
}

func (w *walk) abandon() error {
	if f, ok := oneOf(w, "abandon", keys(w, w.m.writer)); ok {
		w.l.Abandon(f)
		delete(w.m.writer, f)
	}
	return nil
}

func (w *walk) lendEarly() error {
	if !w.early {
		return nil
	}
	held := w.m.where(func(f Frame) bool { return w.m.payload[f] })
	if f, ok := oneOf(w, "early", held); ok {
		w.l.LendEarly(f)
		delete(w.m.payload, f)
		w.m.writer[f] = true
		w.m.early++
	}
	return nil
}

// scribble writes into a frame that its writer has.
func (w *walk) scribble() error {
	if f, ok := oneOf(w, "scribble", keys(w, w.m.writer)); ok {
		w.write(f)
	}
	return nil
}

func (w *walk) write(f Frame) {
	w.written++
	binary.NativeEndian.PutUint64(w.m.region.WriterBytes(f), w.written)
}

func (w *walk) alloc() error {
	f, ok := w.l.Alloc()
	err := w.took("alloc", f, ok, 0)
	if err == nil && ok {
		w.m.engine[f] = true
	}
	return err
}

func (w *walk) giveBack() error {
	if f, ok := oneOf(w, "return", keys(w, w.m.engine)); ok {
		w.l.Return(f)
		delete(w.m.engine, f)
	}
	return nil
}

func (w *walk) hold() error {
	able := w.m.where(func(f Frame) bool { return w.m.engine[f] || w.m.tcp(f) > 0 })
	if f, ok := oneOf(w, "hold", able); ok {
		w.l.Hold(f)
		delete(w.m.engine, f)
		w.m.segments = append(w.m.segments, f)
	}
	return nil
}

func (w *walk) drop() error {
	if f, ok := oneOf(w, "drop", w.m.segments); ok {
		w.l.Drop(f)
		w.m.drop(f)
	}
	return nil
}

func (w *walk) submit() error {
	able := w.m.where(func(f Frame) bool {
		return w.m.engine[f] || w.m.tcp(f) > 0 || w.m.descriptors(f) > 0
	})
	if len(w.m.tx) >= maxTX {
		return nil
	}
	if f, ok := oneOf(w, "submit", able); ok {
		w.l.Submit(f)
		delete(w.m.engine, f)
		w.m.tx = append(w.m.tx, w.m.region.Addr(f)+uint64(w.pick(w.m.region.ChunkSize())))
		w.sums = append(w.sums, w.sum(f))
	}
	return nil
}

// sum is what the NIC reads of frame f.
func (w *walk) sum(f Frame) uint64 { return binary.NativeEndian.Uint64(w.m.region.Bytes(f)) }

// complete completes a descriptor that is out, in any order.
func (w *walk) complete() error {
	if addr, ok := oneOf(w, "complete", w.m.tx); ok {
		return w.completed(addr)
	}
	return nil
}

func (w *walk) completed(addr uint64) error {
	f, fault := w.l.Complete(addr)
	before := slices.Clone(w.m.tx)
	wantF, wantFault := w.m.complete(addr)
	if f != wantF || fault != wantFault {
		return fmt.Errorf("complete %d: got frame %d fault %d, want %d, %d", addr, f, fault, wantF, wantFault)
	}
	if fault == FaultNone {
		w.read(f, before)
	}
	return nil
}

// read is the NIC's second look, at the descriptor of f that left the model.
func (w *walk) read(f Frame, before []uint64) {
	i := slices.IndexFunc(before, func(a uint64) bool { return w.m.frameOf(a) == uint64(f) })
	if w.sums[i] != w.sum(f) {
		w.rewritten++
	}
	w.sums = slices.Delete(w.sums, i, i+1)
}

// address hands back an address that the kernel may or may not have: any frame of
// the pool, of the region, or anything at all.
func (w *walk) address() error {
	r := w.m.region
	var addr uint64
	switch w.pick(4) {
	case 0:
		addr = r.Addr(w.m.first+Frame(w.pick(w.m.frames))) + uint64(w.pick(r.ChunkSize()))
	case 1:
		addr = uint64(w.pick(r.Frames() * r.ChunkSize()))
	case 2:
		addr = r.Addr(Frame(r.Frames())) - 2 + uint64(w.pick(4)) // around the end
	default:
		for range 8 {
			addr = addr<<8 | uint64(w.pick(256))
		}
	}
	if w.pick(2) == 0 {
		return w.receivedAt(addr)
	}
	w.tally["address"]++
	return w.completed(addr)
}

func (w *walk) fill() error {
	f, ok := w.l.Fill()
	err := w.took("fill", f, ok, 0)
	if err == nil && ok {
		w.m.fill = append(w.m.fill, f)
	}
	return err
}

func (w *walk) receive() error {
	if f, ok := oneOf(w, "receive", w.m.fill); ok {
		return w.receivedAt(w.m.region.Addr(f) + 256) // chunk start + headroom, as the kernel reports
	}
	return nil
}

func (w *walk) receivedAt(addr uint64) error {
	f, fault := w.l.Received(addr)
	if wantF, wantFault := w.m.received(addr); f != wantF || fault != wantFault {
		return fmt.Errorf("received %d: got frame %d fault %d, want %d, %d", addr, f, fault, wantF, wantFault)
	}
	return nil
}

func (w *walk) refill() error {
	if f, ok := oneOf(w, "refill", w.m.rx); ok {
		w.l.Refill(f)
		w.m.rx = slices.DeleteFunc(w.m.rx, func(g Frame) bool { return g == f })
		w.m.fill = append(w.m.fill, f)
	}
	return nil
}

func (w *walk) recycle() error {
	if f, ok := oneOf(w, "recycle", w.m.rx); ok {
		w.l.Recycle(f)
		w.m.rx = slices.DeleteFunc(w.m.rx, func(g Frame) bool { return g == f })
	}
	return nil
}

func (w *walk) drain() error {
	w.tally["drain"]++
	for _, f := range w.l.Done() {
		if w.m.writer[f] { // and not committed again since
			w.write(f)
		}
	}
	w.l.Drain()
	w.m.acked, w.m.done = nil, nil
	return nil
}

// deadQueue quarantines, and registers anew some time later.
func (w *walk) deadQueue() error {
	if w.pick(3) > 0 {
		w.tally["quarantine"]++
		if got, want := w.l.Quarantine(), w.m.quarantine(); got != want {
			return fmt.Errorf("quarantine: got %d descriptors, want %d", got, want)
		}
		return nil
	}
	w.tally["reregistered"]++
	w.l.Reregistered()
	w.m.reregistered()
	w.sums = nil
	return nil
}
