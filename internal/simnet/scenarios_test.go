package simnet

import (
	"math/rand/v2"

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
	// prove fails where the trouble did not happen in any of the trials: then the
	// scenario tests nothing.
	prove func(sum *tally) string
}

// tally adds up what happened in all trials of a scenario.
type tally struct {
	kernel                               KernelStats
	forward, back                        LinkStats
	tcp                                  tcp.Stats
	rebuilds, spurious, range_, rxFaults uint64
	unparsed                             uint64
}

func (t *tally) add(r *Run) {
	for _, k := range r.Kernels {
		s := k.Stats()
		t.kernel.Dropped += s.Dropped
		t.kernel.Forgotten += s.Forgotten
		t.kernel.Abandoned += s.Abandoned
		t.kernel.Twice += s.Twice
		t.kernel.Invented += s.Invented
		t.kernel.InventedRX += s.InventedRX
		for i, n := range s.Kicks {
			t.kernel.Kicks[i] += n
		}
	}
	for _, l := range []struct {
		sum *LinkStats
		of  LinkStats
	}{{&t.forward, r.Forward.Stats()}, {&t.back, r.Back.Stats()}} {
		l.sum.Lost += l.of.Lost
		l.sum.Overflow += l.of.Overflow
		l.sum.Reordered += l.of.Reordered
		l.sum.Duplicated += l.of.Duplicated
		l.sum.Corrupted += l.of.Corrupted
		l.sum.TooBig += l.of.TooBig
	}
	for _, s := range r.Streams {
		st := s.StatsNow()
		t.tcp.Retransmits += st.Retransmits
		t.tcp.RetransmitsHeld += st.RetransmitsHeld
		t.tcp.Timeouts += st.Timeouts
		t.tcp.TimeoutsHeld += st.TimeoutsHeld
		t.tcp.Probes += st.Probes
		t.tcp.Splits += st.Splits
		t.tcp.Cuts += st.Cuts
		t.tcp.Reneged += st.Reneged
		t.tcp.DSACKs += st.DSACKs
		t.tcp.Recoveries += st.Recoveries
		t.tcp.BytesReceived += st.BytesReceived
		t.tcp.PathMTU = max(t.tcp.PathMTU, st.PathMTU)
	}
	c := r.Poller.CountersNow()
	t.rebuilds += c.Rebuilds
	t.spurious += c.Spurious
	t.range_ += c.OutOfRange
	t.rxFaults += c.RxFault
	t.unparsed += r.Peer.Unparsed + c.RxChecksum + c.RxBad
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

func missing(n uint64, what string) string {
	if n == 0 {
		return what
	}
	return ""
}

var scenarios = []scenario{
	{"calm", func(*Trial, *rand.Rand) {}, nil},
	{"loss", lossy, func(s *tally) string { return missing(s.tcp.Recoveries, "recovery") }},
	{"ack-loss", func(t *Trial, r *rand.Rand) { t.Back.Loss = 0.1 + part(r, 0.4) },
		func(s *tally) string { return missing(s.back.Lost, "lost ACK") }},
	{"bursts", func(t *Trial, r *rand.Rand) {
		t.Forward.Burst, t.Forward.BurstFor = 0.02, tcp.Duration(r.IntN(300))*ms
		t.Back.Burst, t.Back.BurstFor = 0.01, tcp.Duration(r.IntN(300))*ms
	}, func(s *tally) string { return missing(s.tcp.Timeouts, "timeout") }},
	{"reorder", func(t *Trial, r *rand.Rand) {
		t.Forward.Reorder, t.Forward.ReorderBy = 0.05+part(r, 0.2), tcp.Duration(r.IntN(5000))*us
		t.Back.Reorder, t.Back.ReorderBy = part(r, 0.1), tcp.Duration(r.IntN(5000))*us
	}, func(s *tally) string { return missing(s.tcp.DSACKs, "DSACK of a retransmission that was not needed") }},
	{"duplicates", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Forward.Duplicate, t.Back.Duplicate = part(r, 0.2), part(r, 0.2)
	}, func(s *tally) string { return missing(s.forward.Duplicated, "duplicate") }},
	{"corruption", func(t *Trial, r *rand.Rand) {
		t.Forward.Corrupt, t.Back.Corrupt = part(r, 0.05), part(r, 0.05)
	}, func(s *tally) string { return missing(s.unparsed, "packet refused for its checksum") }},
	{"jitter", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Forward.Jitter, t.Back.Jitter = tcp.Duration(r.IntN(20))*ms, tcp.Duration(r.IntN(20))*ms
		t.Kernel.Read[1], t.Kernel.Complete[1] = tcp.Duration(r.IntN(20))*ms, tcp.Duration(r.IntN(20))*ms
	}, nil},
	{"narrow", func(t *Trial, r *rand.Rand) { // a slow link with a short queue
		t.Forward.Rate, t.Forward.Queue = 1_000_000+r.IntN(5_000_000), 3+r.IntN(20)
	}, func(s *tally) string { return missing(s.forward.Overflow, "full queue") }},
	{"buffer-2k", func(t *Trial, r *rand.Rand) {
		t.Bytes = 20_000 + r.IntN(20_000)
		t.Peer.Buffer, t.Peer.Scale = 2048, 0
		if r.IntN(2) == 0 {
			t.Forward.Loss = 0.02
		}
	}, func(s *tally) string { return missing(s.tcp.Cuts, "cut") }},
	{"window-500", func(t *Trial, r *rand.Rand) {
		t.Bytes = 5_000 + r.IntN(15_000)
		t.Peer.Buffer, t.Peer.Scale = 500, 0
		if r.IntN(2) == 0 {
			t.Forward.Loss = 0.02
		}
	}, func(s *tally) string { return missing(s.tcp.Splits, "split") }},
	{"zero-window", func(t *Trial, r *rand.Rand) {
		t.Peer.Buffer, t.Peer.Scale = 8192+r.IntN(30_000), 0
		t.Peer.StallAt, t.Peer.StallFor = int64(1+r.IntN(t.Bytes/2)), tcp.Duration(100+r.IntN(20_000))*ms
		if r.IntN(2) == 0 {
			lossy(t, r)
		}
	}, func(s *tally) string { return missing(s.tcp.Probes, "window probe") }},
	{"slow-reader", func(t *Trial, r *rand.Rand) {
		t.Peer.Buffer, t.Peer.Scale = 4096+r.IntN(30_000), uint8(r.IntN(4))
		t.Peer.ReadSize, t.Peer.ReadEvery = 1+r.IntN(6000), tcp.Duration(1+r.IntN(20))*ms
		t.Bytes = min(t.Bytes, 500*t.Peer.ReadSize)
	}, nil},
	{"shrink", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Bytes /= 2
		t.Peer.Shrink = 0.1 + part(r, 0.3)
	}, nil},
	{"renege", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Peer.Renege = 0.02 + part(r, 0.1)
	}, func(s *tally) string { return missing(s.tcp.Reneged, "reneging") }},
	{"no-options", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		p := &t.Peer
		p.NoSACK, p.NoTimestamps, p.NoScale = r.IntN(3) > 0, r.IntN(2) == 0, r.IntN(2) == 0
		p.MSS = 256 + r.IntN(1205)
		t.Bytes /= 2
	}, nil},
	{"mtu-falls", func(t *Trial, r *rand.Rand) {
		to := 1280
		if !t.IPv6 {
			to = 600 + r.IntN(800)
		}
		ours := r.IntN(3) == 0 // the interface's own MTU; otherwise that of a link far away
		t.At = append(t.At, Action{tcp.Duration(r.IntN(6000)) * us, func(r *Run) {
			r.Forward.SetMTU(to)
			if ours {
				r.Poller.SetMTU(r.World.Now(), r.Streams[0].Stream, to)
			}
		}})
		if r.IntN(2) == 0 {
			lossy(t, r)
		}
	}, func(s *tally) string { return missing(uint64(s.tcp.PathMTU), "fall of the path MTU") }},
	{"peer-sends", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Peer.Send = r.IntN(30_000)
		if r.IntN(2) == 0 {
			t.Peer.FinAt = int64(1 + r.IntN(t.Bytes))
		}
	}, func(s *tally) string { return missing(s.tcp.BytesReceived, "byte from the peer") }},
	{"many", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Streams, t.Frames = 2+r.IntN(6), 256
		t.Bytes /= t.Streams
	}, nil},

	// What kernel and NIC do.
	{"ack-first", func(t *Trial, r *rand.Rand) { // the ACK is there long before the completion
		t.Forward.Delay, t.Back.Delay = 10*us, 10*us
		t.Kernel.Complete = [2]tcp.Duration{2 * ms, tcp.Duration(5+r.IntN(100)) * ms}
		t.Kernel.AnyOrder = r.IntN(2) == 0
		lossy(t, r)
	}, func(s *tally) string { return missing(s.tcp.RetransmitsHeld, "retransmission held back") }},
	{"rto-first", func(t *Trial, r *rand.Rand) { // the timeout comes before the completion
		lossy(t, r)
		t.Forward.Burst, t.Forward.BurstFor = 0.02, 300*ms
		t.Kernel.Late, t.Kernel.LateBy = 0.2, 800*ms
		t.Kernel.AnyOrder = true
	}, func(s *tally) string { return missing(s.tcp.TimeoutsHeld, "timeout held back") }},
	{"late-batched", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Kernel.Batch = tcp.Duration(1+r.IntN(200)) * ms
		t.Bytes /= 2
	}, nil},
	{"never", func(t *Trial, r *rand.Rand) { // completions that do not come, until the watchdog opens the queue again
		t.Kernel.Never = 0.002 + part(r, 0.03)
		if r.IntN(2) == 0 {
			lossy(t, r)
		}
	}, func(s *tally) string { return missing(s.rebuilds, "queue opened again") }},
	{"dies", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(r.IntN(20_000))*us
		t.Kernel.DiesLoudly = r.IntN(2) == 0
		t.Linger = 5 * tcp.Second // a queue that dies when nothing is out is not missed
	}, func(s *tally) string { return missing(s.rebuilds, "queue opened again") }},
	{"lies", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Kernel.Twice, t.Kernel.Invent, t.Kernel.InventRX = part(r, 0.2), part(r, 0.2), part(r, 0.1)
	}, func(s *tally) string {
		return missing(min(s.spurious, s.range_, s.rxFaults), "spurious completion, address out of range, bad RX descriptor")
	}},
	{"reluctant", func(t *Trial, r *rand.Rand) { // EAGAIN, EBUSY, ENETDOWN, small budgets
		t.Kernel.Again, t.Kernel.Dropped, t.Kernel.Budget = part(r, 0.3), part(r, 0.02), 1+r.IntN(16)
		from := tcp.Second + tcp.Duration(r.IntN(10_000))*us
		t.Kernel.Down = []Span{{from, from + tcp.Duration(1+r.IntN(3000))*ms}}
	}, func(s *tally) string {
		return missing(min(s.kernel.Kicks[2], s.kernel.Kicks[3], s.kernel.Kicks[4]), "EAGAIN, EBUSY, ENETDOWN")
	}},
	{"tight", func(t *Trial, r *rand.Rand) { // hardly any frames, short rings
		lossy(t, r)
		t.Kernel.Ring = 32
		t.Frames = 70 + r.IntN(16)
	}, nil},
}

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
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	t := ordinary(seed, r)
	s.build(&t, r)
	// Counting everything anew takes long: after each pass with one seed in four.
	t.Audit = []int{1, 5, 7, 11}[seed%4]
	return t
}

func init() { // it refers to the others
	scenarios = append(scenarios, scenario{"everything", func(t *Trial, r *rand.Rand) {
		for _, name := range []string{"loss", "reorder", "duplicates", "corruption", "jitter", "lies", "late-batched", "reluctant", "renege"} {
			if r.IntN(2) == 0 {
				byName(name).build(t, r)
			}
		}
		t.Bytes = min(t.Bytes, 60_000)
	}, nil})
}
