package simnet

import "testing"

// The same seed gives the same events in the same order; another seed others.
func TestSameSeedSameTrace(t *testing.T) {
	for i := range scenarios {
		s := &scenarios[i]
		seen := map[uint64]uint64{}
		for seed := *first; seed < *first+uint64(some(5)); seed++ {
			a, err := s.trial(seed).Do()
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
				continue
			}
			b, err := s.trial(seed).Do()
			if err != nil {
				t.Fatalf("%s: the second run: %v", s.name, err)
			}
			if a.World.Hash() != b.World.Hash() || a.World.Events() != b.World.Events() {
				t.Errorf("%s, seed %d: %d events, hash %x; again %d, %x", s.name, seed, a.World.Events(), a.World.Hash(), b.World.Events(), b.World.Hash())
			}
			if other, ok := seen[a.World.Hash()]; ok {
				t.Errorf("%s: seeds %d and %d have the same trace", s.name, other, seed)
			}
			seen[a.World.Hash()] = seed
		}
	}
}
