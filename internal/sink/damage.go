package sink

import (
	"encoding/hex"
	"math/bits"
	"time"
)

// Bounds of what is remembered of wrong bytes.
const (
	mostGrains  = 1 << 26 // 64 GiB of stream
	mostExtents = 512     // of the sample
	sampleReach = 8 << 20 // bytes behind the first wrong one that the sample's extents may lie in
	sampleBytes = 64
	nearby      = 16 // wrong bytes with fewer right ones between them, which are so by chance, are one extent
)

// damage is where wrong bytes were.
type damage struct {
	grains  []uint64 // a bit for each RoundGrain with a wrong byte
	beyond  bool     // a wrong byte lay behind mostGrains
	first   int64    // offset of the first wrong byte
	arrived []byte   // from there on
	seen    time.Time
	extents [][2]int64
}

// Rounds is what a receiver says of the rounds of a connection. Its JSON names are stable.
type Rounds struct {
	Bytes  int64   `json:"bytes"` // of a round
	All    int64   `json:"all"`   // the last one may be shorter
	Hit    int64   `json:"hit"`   // that have wrong bytes
	Sample *Sample `json:"sample,omitempty"`
}

// Sample is the first wrong bytes and what is around them. Its JSON names are stable.
type Sample struct {
	Offset  int64      `json:"offset"`  // of the first wrong byte in the stream
	Arrived string     `json:"arrived"` // hexadecimal: at most 64 bytes from there on, as they came
	Seen    time.Time  `json:"seen"`    // when the first wrong byte was compared, by the receiver's clock: after it was read
	Extents [][2]int64 `json:"extents"` // wrong bytes of that round: offsets of the first, and behind the last; at most 512
}

// begin notes the first wrong byte; b begins with it.
func (d *damage) begin(at int64, b []byte) {
	d.first, d.seen = at, time.Now()
	d.arrived = append(make([]byte, 0, sampleBytes), b[:min(len(b), sampleBytes)]...)
}

// follow is told of the next bytes of the stream, whether they are wrong or right, before they are compared.
func (d *damage) follow(b []byte) {
	if n := cap(d.arrived) - len(d.arrived); n > 0 {
		d.arrived = append(d.arrived, b[:min(len(b), n)]...)
	}
}

// note notes a wrong byte; they come in order.
func (d *damage) note(at int64) {
	grain := at / RoundGrain
	if grain >= mostGrains {
		d.beyond = true
		return
	}
	for int64(len(d.grains)) <= grain/64 {
		d.grains = append(d.grains, 0)
	}
	d.grains[grain/64] |= 1 << (grain % 64)
	if at-d.first >= sampleReach {
		return
	}
	if n := len(d.extents); n > 0 && at-d.extents[n-1][1] < nearby {
		d.extents[n-1][1] = at + 1
	} else if n < mostExtents {
		d.extents = append(d.extents, [2]int64{at, at + 1})
	}
}

// addRounds answers for rounds of that many bytes; 0 was not asked.
func (v *Verdict) addRounds(round, bytes int64, d *damage) {
	if round == 0 || d == nil {
		return
	}
	if d.beyond {
		v.Err = "wrong bytes lie behind the first 64 GiB: rounds there were not counted; send less"
	}
	v.Rounds = &Rounds{Bytes: round, All: (bytes + round - 1) / round, Hit: d.hit(round)}
	if v.WrongBytes > 0 {
		v.Rounds.Sample = d.sample(round)
	}
}

// hit is the number of rounds with a wrong byte.
func (d *damage) hit(round int64) (n int64) {
	last := int64(-1)
	for i, word := range d.grains {
		for ; word != 0; word &= word - 1 {
			grain := int64(i)*64 + int64(bits.TrailingZeros64(word))
			if r := grain * RoundGrain / round; r != last {
				n, last = n+1, r
			}
		}
	}
	return n
}

// sample is what is known of the first round that was hit.
func (d *damage) sample(round int64) *Sample {
	end := (d.first/round + 1) * round
	s := &Sample{Offset: d.first, Arrived: hex.EncodeToString(d.arrived[:min(int64(len(d.arrived)), end-d.first)]), Seen: d.seen, Extents: [][2]int64{}}
	for _, e := range d.extents {
		if e[0] < end {
			s.Extents = append(s.Extents, [2]int64{e[0], min(e[1], end)})
		}
	}
	return s
}
