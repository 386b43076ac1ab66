package xdpprog

import (
	"bytes"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

var absolute = regexp.MustCompile(`\x00/\w[\w.-]*/[\w./-]+`)

// The committed objects tell nothing of the machine that made them, and are the same
// program in both byte orders.
func TestObjects(t *testing.T) {
	if !absolute.MatchString("x\x00/home/somebody/steer.bpf.c\x00") {
		t.Error("the pattern has no power")
	}
	var names []string
	for _, file := range []string{"steer_bpfel.o", "steer_bpfeb.o"} {
		b, err := os.ReadFile(file)
		must(t, err)
		if path := absolute.Find(b); path != nil {
			t.Errorf("%s contains an absolute path: %q", file, path)
		}
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
		must(t, err)
		prog := spec.Programs[steerProgXsendSteer]
		if prog == nil || prog.License != "Dual BSD/GPL" || prog.SectionName != "xdp.frags" {
			t.Errorf("%s: %+v", file, prog)
		}
		got := slices.Sorted(maps.Keys(spec.Maps))
		if names != nil && !slices.Equal(got, names) {
			t.Errorf("%s has maps %v, the other has %v", file, got, names)
		}
		names = got
	}
}
