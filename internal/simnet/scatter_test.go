package simnet

import (
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

// Packets have a descriptor for headers and more for payload where the port takes that, and nothing is
// copied.
func TestScatterGatherIsUsed(t *testing.T) {
	for _, segments := range []int{0, 2, 18} {
		trial := byName("loss").trial(1)
		trial.Kernel.Segments, trial.Commit = segments, 0
		r, err := trial.Do()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Complete(); err != nil {
			t.Errorf("%d descriptors: %v", segments, err)
		}
		k, splits := r.Kernel().Stats(), uint64(0)
		for _, s := range r.Streams {
			splits += s.StatsNow().Splits
		}
		if more := k.Taken > k.Sent+k.Sent/2; more != (segments > 0) || segments > 0 && splits > 0 {
			t.Errorf("%d descriptors: %d of %d packets, %d copies", segments, k.Taken, k.Sent, splits)
		}
	}
}

// lessPort claims more descriptors in a packet than the NIC behind it takes.
type lessPort struct{ dataplane.Port }

func (p lessPort) Caps() dataplane.Caps {
	c := p.Port.Caps()
	c.SG, c.MaxSegs = true, 18
	return c
}

// The control: an engine that makes longer packets than the NIC takes is found out.
func TestTooManyDescriptorsAreFound(t *testing.T) {
	trial := byName("calm").trial(1)
	trial.Kernel.Segments = 1
	trial.Wrap = func(_ *World, p dataplane.Port) dataplane.Port { return lessPort{p} }
	trial.Limit = 400 * tcp.Second
	r, err := trial.Do()
	if err == nil {
		err = r.Complete()
	}
	if k := r.Kernel().Stats(); k.Refused == 0 || err == nil {
		t.Errorf("refused %d packets: %v", k.Refused, err)
	} else if !strings.Contains(err.Error(), "packets that no NIC takes") {
		t.Log(err)
	}
}
