package simnet

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
)

var update = flag.Bool("simnet.update", false, "write the table of goodput anew")

const goodputFile = "testdata/goodput.txt"

// goodputCell is a path of 100 Mbit/s with a queue of one bandwidth-delay product
// (at least 32 packets), loss in 1/1000, round-trip time in ms.
type goodputCell struct{ loss, rtt int }

func (c goodputCell) trial(seed uint64) Trial {
	const rate = 100e6 / 8
	return Trial{
		Seed: seed, Bytes: 1 << 20, Frames: 2048, Audit: 64,
		Forward: LinkConfig{Rate: rate, Delay: tcp.Duration(c.rtt) * ms / 2, Queue: max(32, rate*c.rtt/1000/1500), Loss: float64(c.loss) / 1000},
		Back:    LinkConfig{Rate: rate, Delay: tcp.Duration(c.rtt) * ms / 2},
		Kernel:  KernelConfig{Ring: 512, Budget: 512, Read: [2]tcp.Duration{2 * us, 10 * us}, Complete: [2]tcp.Duration{2 * us, 20 * us}},
		Peer:    PeerConfig{Buffer: 4 << 20, Scale: 7},
	}
}

// most is the bytes that are timed: the loss of the last few costs a timeout, which
// would hide everything else.
const most = 15 << 16

// goodput is kbit/s from the SYN until most of the stream has arrived, over several seeds.
func (c goodputCell) goodput(t *testing.T) int {
	n := uint64(8)
	if c.loss == 0 {
		n = 1 // nothing is left to chance
	}
	var total tcp.Time
	for seed := range n {
		trial := c.trial(seed + 1)
		trial.At = []Action{{0, func(r *Run) { r.timed(&total) }}}
		r, err := trial.Do()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Complete(); err != nil {
			t.Fatal(err)
		}
	}
	return int(int64(n) * most * 8 * int64(ms) / int64(total))
}

// timed adds to total how long it takes until most of the stream has arrived.
func (r *Run) timed(total *tcp.Time) {
	if conns := r.Peer.Conns(); len(conns) > 0 && conns[0].Received() >= most {
		*total += r.World.Now() - tcp.Second
		return
	}
	r.World.After(100*us, func() { r.timed(total) })
}

// The table is what the engine makes of loss and distance. A cell that falls by more
// than a fifth is a regression, or a decision to be explained where the table is
// written anew.
func TestGoodputTable(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "# the first 960 of 1024 KiB over 100 Mbit/s, kbit/s; go test ./internal/simnet -run Goodput -simnet.update\n# loss/1000 rtt/ms kbit/s\n")
	golden := readGoodput(t)
	for _, rtt := range []int{1, 10, 50} {
		for _, loss := range []int{0, 1, 10, 50} {
			c := goodputCell{loss, rtt}
			got := c.goodput(t)
			fmt.Fprintf(&out, "%d %d %d\n", loss, rtt, got)
			if want := golden[c]; !*update && got < want*4/5 {
				t.Errorf("loss %d/1000, RTT %d ms: %d kbit/s, the table says %d", loss, rtt, got, want)
			}
		}
	}
	t.Log("\n" + out.String())
	if *update {
		if err := os.WriteFile(goodputFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readGoodput(t *testing.T) map[goodputCell]int {
	table := map[goodputCell]int{}
	f, err := os.Open(goodputFile)
	if err != nil {
		if *update {
			return table
		}
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var c goodputCell
		var v int
		if n, _ := fmt.Sscan(s.Text(), &c.loss, &c.rtt, &v); n == 3 {
			table[c] = v
		}
	}
	return table
}
