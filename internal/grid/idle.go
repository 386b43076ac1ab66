package grid

import (
	"os"
	"strconv"
	"strings"
)

// idleness is how much time all processors together have spent, and spent doing nothing, since the start of the
// machine, in ticks.
type idleness struct{ all, idle uint64 }

// readIdle reads the first line of /proc/stat; zeroes where there is none.
func readIdle() (t idleness) {
	text, _ := os.ReadFile("/proc/stat") // it is for the reader only
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, _ := strconv.ParseUint(field, 10, 64) // the first field is a name
		t.all += n
		if i == 4 || i == 5 { // idle, and idle with input or output under way
			t.idle += n
		}
	}
	return t
}

// since is the percentage of time without work since an earlier reading.
func (t idleness) since(before idleness) float64 {
	if t.all == before.all {
		return 0
	}
	return float64(t.idle-before.idle) / float64(t.all-before.all) * 100
}
