package simnet

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
)

var update = flag.Bool("simnet.update", false, "write the golden files anew: traces and goodput")

const (
	goodputFile  = "testdata/goodput.txt"
	goodputRate  = 20e6 / 8 // bytes per second
	goodputBytes = 24 << 20
	goodputLimit = 120 * tcp.Second
)

// goodputRow is a congestion control on a path of 20 Mbit/s.
type goodputRow struct {
	congestion tcp.Congestion
	rtt        int // ms
	loss       int // of 1000 packets
}

// goodputQueues are queues in quarters of the bandwidth-delay product.
var goodputQueues = [...]int{1, 4, 16}

// goodputLine is kbit/s with each of the queues.
type goodputLine [len(goodputQueues)]int

func (row goodputRow) trial(queue int) Trial {
	delay := tcp.Duration(row.rtt) * ms / 2
	bdp := goodputRate * row.rtt / 1000 / 1500
	return Trial{
		Seed: uint64(row.rtt*1000 + row.loss), Bytes: goodputBytes, Frames: 2048, Audit: 1 << 20, Congestion: row.congestion,
		Forward: LinkConfig{Rate: goodputRate, Delay: delay, Queue: max(2, bdp*queue/4)},
		Back:    LinkConfig{Rate: goodputRate, Delay: delay},
		Kernel:  KernelConfig{Ring: 512, Budget: 512, Read: [2]tcp.Duration{2 * us, 10 * us}, Complete: [2]tcp.Duration{2 * us, 20 * us}},
		Peer:    PeerConfig{Buffer: 4 << 20, Scale: 7},
		At: []Action{{0, func(r *Run) {
			if row.loss > 0 {
				r.Forward.Filter(oneIn(r.World.source(), 1000/row.loss))
			}
		}}},
	}
}

// oneIn drops one packet in each n, anywhere among them: loss as random as by chance alone
// makes two runs differ by more than what is to be seen here.
func oneIn(r *rand.Rand, n int) func(frame []byte) bool {
	at, i := r.IntN(n), 0
	return func([]byte) bool {
		if i == n {
			at, i = r.IntN(n), 0
		}
		i++
		return i-1 == at
	}
}

// goodput is kbit/s from the SYN until nearly everything has arrived, or time is up. The
// end is not of it: the loss of the last few costs a timeout, which would hide all else.
func (row goodputRow) goodput(t *testing.T, queue int) (rate int) {
	const most = goodputBytes - 1<<16
	trial := row.trial(queue)
	var look func(r *Run)
	look = func(r *Run) {
		took, got := r.World.Now()-tcp.Second, r.received()
		if got < most && took < goodputLimit {
			r.World.After(10*ms, func() { look(r) })
			return
		}
		rate = int(got * 8 * int64(ms) / int64(took))
		r.Poller.Abort(r.World.Now(), r.Streams[0].Stream)
	}
	trial.At = append(trial.At, Action{10 * ms, look})
	r, err := trial.Do()
	if err == nil {
		err = r.Clean()
	}
	if err != nil {
		t.Errorf("%+v, queue %d/4: %v", row, queue, err)
	}
	return rate
}

// received is what arrived of all streams.
func (r *Run) received() (n int64) {
	for _, c := range r.Peer.Conns() {
		n += c.Received()
	}
	return n
}

// goodputRows are all but fixed, which has no window to find.
func goodputRows() (rows []goodputRow) {
	for _, cc := range tcp.Congestions() {
		if cc == tcp.Fixed {
			continue
		}
		for _, rtt := range []int{5, 20, 80} {
			for _, loss := range []int{0, 1, 10, 30} {
				rows = append(rows, goodputRow{cc, rtt, loss})
			}
		}
	}
	return rows
}

// The table is what the engine makes of loss, distance and queues. A cell that falls by more
// than a fifth is a regression, or a decision to be explained where the table is written anew.
func TestGoodputTable(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred transfers of 24 MiB: not with -short")
	}
	rows := goodputRows()
	got := make([]goodputLine, len(rows))
	t.Run("cells", func(t *testing.T) {
		for i, row := range rows {
			t.Run(fmt.Sprintf("%s-%d-%d", row.congestion, row.rtt, row.loss), func(t *testing.T) {
				t.Parallel()
				for k, queue := range goodputQueues {
					got[i][k] = row.goodput(t, queue)
				}
			})
		}
	})
	t.Log("\n" + goodputText(rows, got))
	if *update {
		if err := os.WriteFile(goodputFile, []byte(goodputText(rows, got)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden := readGoodput(t)
	for i, row := range rows {
		want, ok := golden[row]
		if !ok {
			t.Errorf("%s lacks %+v: write it anew with -simnet.update", goodputFile, row)
		}
		better, worse := judge(want, got[i])
		if worse {
			t.Errorf("%+v: %d kbit/s, the table says %d", row, got[i], want)
		} else if better {
			t.Logf("%+v: %d kbit/s, the table says %d: better; the table may be written anew", row, got[i], want)
		}
	}
}

// judge compares a line with the table's.
func judge(want, got goodputLine) (better, worse bool) {
	for k := range want {
		worse = worse || got[k]*5 < want[k]*4
		better = better || got[k]*4 > want[k]*5
	}
	return better, worse
}

// The control: a cell of any queue that is a quarter less is seen.
func TestGoodputIsJudged(t *testing.T) {
	want := goodputLine{1000, 2000, 3000}
	for k := range want {
		less, more := want, want
		less[k] = less[k] * 3 / 4
		more[k] = more[k] * 4 / 3
		if _, worse := judge(want, less); !worse {
			t.Errorf("%v beside %v is not found worse", less, want)
		}
		if better, worse := judge(want, more); !better || worse {
			t.Errorf("%v beside %v is not found better", more, want)
		}
	}
	if better, worse := judge(want, goodputLine{900, 2200, 3000}); better || worse {
		t.Error("a tenth is found")
	}
}

func goodputText(rows []goodputRow, lines []goodputLine) string {
	var b strings.Builder
	b.WriteString("# kbit/s of 24 MiB or 120 s over 20 Mbit/s, with a queue of 1/4, 1 and 4 bandwidth-delay products\n")
	b.WriteString("# go test ./internal/simnet -run Goodput -simnet.update\n# congestion rtt/ms loss/1000 kbit/s\n")
	for i, row := range rows {
		l := lines[i]
		fmt.Fprintf(&b, "%s %d %d %d %d %d\n", row.congestion, row.rtt, row.loss, l[0], l[1], l[2])
	}
	return b.String()
}

func readGoodput(t *testing.T) map[goodputRow]goodputLine {
	f, err := os.Open(goodputFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[goodputRow]goodputLine{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var row goodputRow
		var l goodputLine
		if n, _ := fmt.Sscan(s.Text(), &row.congestion, &row.rtt, &row.loss, &l[0], &l[1], &l[2]); n == 6 {
			table[row] = l
		}
	}
	return table
}
