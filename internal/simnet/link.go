package simnet

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/xsend/xsend/tcp"
)

// LinkConfig is one direction of a path. The zero value carries everything at once.
type LinkConfig struct {
	Rate  int          // bytes per second; 0 = no limit
	Delay tcp.Duration // from the last byte sent to its arrival
	Queue int          // packets that may wait; the next is dropped; 0 = no limit
	MTU   int          // bytes of IP packet; larger ones are answered by ICMP; 0 = no limit

	Loss      float64      // chance that a packet is dropped
	Drop      []int        // packets to drop, counted from 0
	Burst     float64      // chance that an outage begins with a packet
	BurstFor  tcp.Duration // longest outage
	Jitter    tcp.Duration // longest delay more, without reordering
	Reorder   float64      // chance that a packet is overtaken
	ReorderBy tcp.Duration // how much longer it takes, at most
	Duplicate float64      // chance that a packet arrives twice
	Corrupt   float64      // chance that one bit of a packet flips
}

// LinkStats is what happened to the packets of one direction.
type LinkStats struct {
	Sent, Delivered, Lost, Overflow, Reordered, Duplicated, Corrupted, TooBig uint64
}

// Link is one direction of a path.
type Link struct {
	w       *World
	cfg     LinkConfig
	random  *rand.Rand
	deliver func(frame []byte)
	refuse  func(frame []byte, mtu int) // a router's answer to a packet that is too big
	watch   func(frame []byte)
	busy    tcp.Time // until when the sender is occupied
	last    tcp.Time // latest arrival so far, of those in order
	waiting int
	outage  tcp.Time // until when everything is dropped
	stats   LinkStats
}

// NewLink makes one direction of a path that ends in deliver.
func (w *World) NewLink(cfg LinkConfig, deliver func(frame []byte)) *Link {
	return &Link{w: w, cfg: cfg, random: w.source(), deliver: deliver}
}

// Stats is what happened so far.
func (l *Link) Stats() LinkStats { return l.stats }

// SetMTU changes the largest IP packet that the path carries.
func (l *Link) SetMTU(mtu int) { l.cfg.MTU = mtu }

// OnTooBig names who answers for packets that are too big; without, they just vanish
// (a black hole).
func (l *Link) OnTooBig(refuse func(frame []byte, mtu int)) { l.refuse = refuse }

// Watch names who looks at each frame as it is sent, before anything happens to it.
func (l *Link) Watch(watch func(frame []byte)) { l.watch = watch }

// Send takes a frame over and puts it on its way.
func (l *Link) Send(frame []byte) {
	index := int(l.stats.Sent)
	l.stats.Sent++
	if l.watch != nil {
		l.watch(frame)
	}
	switch {
	case l.cfg.MTU > 0 && len(frame)-ipAt(frame) > l.cfg.MTU:
		l.stats.TooBig++
		l.w.note('b', uint64(len(frame)))
		if l.refuse != nil {
			l.refuse(frame, l.cfg.MTU)
		}
		return
	case l.lose(index):
		l.stats.Lost++
		l.w.note('x', uint64(index))
		return
	case l.cfg.Queue > 0 && l.waiting >= l.cfg.Queue:
		l.stats.Overflow++
		l.w.note('q', uint64(index))
		return
	}
	l.flip(frame)
	l.carry(frame)
	if chance(l.random, l.cfg.Duplicate) {
		l.stats.Duplicated++
		l.carry(bytes.Clone(frame))
	}
}

// lose decides whether a packet is dropped.
func (l *Link) lose(index int) bool {
	if chance(l.random, l.cfg.Burst) {
		l.outage = l.w.now + 1 + between(l.random, 0, l.cfg.BurstFor)
	}
	return l.w.now < l.outage || chance(l.random, l.cfg.Loss) || slices.Contains(l.cfg.Drop, index)
}

// flip turns one bit around: never more, because two may cancel out in a checksum.
func (l *Link) flip(frame []byte) {
	if chance(l.random, l.cfg.Corrupt) {
		l.stats.Corrupted++
		bit := l.random.IntN(8 * len(frame))
		frame[bit/8] ^= 1 << (bit % 8)
	}
}

// carry sends a frame behind those waiting, and schedules its arrival.
func (l *Link) carry(frame []byte) {
	leaves := max(l.w.now, l.busy)
	if l.cfg.Rate > 0 {
		leaves += tcp.Time(int64(len(frame)) * int64(tcp.Second) / int64(l.cfg.Rate))
	}
	l.busy = leaves
	if l.cfg.Queue > 0 {
		l.waiting++
		l.w.At(leaves, func() { l.waiting-- })
	}
	l.w.At(l.arrival(leaves), func() {
		l.stats.Delivered++
		l.w.note('d', uint64(len(frame)))
		l.deliver(frame)
	})
}

func (l *Link) arrival(leaves tcp.Time) tcp.Time {
	t := leaves + l.cfg.Delay + between(l.random, 0, l.cfg.Jitter)
	if chance(l.random, l.cfg.Reorder) {
		l.stats.Reordered++
		return t + between(l.random, 0, l.cfg.ReorderBy)
	}
	l.last = max(l.last, t)
	return l.last
}
