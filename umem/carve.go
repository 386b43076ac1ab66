package umem

// Carve gives size bytes of a frame that several descriptors share: each piece is for what is written once and
// submitted once, as the headers in front of payload that lies elsewhere. off is where the piece begins in the frame.
// The caller must Submit the frame before anything else happens to the pool; when the kernel has completed all that
// was carved from a frame it is free, whether there was a piece left or not. A new frame is begun only while more than
// leave are free; false where it must not be.
func (p *Pool) Carve(size, leave int) (f Frame, off int, ok bool) {
	if p.carving == NoFrame || p.carved+size > p.region.ChunkSize() {
		if len(p.free) <= leave {
			return NoFrame, 0, false
		}
		p.carving, _ = p.Alloc() // one is free
		p.carved = 0
	}
	off = p.carved
	p.carved += size
	return p.carving, off, true
}
