package netem

import "time"

// Time is a moment on the monotonic clock, in nanoseconds from a start of the caller's choice.
type Time int64

// maxPending bounds the packets on a line; one more is an overflow, which nobody asked for.
const maxPending = 1 << 16

// line is one direction of a wire: packets are offered when they come and taken when they are due. It
// knows no clock.
type line struct {
	rule   Impairment
	seed   uint64
	loss   threshold
	late   threshold
	twice  threshold
	broken threshold
	cut    bool // a loss of 100 %: exempt packets too

	number  uint64   // of the last numbered packet, from 1
	queue   fifo     // when each packet that waits for the bottleneck will be through
	idle    Time     // when the bottleneck will have nothing to do
	last    Time     // when the packet before this one is due, unless that one was held back
	pending schedule // packets that are under way
	free    buffers
	count   Direction
}

func newLine(rule Impairment, seed uint64) *line {
	l := &line{}
	l.set(rule, seed)
	return l
}

// set changes what the line does from the next packet on, numbers packets from 1 again and counts from zero. What
// is under way stays as it is, and isn't counted.
func (l *line) set(rule Impairment, seed uint64) {
	l.rule, l.seed = rule.withDefaults(), seed
	l.loss, l.late = thresholdOf(rule.Loss), thresholdOf(rule.Reorder)
	l.twice, l.broken = thresholdOf(rule.Duplicate), thresholdOf(rule.Corrupt)
	l.cut = rule.Loss == 100
	l.number, l.count = 0, Direction{}
	for i := range l.pending.heap {
		l.pending.heap[i].old = true
	}
}

// offer takes a frame that has come, of which it keeps a copy.
func (l *line) offer(now Time, frame []byte) {
	l.count.Packets++
	l.count.Bytes += uint64(len(frame))
	p := classify(frame)
	numbered := p.kind == payload || p.kind == bare && l.rule.All
	if numbered {
		l.number++
		l.count.Numbered++
	}
	if l.cut || numbered && l.loss.hit(l.draw(drawLoss)) {
		l.count.Lost++
		return
	}
	through, crowded, ok := l.squeeze(now, len(frame))
	if !ok {
		l.count.QueueDropped++
		return
	}
	due := l.travel(through)
	if numbered && l.late.hit(l.draw(drawReorder)) {
		l.count.Reordered++
		due += Time(l.rule.Hold)
	}
	buf := l.free.take(frame)
	if crowded && p.mark(buf) {
		l.count.Marked++
	}
	if numbered && l.broken.hit(l.draw(drawCorrupt)) {
		l.count.Corrupted++
		l.turn(buf, p)
	}
	l.put(due, buf)
	if numbered && l.twice.hit(l.draw(drawDuplicate)) {
		l.count.Duplicated++
		l.put(due, l.free.take(buf))
	}
}

func (l *line) draw(d draw) uint64 { return d.of(l.seed, l.number) }

// squeeze says when a frame will be through the bottleneck, or that the queue before it is full; crowded is where
// marks begin.
func (l *line) squeeze(now Time, size int) (through Time, crowded, ok bool) {
	if l.rule.Rate == 0 {
		return now, false, true
	}
	l.queue.leave(now)
	if l.queue.len() >= l.rule.Queue {
		return 0, true, false
	}
	crowded = l.rule.Mark > 0 && l.queue.len() >= l.rule.Mark
	l.idle = max(l.idle, now) + serialization(size, l.rule.Rate)
	l.queue.join(l.idle)
	l.count.QueuePeak = max(l.count.QueuePeak, l.queue.len())
	return l.idle, crowded, true
}

// serialization is how long a frame takes at a rate in bits per second, rounded up: over a long time no more
// than the rate passes.
func serialization(size int, rate int64) Time {
	bits := int64(size) * 8
	return Time((bits*int64(time.Second) + rate - 1) / rate)
}

// travel says when a packet arrives that enters now: not before the one ahead of it.
func (l *line) travel(now Time) Time {
	due := now + Time(l.rule.Delay)
	if j := uint64(l.rule.Jitter); j > 0 {
		due += Time(below(drawJitter.of(l.seed, l.count.Packets), 2*j+1)) - Time(j)
	}
	l.last = max(l.last, due)
	return l.last
}

// turn turns one bit over of what the transport's checksum covers.
func (l *line) turn(frame []byte, p packet) {
	if p.end <= p.start {
		return
	}
	bit := below(l.draw(drawBit), uint64(p.end-p.start)*8)
	frame[p.start+int(bit/8)] ^= 1 << (bit % 8)
}

func (l *line) put(due Time, buf []byte) {
	if l.pending.len() >= maxPending {
		l.count.Overflow++
		l.free.put(buf)
		return
	}
	l.pending.push(due, buf)
}

// next says when the next packet is due, if any is under way.
func (l *line) next() (Time, bool) {
	if l.pending.len() == 0 {
		return 0, false
	}
	return l.pending.heap[0].due, true
}

// take returns the next packet that is due, or nil. The frame goes back with release.
func (l *line) take(now Time) (frame []byte) {
	if at, ok := l.next(); !ok || at > now {
		return nil
	}
	e := l.pending.pop()
	if !e.old {
		l.count.sent(len(e.frame), now-e.due)
	}
	return e.frame
}

// release gives a frame back that left.
func (l *line) release(frame []byte) { l.free.put(frame) }

// refuse gives a frame back that could not be sent.
func (l *line) refuse(frame []byte) {
	l.count.SendErrors++
	l.free.put(frame)
}
