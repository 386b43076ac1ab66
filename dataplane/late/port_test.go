package late

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// instant is a port that completes at once what it gets.
type instant struct {
	dataplane.Port
	done []uint64
}

func (p *instant) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.done = append(p.done, d.Addr)
	}
}

func (p *instant) Reap(addrs []uint64) int {
	n := copy(addrs, p.done)
	p.done = p.done[n:]
	return n
}

// Each completion is handed on once, not before it came and not later than it may be; and some are late.
func TestLate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	now := tcp.Time(0)
	const most = 10 * tcp.Millisecond
	inside := &instant{}
	p := Wrap(inside, Config{Now: func() tcp.Time { return now }, Seed: 3, Most: most})
	out := map[uint64][]tcp.Time{} // when each descriptor of an address was submitted
	var addrs [64]uint64
	reordered, latest := 0, tcp.Duration(0)
	last := tcp.Time(0)
	reap := func() (n int) {
		n = p.Reap(addrs[:1+random.IntN(len(addrs))])
		for _, a := range addrs[:n] {
			if len(out[a]) == 0 {
				t.Fatalf("address %d came back once too often", a)
			}
			sent := out[a][0]
			out[a] = out[a][1:]
			latest = max(latest, now-sent)
			if sent < last {
				reordered++
			}
			last = sent
		}
		return n
	}
	submitted, back := 0, 0
	for range 2000 {
		for range random.IntN(4) {
			a := uint64(random.IntN(100)) * 2048
			p.Tx([]umem.Desc{{Addr: a, Len: 60}})
			out[a] = append(out[a], now)
			submitted++
		}
		back += reap()
		now += tcp.Time(random.IntN(int(tcp.Millisecond)))
	}
	for range 1000 {
		now += tcp.Millisecond
		back += reap()
	}
	st := p.Stats()
	if back != submitted || st.HandedOn != uint64(back) || st.Submitted != uint64(submitted) || st.Unexpected != 0 {
		t.Errorf("%d of %d came back: %+v", back, submitted, st)
	}
	if latest < most/2 || reordered == 0 || st.Late < most/2 {
		t.Errorf("late at most %v, %d out of order: %+v: nothing was late", latest, reordered, st)
	}
}

// What was never submitted is handed on at once: it is the pool's to report.
func TestUnexpected(t *testing.T) {
	inside := &instant{done: []uint64{4096}}
	p := Wrap(inside, Config{Now: func() tcp.Time { return 0 }})
	var addrs [4]uint64
	if n := p.Reap(addrs[:]); n != 1 || addrs[0] != 4096 || p.Stats().Unexpected != 1 {
		t.Errorf("%d, %v, %+v", n, addrs, p.Stats())
	}
}
