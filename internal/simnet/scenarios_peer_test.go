package simnet

import (
	"math/rand/v2"

	"github.com/xsend/xsend/tcp"
)

// What the peer does.
var peerScenarios = []scenario{
	{"stretch-acks", func(t *Trial, r *rand.Rand) { // one ACK for many segments, as behind GRO
		t.Peer.AckEvery, t.Peer.AckDelay = 4+r.IntN(60), tcp.Duration(1+r.IntN(200))*ms
		t.Bytes, t.Peer.Buffer, t.Peer.Scale = 60_000+r.IntN(200_000), 1<<20, 7
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.stretch/10, "stream with an ACK for ten segments") }},
	{"lazy-acks", func(t *Trial, r *rand.Rand) { // late by a coarse clock, and not even a gap hurries them
		t.Peer.AckTick, t.Peer.AckLazy = tcp.Duration(50+r.IntN(450))*ms, r.IntN(2) == 0
		t.Peer.AckEvery = 2 + r.IntN(7)
		t.Bytes /= 2
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.ticks, "ACK put off to the next tick") }},
	{"ack-division", func(t *Trial, r *rand.Rand) { // a peer that wants our window to grow faster
		t.Peer.AckParts = 2 + r.IntN(100)
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.parts, "ACK of a part of a segment") }},
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
		sometimes(t, r, lossy)
	}, func(s *tally) string { return missing(s.tcp.Probes, "window probe") }},
	{"slow-reader", func(t *Trial, r *rand.Rand) {
		t.Peer.Buffer, t.Peer.Scale = 4096+r.IntN(30_000), uint8(r.IntN(4))
		t.Peer.ReadSize, t.Peer.ReadEvery = 1+r.IntN(6000), tcp.Duration(1+r.IntN(20))*ms
		t.Bytes = min(t.Bytes, 500*t.Peer.ReadSize)
	}, func(s *tally) string { return missing(s.updates, "ACK that only opened the window") }},
	{"shrink", func(t *Trial, r *rand.Rand) {
		lossy(t, r)
		t.Bytes /= 2
		t.Peer.Shrink = 0.1 + part(r, 0.3)
	}, func(s *tally) string { return missing(s.shrunk, "window that shrank") }},
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
	}, func(s *tally) string {
		return missing(min(s.noSACK, s.noStamps, s.noScale), "stream without SACK, timestamps, scaling")
	}},
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
	}, func(s *tally) string { return missing(s.streams/6, "run with six streams") }},
}
