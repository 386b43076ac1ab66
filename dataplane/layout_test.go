package dataplane

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// layoutVariable is the environment variable that says how many descriptors the packets of this
// package's tests have.
const layoutVariable = "XSEND_TEST_SEGMENTS"

var testSegs, _ = strconv.Atoi(os.Getenv(layoutVariable))

// inBothLayouts are the tests that do not count descriptors as packets, nor bytes as frames.
const inBothLayouts = "^Test(Transfer.*|PipeSchedules.*|Chaos.*|WrongModesUnderLoss|StoppedPeer|Newcomer|FramesGoWhereTheyAreNeeded|Run.*|QueueDies|" +
	"KernelLies|InterfaceDown|NoCarrier|SleptTooLong|StepAllocatesNothing|SlowPathAllocatesNothing|SameFrameAgainAndAgain)$"

// TestScatterGather runs tests of the package again, with packets of several descriptors.
func TestScatterGather(t *testing.T) {
	if testing.Short() || testSegs > 1 {
		t.Skip("the linear layout is enough")
	}
	cmd := exec.Command(os.Args[0], "-test.short", "-test.run", inBothLayouts)
	cmd.Env = append(os.Environ(), layoutVariable+"=18")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
