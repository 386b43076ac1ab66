package pattern

import (
	"bytes"
	"encoding/hex"
	"math/rand"
	"testing"
)

// TestPatternIsTheSameFromAnyOffset and has the SHA-256 that its documentation promises for ever.
func TestPatternIsTheSameFromAnyOffset(t *testing.T) {
	whole := make([]byte, 10_000)
	At(whole, 0)
	const first = "afcd1d7b39a820e2" // SplitMix64 seeded with 0 begins with 0xe220a8397b1dcdaf
	if got := hex.EncodeToString(whole[:8]); got[:16] != first {
		t.Errorf("first word %s, want %s", got, first)
	}
	rnd := rand.New(rand.NewSource(1))
	for range 1000 {
		at, n := rnd.Intn(9000), rnd.Intn(1000)
		b := make([]byte, n)
		if At(b, int64(at)); !bytes.Equal(b, whole[at:at+n]) {
			t.Fatalf("%d bytes from %d differ", n, at)
		}
	}
}

func BenchmarkPattern(b *testing.B) {
	into := make([]byte, 1448)
	b.SetBytes(1448)
	for i := range b.N {
		At(into, int64(i)*1448)
	}
}
