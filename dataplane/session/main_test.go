package session_test

import (
	"flag"
	"os"
	"testing"

	"github.com/xsend/xsend/dataplane/session"
)

// parallelLabs is how many tests with a lab of their own run at once: most of them
// wait most of the time, so that it may be more than there are CPUs.
const parallelLabs = "6"

// TestMain runs the tests, or, in a process that a test started, the child's part.
func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		os.Exit(childMain(args))
	}
	if args := os.Getenv(strayEnv); args != "" && len(os.Args) == 1 {
		os.Exit(strayMain(args))
	}
	if len(os.Args) == 2 && os.Args[1] == monitorArg {
		if session.TrapMonitor() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	asked := false
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", parallelLabs) // a number: cannot fail
	}
	os.Exit(m.Run())
}
