package umem

import (
	"errors"
	"fmt"
	"math"
)

// BlockSize is the bytes of a block of an Arena.
const BlockSize = 4096

// Block is the number of a block of an Arena. It is an index, never an address.
type Block uint32

// NoBlock is no block.
const NoBlock = Block(math.MaxUint32)

// Arena is plain memory of a fixed size, in blocks, that un-ACKed bytes are copied to when their frames must go back
// to their writer. No NIC reads it: what is sent from it is copied once more, into a frame. A block is held by the
// segments whose bytes lie in it, as a frame is, and is free when none does.
//
// An Arena is for one goroutine, that of the Pool whose frames it relieves. Its methods do not allocate.
type Arena struct {
	mem   []byte
	holds []uint16 // by block: segments whose bytes are in it, and the connection that still fills it
	free  []Block
	peak  int
}

// MapArena maps an arena of so many bytes, rounded down to whole blocks. Pages of it that are never used cost no memory.
// The caller closes it. The error wraps ErrGeometry or ErrNoMemory.
func MapArena(bytes int) (*Arena, error) {
	n := bytes / BlockSize
	if n < 1 || uint64(n) >= uint64(NoBlock) {
		return nil, fmt.Errorf("%w: an arena of %d bytes: must be from %d to %d", ErrGeometry, bytes, BlockSize, uint64(NoBlock-1)*BlockSize)
	}
	mem, err := mapPlain(n * BlockSize)
	if err != nil {
		return nil, fmt.Errorf("arena: %w (a smaller one needs less)", err)
	}
	a := &Arena{mem: mem, holds: make([]uint16, n), free: make([]Block, n)}
	for i := range a.free {
		a.free[i] = Block(n - 1 - i) // the lowest is given out first, and what was used before is used again
	}
	return a, nil
}

// Close unmaps the arena. It must not be used afterwards.
func (a *Arena) Close() error {
	if a.mem == nil {
		return nil
	}
	err := unmapPlain(a.mem)
	a.mem = nil
	return err
}

// Size is the bytes of all blocks.
func (a *Arena) Size() int { return len(a.holds) * BlockSize }

// Used is the bytes of the blocks that are held. Peak is the most that ever were.
func (a *Arena) Used() int { return (len(a.holds) - len(a.free)) * BlockSize }

// Peak is the most that Used ever was.
func (a *Arena) Peak() int { return a.peak }

// Alloc gives a free block with one hold on it; false where none is free.
func (a *Arena) Alloc() (Block, bool) {
	if len(a.free) == 0 {
		return NoBlock, false
	}
	b := a.free[len(a.free)-1]
	a.free = a.free[:len(a.free)-1]
	a.holds[b] = 1
	a.peak = max(a.peak, a.Used())
	return b, true
}

// Hold counts one more segment whose bytes are in block b.
func (a *Arena) Hold(b Block) {
	if n := a.Holds(b); n == 0 || n == math.MaxUint16 {
		panic(fmt.Sprintf("umem: hold of block %d, which has %d", b, n))
	}
	a.holds[b]++
}

// Drop counts one segment less.
func (a *Arena) Drop(b Block) {
	n := a.Holds(b)
	if n == 0 {
		panic(fmt.Sprintf("umem: drop of block %d, which nobody holds", b))
	}
	a.holds[b] = uint16(n - 1)
	if n == 1 {
		a.free = append(a.free, b)
	}
}

// Holds is the number of holds on block b; 0 is a free one. It panics where there is no such block.
func (a *Arena) Holds(b Block) int { return int(a.holds[b]) }

// Bytes is the memory of block b.
func (a *Arena) Bytes(b Block) []byte {
	i := int(b) * BlockSize
	return a.mem[i : i+BlockSize : i+BlockSize]
}

// Audit proves that the free blocks are those without a hold, each once. An error is a bug of ours.
func (a *Arena) Audit() error {
	seen, held := make([]bool, len(a.holds)), 0
	for _, b := range a.free {
		if seen[b] || a.holds[b] != 0 {
			return fmt.Errorf("umem: audit: block %d is free twice, or held %d times and free", b, a.holds[b])
		}
		seen[b] = true
	}
	for _, n := range a.holds {
		if n > 0 {
			held++
		}
	}
	if held+len(a.free) != len(a.holds) {
		return errors.New("umem: audit: a block is neither held nor free")
	}
	return nil
}
