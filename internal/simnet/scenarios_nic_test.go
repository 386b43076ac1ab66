package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/tcp"
)

// What kernel and NIC do.
var nicScenarios = []scenario{
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
	}, func(s *tally) string { return missing(s.tcp.RetransmitsHeld, "retransmission held back") }},
	{"never", func(t *Trial, r *rand.Rand) { // completions that do not come, until the watchdog opens the queue again
		t.Kernel.Never = 0.002 + part(r, 0.03)
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.poller.Rebuilds, "queue opened again") }},
	{"unreliable-completions", func(t *Trial, r *rand.Rand) { // lost, duplicated and reordered at once, until a queue opened again does better
		lossy(t, r)
		t.Kernel.Never, t.Kernel.Twice, t.Kernel.AnyOrder = 0.001+part(r, 0.01), 0.02+part(r, 0.2), true
		t.Kernel.Complete = [2]tcp.Duration{0, tcp.Duration(1+r.IntN(20)) * ms}
	}, func(s *tally) string {
		return missing(min(s.kernel.Forgotten, s.kernel.Twice, s.kernel.Overtaken, s.poller.Duplicate, s.poller.Rebuilds), "completion lost, duplicated, overtaken; queue opened again")
	}},
	{"dies", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(r.IntN(20_000))*us
		t.Kernel.DiesLoudly = r.IntN(2) == 0
		t.Linger = 5 * tcp.Second // a queue that dies when nothing is out is not missed
	}, func(s *tally) string { return missing(s.poller.Rebuilds, "queue opened again") }},
	{"lies", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Kernel.Twice, t.Kernel.Invent, t.Kernel.InventRX = part(r, 0.2), part(r, 0.2), part(r, 0.1)
	}, func(s *tally) string {
		return missing(min(s.poller.Spurious, s.poller.Duplicate, s.poller.OutOfRange, s.poller.RxFault), "spurious and duplicate completion, address out of range, bad RX descriptor")
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
	}, func(s *tally) string { return missing(s.dry, "moment without a free frame") }},
}
