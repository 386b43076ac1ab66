package simnet

import (
	"os"
	"runtime/debug"
	"testing"
)

// Trials make much garbage and keep little: with the usual setting a sixth of the time
// goes into collecting a few megabytes over and over.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}
