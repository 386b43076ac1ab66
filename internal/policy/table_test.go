package policy

// module is the path in go.mod.
const module = "github.com/xsend/xsend"

// A pattern is a path below the module, or one that ends in "/..." for it and
// everything below. Of several rows that match, the longest is the one.

// arrows say what a package may import of ours. A package without a row is an
// error: whoever adds one decides where it stands.
var arrows = []struct {
	of  string
	may []string
}{
	{"umem", nil},
	{"internal/wire", nil},
	{"tcp", []string{"umem", "internal/wire"}},
	{"dataplane/...", []string{"dataplane/...", "tcp", "umem", "internal/wire", "internal/readv"}},
	{"dataplane/session/...", []string{"dataplane/...", "hw/...", "xdp-prog", "tcp", "umem", "internal/wire", "internal/steady"}},
	{"dataplane/trace", []string{"umem"}}, // a format and a ring: who judges it shares nothing with who writes it
	{"internal/readv", nil},
	{"hw", []string{"internal/ethtool"}},
	{"hw/settings", []string{"hw", "internal/ethtool", "internal/steady"}},
	{"hw/sumprobe", []string{"internal/ethtool"}},
	{"internal/steady", nil},
	{"xdp-prog", nil},
	{"internal/policy", nil},
	{"internal/pattern", nil}, // sender and judge share it, and nothing else
	{"internal/median", nil},
	{"internal/resume", nil},
	{"internal/ethtool", []string{"internal/steady"}},
	{"internal/uring", nil},
	{"internal/netem", nil}, // what senders are measured with stands alone
	{"internal/simnet/...", []string{"internal/simnet/...", "dataplane", "tcp", "umem", "internal/wire"}},
	// The judge of releases has names and numbers of the dataplane, and no session that could run it.
	{"internal/lifecycle", []string{"dataplane", "dataplane/trace", "tcp", "umem", "internal/wire", "internal/pcap"}},
	// What the subcommands do, on top of session.
	{"internal/...", []string{"internal/...", "dataplane/...", "hw/...", "xdp-prog", "tcp", "umem"}},
	{"cmd/...", []string{"cmd/...", "internal/...", "dataplane/...", "hw/...", "xdp-prog", "tcp", "umem"}},
	{"vm/...", []string{"vm/...", "internal/...", "dataplane/...", "hw/...", "xdp-prog", "tcp", "umem"}},
}

// never are arrows that the rows above would let through.
var never = []struct{ of, what string }{
	// session puts the dataplane together, so nothing in there may know of it.
	{"dataplane/...", "dataplane/session/..."},
	// The lab and the sink are what we are measured against: they stand alone.
	{"internal/lab/...", "dataplane/..."},
	{"internal/sink/...", "dataplane/..."},
	{"internal/sink/...", "internal/transfer/..."},
}

// testArrows are what any test may import beside what its package may.
var testArrows = []string{"internal/simnet/...", "internal/lab/...", "internal/sink/...", "internal/median"}

// testOnly may be imported by tests, and by each other. Beside these: every
// package whose name ends in "test".
var testOnly = []string{"internal/simnet/..."}

// pure packages may import nothing but these: no system, no clock, no lock, no log.
var pure = []string{"umem", "tcp", "internal/wire"}

var pureImports = []string{
	"bytes", "cmp", "encoding/binary", "errors", "fmt", "iter", "math", "math/bits",
	"net/netip", "slices", "strconv", "strings", "unsafe",
}

// pureExceptions are imports of single packages or files on top.
var pureExceptions = []struct{ in, path string }{
	{"umem", "sync/atomic"},                     // words shared with the kernel
	{"umem/region.go", "os"},                    // the page size
	{"umem/region.go", "golang.org/x/sys/unix"}, // the one file that maps memory
	{"umem/protect.go", "os"},
	{"umem/protect.go", "golang.org/x/sys/unix"}, // mprotect
}

// timeless packages read no clock, their tests neither.
var timeless = []string{"umem", "tcp", "internal/wire", "internal/simnet/..."}

// clockFiles are the files below dataplane that may read a clock.
var clockFiles = []string{
	"dataplane/run.go",                // once per pass
	"dataplane/control.go",            // makes the clock that run.go reads
	"dataplane/afxdp/open.go",         // bind is tried again while it is EBUSY
	"dataplane/asavie/open.go",        // the same
	"dataplane/trap/monitor.go",       // waits for a process to end
	"dataplane/trace/writer.go",       // the goroutine that writes the file
	"dataplane/session/...",           // sets up and takes apart, never in a pass
	"dataplane/internal/porttest/...", // tests of ports: real kernels need real time
}

// clocks are the functions that read one, by import path.
var clocks = map[string][]string{
	"time":                  {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"golang.org/x/sys/unix": {"ClockGettime", "Gettimeofday", "Nanosleep", "ClockNanosleep"},
	"syscall":               {"Gettimeofday", "Nanosleep"},
}

// integers are the packages without floats: Go fuses multiply and add on arm64
// and not on amd64, and traces would differ by CPU.
var integers = []string{"tcp"}

// public packages document every exported name.
var public = []string{"umem", "tcp", "dataplane/...", "hw/...", "xdp-prog"}

// words name nothing.
var words = []string{"manager", "handler", "util", "helper", "common", "data", "process", "impl", "base"}
