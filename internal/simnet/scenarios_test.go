package simnet

import (
	"math/rand/v2"
	"slices"

	"github.com/xsend/xsend/tcp"
)

const (
	us = tcp.Microsecond
	ms = tcp.Millisecond
)

// scenario is a kind of trouble; the seed says how it goes this time. build gets a
// trial over an ordinary path and an ordinary zero-copy NIC and adds the trouble.
type scenario struct {
	name  string
	build func(t *Trial, r *rand.Rand)
	// prove names what did not happen in any of the trials: then the scenario tests nothing.
	prove func(sum *tally) string
}

var scenarios = slices.Concat(pathScenarios, changeScenarios, peerScenarios, nicScenarios, []scenario{everything}, ecnScenarios, holdScenarios)

func byName(name string) *scenario {
	for i := range scenarios {
		if scenarios[i].name == name {
			return &scenarios[i]
		}
	}
	panic(name)
}

// trial is the scenario as the seed has it.
func (s *scenario) trial(seed uint64) Trial {
	all := tcp.Congestions()
	t := s.trialWith(seed, all[seed%uint64(len(all))])
	if seed/16%2 == 1 {
		t.Kernel.Segments = 18
	}
	return t
}

// trialWith is the same with a congestion control of choice.
func (s *scenario) trialWith(seed uint64, cc tcp.Congestion) Trial {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	t := ordinary(seed, r)
	t.Congestion, t.Limit = cc, 3600*tcp.Second
	s.build(&t, r)
	// Counting everything anew takes long: after each pass with one seed in four.
	t.Audit = []int{1, 5, 7, 11}[seed/uint64(len(tcp.Congestions()))%4]
	return t
}

// ordinary is a path of 1 Gbit/s and about 1 ms, and a NIC that reads and completes
// some time later.
func ordinary(seed uint64, r *rand.Rand) Trial {
	link := LinkConfig{Rate: 125e6, Delay: tcp.Duration(1+r.IntN(1000)) * us, Queue: 256}
	t := Trial{
		Seed: seed, Bytes: 20_000 + r.IntN(100_000), Rewrite: true, Forward: link, Back: link,
		Kernel: KernelConfig{
			Read: [2]tcp.Duration{0, tcp.Duration(r.IntN(300)) * us}, Complete: [2]tcp.Duration{0, tcp.Duration(r.IntN(500)) * us},
			AnyOrder: r.IntN(2) == 0,
		},
		Peer: PeerConfig{Scale: uint8(r.IntN(8)), Buffer: 65535 << r.IntN(3)},
		Lag:  tcp.Duration(r.IntN(50)) * us,
		IPv6: r.IntN(4) == 0,
	}
	if r.IntN(4) == 0 {
		t.Commit = 1 + r.IntN(1448)
	}
	if r.IntN(4) == 0 {
		t.WriterSleep = tcp.Duration(r.IntN(2000)) * us
	}
	if r.IntN(8) == 0 {
		t.VLAN = uint16(1 + r.IntN(4094))
	}
	return t
}

// part is a random part of p. The conversion keeps the sum that it goes into from
// being fused with the product, which some CPUs do and others don't.
func part(r *rand.Rand, p float64) float64 { return float64(p * r.Float64()) }

func lossy(t *Trial, r *rand.Rand) {
	t.Forward.Loss = 0.005 + part(r, 0.05)
	t.Back.Loss = 0.05 * r.Float64()
}

// sometimes adds more trouble with one seed in two.
func sometimes(t *Trial, r *rand.Rand, trouble func(*Trial, *rand.Rand)) {
	if r.IntN(2) == 0 {
		trouble(t, r)
	}
}

// everything is several kinds of trouble at once.
var everything = scenario{"everything", func(t *Trial, r *rand.Rand) {
	for _, s := range slices.Concat(pathScenarios, changeScenarios, peerScenarios, nicScenarios) {
		if slices.Contains(together, s.name) && r.IntN(3) == 0 {
			s.build(t, r)
		}
	}
	t.Bytes = min(t.Bytes, 60_000)
}, func(s *tally) string {
	f := &s.forward
	return missing(min(f.Lost, f.Reordered, f.Duplicated, f.Corrupted, f.Changed, s.back.Gathered, s.back.Thinned, s.kernel.Twice, s.kernel.Invented, s.tcp.Reneged),
		"loss, reordering, duplicate, corruption, change, gathered and thinned ACKs, lies, reneging")
}}

var together = []string{"loss", "reorder", "duplicates", "corruption", "jitter", "lies", "late-batched", "reluctant", "renege",
	"ack-compression", "ack-thinning", "rtt-changes", "ack-division", "lost-again"}
