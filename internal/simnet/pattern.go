package simnet

// Pattern is an endless stream of bytes that any part of can be made, or compared,
// by its offset alone: what a writer promises at commit is Pattern and offset.
type Pattern uint64

// word is the eight bytes from 8*i on: splitmix64, as in Steele, Lea, Flood: Fast
// splittable pseudorandom number generators (2014).
func (p Pattern) word(i uint64) uint64 {
	z := uint64(p) + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Fill writes the stream from offset off on into b.
func (p Pattern) Fill(b []byte, off uint64) {
	w := p.word(off >> 3)
	for i := range b {
		at := off + uint64(i)
		if at&7 == 0 {
			w = p.word(at >> 3)
		}
		b[i] = byte(w >> (at & 7 * 8))
	}
}

// Wrong is the number of bytes in b that are not those of the stream from offset off on.
func (p Pattern) Wrong(b []byte, off uint64) (n int) {
	w := p.word(off >> 3)
	for i := range b {
		at := off + uint64(i)
		if at&7 == 0 {
			w = p.word(at >> 3)
		}
		if b[i] != byte(w>>(at&7*8)) {
			n++
		}
	}
	return n
}

// firstWrong is where in b the first wrong byte is.
func (p Pattern) firstWrong(b []byte, off uint64) (i int64) {
	for p.Wrong(b[i:i+1], off+uint64(i)) == 0 {
		i++
	}
	return i
}
