package main

import (
	"fmt"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// TestScatterGather: both layouts on small and jumbo packets, with losses, whatever the program is attached as: the
// receiver gets what was sent, nothing leaks, and headers have descriptors of their own exactly where they should.
func TestScatterGather(t *testing.T) {
	t.Parallel()
	for _, mtu := range []int{1500, 9000} {
		r := newRig(t, lab.Config{MTU: mtu, Loss: 0.5})
		path, sum := file(t, 8_000_001)
		for _, sg := range []string{"auto", "on", "off"} {
			for _, attach := range []string{"native", "generic"} {
				for _, chunk := range []string{"2048", "4096"} {
					name := fmt.Sprintf("mtu %d sg %s %s chunk %s", mtu, sg, attach, chunk)
					if mtu == 9000 && (sg == "off" || chunk == "2048") {
						_, to := r.sink()
						r.start(lab.Sender, nil, "send", "--sg", sg, "--attach", attach, "--chunk", chunk, to, path).want(2, "9000")
						continue
					}
					s, to := r.sink("--once")
					p := r.start(lab.Sender, nil, "send", "--json", "--sg", sg, "--attach", attach, "--chunk", chunk, to, path)
					p.want(0)
					received(t, s, 1, 8_000_001, sum)
					checkScattered(t, name, p.report(), sg == "on" || mtu == 9000)
				}
			}
		}
		r.clean()
	}
}

func checkScattered(t *testing.T, name string, rep report, on bool) {
	t.Helper()
	want := "off"
	if on {
		want = "on"
	}
	submitted, segments := rep.number(t, "descriptors.submitted"), rep.number(t, "segments")
	if rep.at("sg") != want || (submitted > segments*1.5) != on || rep.number(t, "frames.leaked") != 0 {
		t.Errorf("%s: sg %v, %v descriptors for %v segments, %v leaked", name, rep.at("sg"), submitted, segments, rep.at("frames.leaked"))
	}
	if on && rep.number(t, "streams.0.splits") != 0 {
		t.Errorf("%s: %v copies", name, rep.at("streams.0.splits"))
	}
}
