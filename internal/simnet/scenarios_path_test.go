package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// What a path does to packets.
var pathScenarios = []scenario{
	{"calm", func(*Trial, *rand.Rand) {}, func(s *tally) string { return missing(s.tcp.BytesAcked, "byte ACKed") }},
	{"loss", lossy, func(s *tally) string { return missing(s.tcp.Recoveries, "recovery") }},
	{"ack-loss", func(t *Trial, r *rand.Rand) { t.Back.Loss = 0.1 + part(r, 0.4) },
		func(s *tally) string { return missing(s.back.Lost, "lost ACK") }},
	{"bursts", func(t *Trial, r *rand.Rand) {
		t.Forward.Burst, t.Forward.BurstFor = 0.02, tcp.Duration(r.IntN(300))*ms
		t.Back.Burst, t.Back.BurstFor = 0.01, tcp.Duration(r.IntN(300))*ms
	}, func(s *tally) string { return missing(s.tcp.Timeouts, "timeout") }},
	{"handshake-loss", func(t *Trial, r *rand.Rand) {
		t.Forward.Drop, t.Back.Drop = someOf(r, 6), someOf(r, 6)
	}, func(s *tally) string { return missing(min(s.forward.Lost, s.back.Lost), "loss in the handshake") }},
	{"tail-loss", func(t *Trial, r *rand.Rand) { // the last segments, and with them what would tell of their loss
		n := 1 + r.IntN(10)*1448
		t.At = append(t.At, Action{0, func(r *Run) { r.Forward.Filter(loseTail(r, n)) }})
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.forward.Lost, "loss at the end") }},
	{"lost-again", func(t *Trial, r *rand.Rand) { // retransmissions are lost too
		loses := rand.New(rand.NewPCG(r.Uint64(), 0))
		share := 2 + r.IntN(30)
		t.At = append(t.At, Action{0, func(r *Run) { r.Forward.Filter(loseAgain(loses, share)) }})
	}, func(s *tally) string { return missing(s.tcp.Timeouts, "timeout") }},
	{"reorder", func(t *Trial, r *rand.Rand) {
		t.Forward.Reorder, t.Forward.ReorderBy = 0.05+part(r, 0.2), tcp.Duration(r.IntN(5000))*us
		t.Back.Reorder, t.Back.ReorderBy = part(r, 0.1), tcp.Duration(r.IntN(5000))*us
	}, func(s *tally) string { return missing(s.tcp.DSACKs, "DSACK of a retransmission that was not needed") }},
	{"spray", func(t *Trial, r *rand.Rand) { // packet by packet over many paths
		t.Forward.Reorder, t.Forward.ReorderBy = 0.5+part(r, 0.5), tcp.Duration(1+r.IntN(3000))*us
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.forward.Reordered, "packet overtaken") }},
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
	}, func(s *tally) string { return missing(uint64(s.rttvar/(5*ms)), "RTT that varies by 5 ms") }},
	{"narrow", func(t *Trial, r *rand.Rand) { // a slow link with a short queue
		t.Forward.Rate, t.Forward.Queue = 1_000_000+r.IntN(5_000_000), 3+r.IntN(20)
	}, func(s *tally) string { return missing(s.forward.Overflow, "full queue") }},
	{"bufferbloat", func(t *Trial, r *rand.Rand) { // a slow link with an endless queue
		t.Forward.Rate, t.Forward.Queue = 50_000+r.IntN(450_000), 5000
		t.Peer.Buffer, t.Peer.Scale = 1<<20, 7
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.bloat/20, "RTT of 20 times the least") }},
	{"long-haul", func(t *Trial, r *rand.Rand) { // far away, and long enough for the window to find its size
		t.Bytes, t.Frames, t.Peer.Buffer, t.Peer.Scale = 200_000+r.IntN(500_000), 1000, 4<<20, 7
		rate, rtt := 500_000<<r.IntN(4), tcp.Duration(20+r.IntN(180))*ms
		bdp := int(int64(rate) * int64(rtt) / int64(tcp.Second) / 1500)
		t.Forward.Rate, t.Forward.Delay, t.Forward.Queue = rate, rtt/2, max(4, bdp<<r.IntN(5)/4)
		t.Back.Delay, t.WriterSleep, t.Commit = rtt/2, 0, 0
		t.Forward.Loss = []float64{0, 0.001, 0.01}[r.IntN(3)]
	}, func(s *tally) string { return missing(min(s.forward.Overflow, s.forward.Lost), "loss and full queue") }},
	{"policer", func(t *Trial, r *rand.Rand) { // what is too fast is dropped, and no queue gives warning
		t.Forward.Police, t.Forward.Allow = 200_000+r.IntN(2_000_000), 3000+r.IntN(20_000)
	}, func(s *tally) string { return missing(s.forward.Policed, "packet beyond the policed rate") }},
	{"slow-back", func(t *Trial, r *rand.Rand) { // ACKs fill their own bottleneck
		t.Back.Rate, t.Back.Queue = 5_000+r.IntN(50_000), 2+r.IntN(10)
	}, func(s *tally) string { return missing(s.back.Overflow, "ACK dropped by a full queue") }},
	{"ack-compression", func(t *Trial, r *rand.Rand) { // ACKs come in bunches, as over Wi-Fi, cable and LTE
		t.Back.Gather = tcp.Duration(1+r.IntN(50)) * ms
		t.Peer.AckEvery = 1 + r.IntN(2)
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.back.Gathered, "ACK that came with another") }},
	{"ack-thinning", func(t *Trial, r *rand.Rand) {
		t.Back.Thin, t.Back.Gather = 0.3+part(r, 0.7), tcp.Duration(r.IntN(20))*ms
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.back.Thinned, "ACK in place of another") }},
}

// someOf is each of the first n packets with one chance in two.
func someOf(r *rand.Rand, n int) (drop []int) {
	for i := range n {
		if r.IntN(2) == 0 {
			drop = append(drop, i)
		}
	}
	return drop
}

// loseTail drops what covers the last n bytes of the first stream, or its FIN, the first
// time that it is sent.
func loseTail(r *Run, n int) func(frame []byte) bool {
	first := uint32(r.Streams[0].iss) + 1
	from, sent := first+uint32(r.Bytes-n), first
	var seg wire.Segment
	return func(frame []byte) bool {
		if wire.Parse(frame, false, &seg) != nil || seg.PayloadLen == 0 && seg.Flags&wire.FlagFIN == 0 {
			return false
		}
		end := seg.Seq + seg.Len()
		fresh := before(sent, end)
		sent = later(sent, end)
		return fresh && before(from, end)
	}
}

// loseAgain drops a share of all segments, and those up to five times.
func loseAgain(r *rand.Rand, share int) func(frame []byte) bool {
	due := map[uint32]int{} // by sequence number: how often it is still to be dropped
	var seg wire.Segment
	return func(frame []byte) bool {
		if wire.Parse(frame, false, &seg) != nil || seg.PayloadLen <= 1 {
			return false
		}
		n, seen := due[seg.Seq]
		if !seen && r.IntN(share) == 0 {
			n = 1 + r.IntN(5)
		}
		due[seg.Seq] = max(0, n-1)
		return n > 0
	}
}
