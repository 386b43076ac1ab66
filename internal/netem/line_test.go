package netem

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"
	"time"
)

// numbered is a frame of the kind that counts, with a number of the test's own in its payload.
func numbered(n int) []byte {
	return binary.BigEndian.AppendUint32(udpFrame(1400), uint32(n))
}

func numberOf(frame []byte) int {
	return int(binary.BigEndian.Uint32(frame[len(frame)-4:]))
}

// departure is a packet that left a line.
type departure struct {
	n     int
	at    Time
	frame []byte
}

// drain takes all that is under way, each packet when it is due.
func drain(l *line) (all []departure) {
	for {
		at, ok := l.next()
		if !ok {
			return all
		}
		if l.take(at-1) != nil {
			panic("a packet left before it was due")
		}
		frame := l.take(at)
		all = append(all, departure{numberOf(frame), at, bytes.Clone(frame)})
		l.release(frame)
	}
}

// offerAll offers frames 1 to n, the given time apart.
func offerAll(l *line, n int, apart Time) {
	for i := range n {
		l.offer(Time(i)*apart, numbered(i+1))
	}
}

func numbers(all []departure) (ns []int) {
	for _, d := range all {
		ns = append(ns, d.n)
	}
	return ns
}

// survivors is the loss pattern by another hand: the one of the lab's loss program.
func survivors(seed uint64, percent float64, n int) (ns []int) {
	limit := uint64(percent*10_000) << 32 / 1_000_000
	for i := 1; i <= n; i++ {
		x := seed + uint64(i)*0x9e3779b97f4a7c15
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
		if x>>32 >= limit {
			ns = append(ns, i)
		}
	}
	return ns
}

func TestLossByNumber(t *testing.T) {
	const n = 5000
	for _, percent := range []float64{0.1, 1, 3, 50} {
		l := newLine(Impairment{Loss: percent}, 7)
		offerAll(l, n, 1000)
		want := survivors(7, percent, n)
		if got := numbers(drain(l)); !slices.Equal(got, want) || len(got) == n {
			t.Errorf("%v %%: %d of %d packets passed, want %d others", percent, len(got), n, len(want))
		}
		if c := l.count; c.Lost != uint64(n-len(want)) || c.Drops() != c.Lost || c.Numbered != n {
			t.Errorf("%v %%: counted %+v", percent, c)
		}
		if slices.Equal(survivors(8, percent, n), want) {
			t.Error("another seed gives the same pattern: this test has no power")
		}
	}
}

// TestNumbersSkipWhatCarriesNothing mixes in what a kernel and another sender would send besides.
func TestNumbersSkipWhatCarriesNothing(t *testing.T) {
	const n = 2000
	pass := func(all bool) []int {
		l := newLine(Impairment{Loss: 5, All: all}, 3)
		for i := range n {
			l.offer(0, numbered(i+1))
			l.offer(0, tcpFrame(0x10, 0)) // a pure ACK
			l.offer(0, tcpFrame(0x02, 0))
			l.offer(0, arpFrame())
		}
		var got []int
		for {
			frame := l.take(0)
			if frame == nil {
				return got
			}
			if classify(frame).kind == payload {
				got = append(got, numberOf(frame))
			}
		}
	}
	want := survivors(3, 5, n)
	if !slices.Equal(pass(false), want) {
		t.Error("packets without payload change the pattern")
	}
	if slices.Equal(pass(true), want) {
		t.Error("All changes nothing: this test has no power")
	}
}

func TestCutCable(t *testing.T) {
	l := newLine(Impairment{Loss: 100}, 1)
	l.offer(0, arpFrame())
	l.offer(0, numbered(1))
	if _, ok := l.next(); ok || l.count.Lost != 2 {
		t.Errorf("something passes at 100 %%: %+v", l.count)
	}
	l.set(Impairment{Loss: 99.9999}, 1)
	l.offer(0, arpFrame())
	if _, ok := l.next(); !ok {
		t.Error("ARP is lost below 100 %")
	}
}

func TestSetNumbersFromOne(t *testing.T) {
	l := newLine(Impairment{Loss: 20}, 5)
	offerAll(l, 300, 0)
	first := numbers(drain(l))
	offerAll(l, 300, 0)
	if slices.Equal(numbers(drain(l)), first) {
		t.Error("the pattern repeats by itself: this test has no power")
	}
	l.set(Impairment{Loss: 20}, 5)
	offerAll(l, 300, 0)
	if !slices.Equal(numbers(drain(l)), first) || l.count.Packets != 300 {
		t.Errorf("not the first pattern again; counted %+v", l.count)
	}
}

// TestSetCountsWhatComesAfterIt: what was under way then arrives, and is in no counter.
func TestSetCountsWhatComesAfterIt(t *testing.T) {
	l := newLine(Impairment{Delay: time.Millisecond}, 1)
	offerAll(l, 5, 0)
	l.set(Impairment{}, 1)
	l.offer(0, numbered(6))
	if all := drain(l); len(all) != 6 || l.count.Sent != 1 || l.count.Packets != 1 {
		t.Errorf("%d packets left, counted %+v", len(all), l.count)
	}
}

// TestBottleneck: frames of 1442 bytes at 100 Mbit/s are 115.36 µs apart, whatever they came like.
func TestBottleneck(t *testing.T) {
	const each = Time(115_360)
	for _, apart := range []Time{0, 10_000, each} {
		l := newLine(Impairment{Rate: 100_000_000}, 1)
		offerAll(l, 100, apart)
		for i, d := range drain(l) {
			if want := Time(i+1) * each; d.at != want || d.n != i+1 {
				t.Fatalf("apart %d: packet %d (number %d) left at %d, want %d", apart, i+1, d.n, d.at, want)
			}
		}
	}
	l := newLine(Impairment{Rate: 100_000_000}, 1)
	offerAll(l, 100, 2*each) // slower than the bottleneck: each is alone
	for i, d := range drain(l) {
		if want := Time(i)*2*each + each; d.at != want {
			t.Fatalf("packet %d left at %d, want %d: nothing was before it", i+1, d.at, want)
		}
	}
	l = newLine(Impairment{}, 1)
	offerAll(l, 100, 0)
	if all := drain(l); all[99].at != 0 {
		t.Error("without a rate something waits: this test has no power")
	}
}

func TestSerializationRoundsUp(t *testing.T) {
	for _, c := range []struct {
		size int
		rate int64
		want Time
	}{{1500, 200_000_000, 60_000}, {1514, 200_000_000, 60_560}, {1, 3_000_000_000, 3}, {65535, 1, 65535 * 8 * 1e9}} {
		if got := serialization(c.size, c.rate); got != c.want {
			t.Errorf("%d bytes at %d bit/s: %d ns, want %d", c.size, c.rate, got, c.want)
		}
	}
}

func TestQueueDropsTheTail(t *testing.T) {
	burst := func(queue int) (*line, []int) {
		l := newLine(Impairment{Rate: 100_000_000, Queue: queue}, 1)
		offerAll(l, 50, 0)
		return l, numbers(drain(l))
	}
	l, got := burst(20)
	if len(got) != 20 || got[19] != 20 || l.count.QueueDropped != 30 || l.count.QueuePeak != 20 || l.count.Lost != 0 {
		t.Errorf("a burst of 50 into a queue of 20: %v passed, %+v", got, l.count)
	}
	if l, got := burst(50); len(got) != 50 || l.count.QueueDropped != 0 {
		t.Errorf("a queue of 50 dropped of 50: this test has no power: %+v", l.count)
	}
	// One more fits as soon as one is through, and not before.
	const each = Time(115_360)
	l = newLine(Impairment{Rate: 100_000_000, Queue: 2}, 1)
	for i, at := range []Time{0, 0, each - 1, each, each} {
		l.offer(at, numbered(i+1))
	}
	if got := numbers(drain(l)); !slices.Equal(got, []int{1, 2, 4}) {
		t.Errorf("passed: %v, want 1, 2 and 4", got)
	}
}

// TestLossComesBeforeTheQueue: what is lost takes no room in it.
func TestLossComesBeforeTheQueue(t *testing.T) {
	l := newLine(Impairment{Loss: 50, Rate: 100_000_000, Queue: 20}, 9)
	offerAll(l, 50, 0)
	if got, want := numbers(drain(l)), survivors(9, 50, 50)[:20]; !slices.Equal(got, want) {
		t.Errorf("passed: %v, want %v", got, want)
	}
}

func TestDelayAndJitterKeepTheOrder(t *testing.T) {
	const delay, jitter = 10 * time.Millisecond, 3 * time.Millisecond
	l := newLine(Impairment{Delay: delay, Jitter: jitter}, 4)
	const apart = Time(5 * time.Millisecond) // more than the jitter: each delay is seen as it was drawn
	offerAll(l, 1000, apart)
	least, most := Time(delay), Time(delay)
	for i, d := range drain(l) {
		took := d.at - Time(i)*apart
		least, most = min(least, took), max(most, took)
		if d.n != i+1 {
			t.Fatalf("packet %d came as number %d", d.n, i+1)
		}
	}
	if least < Time(delay-jitter) || most > Time(delay+jitter) || least > Time(delay-jitter*9/10) || most < Time(delay+jitter*9/10) {
		t.Errorf("delays from %v to %v, want %v ± %v", time.Duration(least), time.Duration(most), delay, jitter)
	}
	offerAll(l, 1000, 1000) // jitter far beyond the distance
	if got := numbers(drain(l)); !slices.IsSorted(got) {
		t.Error("jitter changed the order")
	}
}

func TestHeldBackPacketsAreOvertaken(t *testing.T) {
	const apart, hold = Time(60_000), 500 * time.Microsecond
	l := newLine(Impairment{Delay: 2 * time.Millisecond, Reorder: 2}, 6) // held for a quarter of the delay
	offerAll(l, 2000, apart)
	late, overtaken := 0, 0
	all := drain(l)
	for i, d := range all {
		switch d.at - Time(d.n-1)*apart - Time(2*time.Millisecond) {
		case 0:
		case Time(hold):
			late++
			if i > 0 && all[i-1].n > d.n {
				overtaken++
			}
		default:
			t.Fatalf("packet %d left at %d", d.n, d.at)
		}
	}
	if len(all) != 2000 || late != int(l.count.Reordered) || overtaken < late-1 || late < 20 || late > 60 {
		t.Errorf("%d packets, %d late, %d overtaken, counted %+v", len(all), late, overtaken, l.count)
	}
	l.set(Impairment{Delay: 2 * time.Millisecond}, 6)
	offerAll(l, 2000, apart)
	if got := numbers(drain(l)); !slices.IsSorted(got) {
		t.Error("out of order without reordering: this test has no power")
	}
}

func TestDuplicates(t *testing.T) {
	l := newLine(Impairment{Duplicate: 10, Rate: 100_000_000}, 2)
	offerAll(l, 1000, 200_000)
	all := drain(l)
	copies := 0
	for i := 1; i < len(all); i++ {
		if all[i].n == all[i-1].n {
			copies++
			if all[i].at != all[i-1].at || !bytes.Equal(all[i].frame, all[i-1].frame) {
				t.Errorf("copy of %d: another time or other bytes", all[i].n)
			}
		}
	}
	if copies < 60 || copies > 140 || copies != int(l.count.Duplicated) || len(all) != 1000+copies || l.count.Sent != uint64(len(all)) {
		t.Errorf("%d packets left, %d of them copies, counted %+v", len(all), copies, l.count)
	}
}

func TestCorruptionTurnsOneBit(t *testing.T) {
	l := newLine(Impairment{Corrupt: 20}, 2)
	turned := 0
	for i := range 500 {
		sent := tcpFrame(0x10, 100)
		sent = append(sent, 0, 0, 0) // what is behind the IP packet is padding, which no checksum covers
		l.offer(Time(i), sent)
		got := l.take(Time(i))
		differs := 0
		for j := range sent {
			n := bits.OnesCount8(sent[j] ^ got[j])
			if n > 0 && (j < etherLen+ipv4Len || j >= len(sent)-3) {
				t.Errorf("packet %d: byte %d is outside of what TCP's checksum covers", i, j)
			}
			differs += n
		}
		if differs > 1 {
			t.Errorf("packet %d: %d bits differ", i, differs)
		}
		turned += differs
	}
	if turned < 60 || turned > 140 || turned != int(l.count.Corrupted) {
		t.Errorf("%d of 500 are corrupt, counted %d", turned, l.count.Corrupted)
	}
}

// TestDrawsAreIndependent: what is lost says nothing about what else is done to packets.
func TestDrawsAreIndependent(t *testing.T) {
	limit := thresholdOf(10)
	for d := drawReorder; d <= drawBit; d++ {
		both := 0
		for n := range uint64(100_000) {
			if limit.hit(drawLoss.of(1, n+1)) && limit.hit(d.of(1, n+1)) {
				both++
			}
		}
		if both < 850 || both > 1150 {
			t.Errorf("draw %d: %d of 100000 hit twice, want about 1000", d, both)
		}
	}
}

func TestOverflowIsCounted(t *testing.T) {
	l := newLine(Impairment{Delay: time.Second}, 1)
	frame := arpFrame()
	for range maxPending + 3 {
		l.offer(0, frame)
	}
	if l.count.Overflow != 3 || l.count.Unintended() != 3 || l.summary().Pending != maxPending {
		t.Errorf("%+v", l.summary())
	}
}

func TestLateness(t *testing.T) {
	l := newLine(Impairment{}, 1)
	for _, late := range []time.Duration{0, 100 * time.Microsecond, 500 * time.Microsecond} {
		l.offer(0, numbered(1))
		l.release(l.take(Time(late)))
	}
	if s := l.summary(); s.LateMax != 500 || s.LateMean != 200 || s.Late != 1 {
		t.Errorf("mean %v, worst %v, %d too late; want 200, 500, 1", s.LateMean, s.LateMax, s.Late)
	}
}

// TestSteadyStateAllocatesNothing: the wire must not wait for a garbage collection.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := newLine(Impairment{Rate: 100_000_000, Delay: time.Millisecond, Loss: 1, Reorder: 1, Duplicate: 1}, 1)
	frame := numbered(1)
	now := Time(0)
	pass := func() {
		now += 100_000
		for range 3 {
			l.offer(now, frame)
		}
		for {
			f := l.take(now)
			if f == nil {
				return
			}
			l.release(f)
		}
	}
	for range 2000 {
		pass()
	}
	if n := testing.AllocsPerRun(1000, pass); n != 0 {
		t.Errorf("%v allocations in a pass", n)
	}
}

func BenchmarkLine(b *testing.B) {
	l := newLine(Impairment{Rate: 200_000_000, Delay: 40 * time.Millisecond, Loss: 1}, 1)
	frame := udpFrame(1472)
	b.SetBytes(int64(len(frame)))
	now := Time(0)
	for b.Loop() {
		now += 60_560
		l.offer(now, frame)
		for {
			f := l.take(now)
			if f == nil {
				break
			}
			l.release(f)
		}
	}
}
