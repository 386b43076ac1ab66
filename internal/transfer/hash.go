package transfer

import (
	"crypto/sha256"
	"encoding/hex"
)

// hasher sums a stream in a goroutine of its own. Ranges are lent to it before they are committed, while
// nobody else may write them: sum them, wait, commit.
type hasher struct {
	work chan [][]byte
	done chan struct{}
	sum  [sha256.Size]byte
}

func newHasher() *hasher {
	h := &hasher{work: make(chan [][]byte), done: make(chan struct{})}
	go h.run()
	return h
}

func (h *hasher) run() {
	state := sha256.New()
	for ranges := range h.work {
		for _, b := range ranges {
			state.Write(b)
		}
		h.done <- struct{}{}
	}
	state.Sum(h.sum[:0])
	close(h.done)
}

// start begins to sum ranges; wait follows before the next start.
func (h *hasher) start(ranges [][]byte) { h.work <- ranges }

// wait returns when the ranges of the last start are summed.
func (h *hasher) wait() { <-h.done }

// finish ends the goroutine and returns the sum of everything, in hexadecimal.
func (h *hasher) finish() string {
	close(h.work)
	<-h.done
	return hex.EncodeToString(h.sum[:])
}
