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

	Mark     int     // packets waiting with which one that can be told of congestion is (ECN); 0 = none is
	MarkSome float64 // chance that a packet that can be told is

	Police int          // bytes per second beyond which packets are dropped, however short the queue; 0 = no limit
	Allow  int          // bytes that may come at once in spite of Police
	Gather tcp.Duration // arrivals wait for the next multiple of it, and come together
	Thin   float64      // chance that a pure ACK takes the place of one before it that is still under way
}

// LinkStats is what happened to the packets of one direction.
type LinkStats struct {
	Sent, Delivered, Lost, Overflow, Reordered, Duplicated, Corrupted, TooBig uint64
	Policed, Gathered, Thinned, Marked                                        uint64

	Changed uint64       // packets sent after the path changed for the first time
	CutOff  uint64       // packets that were under way on a route that went away
	Gap     tcp.Duration // longest time between two packets sent
}

// Link is one direction of a path.
type Link struct {
	w       *World
	cfg     LinkConfig
	random  *rand.Rand
	deliver func(frame []byte)
	refuse  func(frame []byte, mtu int) // a router's answer to a packet that is too big
	watch   func(frame []byte)
	filter  func(frame []byte) bool
	busy    tcp.Time // until when the sender is occupied
	last    tcp.Time // latest arrival so far, of those in order
	waiting int
	outage  tcp.Time // until when everything is dropped
	sentAt  tcp.Time // the last packet; 0 = none
	paid    tcp.Time // until when what was sent has used up the policed rate
	route   int      // how many routes went away
	changed bool
	pureAck *transit // the last, which may be under way
	stats   LinkStats
}

// transit is a packet under way.
type transit struct {
	frame []byte
	route int
	there bool // it arrived
	gone  bool // a later ACK took its place
}

// NewLink makes one direction of a path that ends in deliver.
func (w *World) NewLink(cfg LinkConfig, deliver func(frame []byte)) *Link {
	return &Link{w: w, cfg: cfg, random: w.source(), deliver: deliver}
}

// Stats is what happened so far.
func (l *Link) Stats() LinkStats { return l.stats }

// OnTooBig names who answers for packets that are too big; without, they just vanish
// (a black hole).
func (l *Link) OnTooBig(refuse func(frame []byte, mtu int)) { l.refuse = refuse }

// Watch names who looks at each frame as it is sent, before anything happens to it.
func (l *Link) Watch(watch func(frame []byte)) { l.watch = watch }

// Filter names who decides which packets are lost, beside chance.
func (l *Link) Filter(drop func(frame []byte) bool) { l.filter = drop }

// Send takes a frame over and puts it on its way.
func (l *Link) Send(frame []byte) {
	index := l.count()
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
	case l.lose(index, frame):
		l.stats.Lost++
		l.w.note('x', uint64(index))
		return
	case l.police(len(frame)):
		l.stats.Policed++
		l.w.note('o', uint64(index))
		return
	case l.cfg.Queue > 0 && l.waiting >= l.cfg.Queue:
		l.stats.Overflow++
		l.w.note('q', uint64(index))
		return
	}
	l.mark(frame)
	l.flip(frame)
	l.carry(frame)
	if chance(l.random, l.cfg.Duplicate) {
		l.stats.Duplicated++
		l.carry(bytes.Clone(frame))
	}
}

// count counts a packet and gives its number.
func (l *Link) count() (index int) {
	index = int(l.stats.Sent)
	l.stats.Sent++
	if l.sentAt > 0 {
		l.stats.Gap = max(l.stats.Gap, l.w.now-l.sentAt)
	}
	l.sentAt = l.w.now
	if l.changed {
		l.stats.Changed++
	}
	return index
}

// lose decides whether a packet is dropped.
func (l *Link) lose(index int, frame []byte) bool {
	if chance(l.random, l.cfg.Burst) {
		l.outage = max(l.outage, l.w.now+1+between(l.random, 0, l.cfg.BurstFor))
	}
	return l.w.now < l.outage || chance(l.random, l.cfg.Loss) || slices.Contains(l.cfg.Drop, index) ||
		l.filter != nil && l.filter(frame)
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
		leaves += takes(len(frame), l.cfg.Rate)
	}
	l.busy = leaves
	if l.cfg.Queue > 0 || l.cfg.Mark > 0 {
		l.waiting++
		l.w.At(leaves, func() { l.waiting-- })
	}
	p := &transit{frame: frame, route: l.route}
	l.thin(p)
	l.w.At(l.arrival(leaves), func() { l.arrive(p) })
}

// takes is how long so many bytes take at a rate of bytes per second.
func takes(n, rate int) tcp.Duration {
	return tcp.Duration(int64(n) * int64(tcp.Second) / int64(rate))
}

func (l *Link) arrival(leaves tcp.Time) tcp.Time {
	t := leaves + l.cfg.Delay + between(l.random, 0, l.cfg.Jitter)
	if chance(l.random, l.cfg.Reorder) {
		l.stats.Reordered++
		return t + between(l.random, 0, l.cfg.ReorderBy)
	}
	return l.gather(t)
}

// gather is the arrival of what is due at t and in order.
func (l *Link) gather(t tcp.Time) tcp.Time {
	t = max(t, l.last)
	if g := l.cfg.Gather; g > 0 {
		t = (t + g - 1) / g * g
		if t == l.last {
			l.stats.Gathered++
		}
	}
	l.last = t
	return t
}

func (l *Link) arrive(p *transit) {
	p.there = true
	switch {
	case p.gone:
		return
	case p.route != l.route:
		l.stats.CutOff++
		l.w.note('y', uint64(len(p.frame)))
		return
	}
	l.stats.Delivered++
	l.w.note('d', uint64(len(p.frame)))
	l.deliver(p.frame)
}
