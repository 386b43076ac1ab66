package main

import (
	"fmt"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// cell is one combination of what a run can be tuned to.
type cell struct {
	mtu                  int
	checksum, sg, attach string
}

func (c cell) String() string {
	return fmt.Sprintf("mtu %d, checksum %s, sg %s, attach %s", c.mtu, c.checksum, c.sg, c.attach)
}

// TestEveryCell: whoever computes checksums, in both layouts, for small and jumbo packets, whatever the program is attached as, and
// whether the link checks or not: the receiver gets what was sent, or the run is refused with a reason. Nothing leaks, and
// headers have descriptors of their own exactly where they should.
func TestEveryCell(t *testing.T) {
	for _, tx := range []bool{false, true} {
		for _, mtu := range []int{1500, 9000} {
			t.Run(fmt.Sprintf("tx %v, mtu %d", tx, mtu), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Config{MTU: mtu, TxChecksum: tx, Loss: 0.2})
				path, sum := file(t, 3_000_001)
				for _, checksum := range []string{"sw", "hw", "kernel"} {
					for _, sg := range []string{"auto", "on", "off"} {
						for _, attach := range []string{"native", "generic"} {
							r.cell(t, cell{mtu, checksum, sg, attach}, path, sum)
						}
					}
				}
				r.clean()
			})
		}
	}
}

func (r *rig) cell(t *testing.T, c cell, path, sum string) {
	t.Helper()
	args := []string{"send", "--json", "--checksum", c.checksum, "--sg", c.sg, "--attach", c.attach}
	if c.mtu == 9000 && c.sg == "off" {
		_, to := r.sink()
		r.start(lab.Sender, nil, append(args, to, path)...).want(2, "9000", "leave --sg off out")
		return
	}
	on := c.sg == "on" || c.mtu == 9000
	if c.checksum == "kernel" && on {
		_, to := r.sink()
		r.start(lab.Sender, nil, append(args, to, path)...).want(2, "the kernel sums the first only", "--checksum hw")
		return
	}
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, append(args, to, path)...)
	p.want(0)
	received(t, s, 1, 3_000_001, sum)
	rep := p.report()
	if rep.at("checksum") != c.checksum {
		t.Errorf("%v: checksum %v by %v", c, rep.at("checksum"), rep.at("checksum_where"))
	}
	checkScattered(t, c.String(), rep, on)
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
