package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/tcp"
)

// demoting gives every stream a demotion after so long without progress.
func demoting(t *Trial, after tcp.Duration) {
	t.Arena = 4 << 20
	t.TCP = func(cfg *tcp.Config) {
		if !cfg.Resum { // in the wrong modes there is nothing to demote
			cfg.Hold = tcp.Hold{Policy: tcp.HoldDemote, Time: after, Abort: -1}
		}
	}
}

// stalling stops the peer's reader somewhere, and wakes it long after the demotion.
func stalling(t *Trial, r *rand.Rand) {
	demoting(t, tcp.Duration(50+r.IntN(500))*ms)
	t.Peer.Buffer, t.Peer.Scale = 8192+r.IntN(30_000), 0
	t.Peer.StallAt, t.Peer.StallFor = int64(1+r.IntN(t.Bytes/2)), tcp.Duration(2000+r.IntN(20_000))*ms
}

func wasDemoted(s *tally) uint64 {
	return min(s.tcp.Demotions, s.poller.BytesDemoted, s.tcp.ArenaSegments, s.tcp.BytesDemotedAcked)
}

// Peers that stand still, and what is not ACKed goes to the arena.
var holdScenarios = []scenario{
	{"demote", func(t *Trial, r *rand.Rand) {
		stalling(t, r)
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(min(wasDemoted(s), s.tcp.Probes), "demotion, window probe") }},
	{"demote-many", func(t *Trial, r *rand.Rand) {
		t.Streams, t.Frames = 2+r.IntN(6), 256
		t.Bytes /= 2
		stalling(t, r)
		sometimes(t, r, lossy)
	}, func(s *tally) string {
		return missing(min(wasDemoted(s), s.streams/6), "demotion, run with six streams")
	}},
	{"demote-late", func(t *Trial, r *rand.Rand) { // the kernel reads a frame that was demoted meanwhile
		stalling(t, r)
		lossy(t, r)
		demoting(t, tcp.Duration(20+r.IntN(50))*ms)
		t.Kernel.Late, t.Kernel.LateBy, t.Kernel.AnyOrder = 0.2, 600*ms, true
		t.Kernel.Batch = tcp.Duration(1+r.IntN(100)) * ms
	}, func(s *tally) string {
		return missing(min(wasDemoted(s), s.tcp.TimeoutsHeld+s.tcp.RetransmitsHeld), "demotion, retransmission held back")
	}},
	{"demote-outage", func(t *Trial, r *rand.Rand) { // timeouts of what lies in the arena
		lossy(t, r)
		demoting(t, tcp.Duration(20+r.IntN(300))*ms)
		t.Forward.Burst, t.Forward.BurstFor = 0.02, tcp.Duration(500+r.IntN(5000))*ms
	}, func(s *tally) string { return missing(min(wasDemoted(s), s.tcp.Timeouts), "demotion, timeout") }},
	{"demote-renege", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		demoting(t, tcp.Duration(10+r.IntN(200))*ms)
		t.Forward.Burst, t.Forward.BurstFor = 0.01, tcp.Duration(200+r.IntN(1000))*ms
		t.Peer.Renege = 0.02 + part(r, 0.1)
	}, func(s *tally) string { return missing(min(wasDemoted(s), s.tcp.Reneged), "demotion, reneging") }},
	{"demote-shrink", func(t *Trial, r *rand.Rand) { // demoted segments are cut
		stalling(t, r)
		lossy(t, r)
		t.Bytes /= 2
		t.Peer.Buffer, t.Peer.Shrink = 2048+r.IntN(4000), 0.1+part(r, 0.3)
	}, func(s *tally) string { return missing(min(wasDemoted(s), s.tcp.Cuts), "demotion, cut") }},
	{"demote-mtu", func(t *Trial, r *rand.Rand) { // and so are those that a path does not carry any more
		stalling(t, r)
		mtu := 576 + r.IntN(700)
		if t.IPv6 {
			mtu = 1280
		}
		t.At = append(t.At, Action{tcp.Duration(500+r.IntN(1000)) * ms, func(r *Run) { r.Forward.SetMTU(mtu) }})
	}, func(s *tally) string { return missing(min(wasDemoted(s), s.tcp.Cuts), "demotion, cut") }},
	{"demote-dies", func(t *Trial, r *rand.Rand) { // and the queue is opened again meanwhile
		stalling(t, r)
		lossy(t, r)
		t.Kernel.DiesAt = tcp.Second + tcp.Duration(r.IntN(3000))*ms
		t.Kernel.DiesLoudly = r.IntN(2) == 0
		t.Linger = 5 * tcp.Second
	}, func(s *tally) string {
		return missing(min(wasDemoted(s), s.poller.Rebuilds), "demotion, queue opened again")
	}},
}
