package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
)

// Drivers say how many descriptors a packet may have in zero-copy mode (ice and i40e: 8). As many are used, and an MTU that takes more
// is refused, or sent in copy mode where anything will do.
func TestZeroCopySegments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  session.Config
		segs int
		mtu  int
		mode afxdp.Mode
		says string // the refusal
	}{
		"as many as the driver says": {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 8, mtu: 9000, mode: afxdp.ModeZeroCopy},
		"auto takes zero-copy":       {segs: 8, mtu: 9000, mode: afxdp.ModeAuto},
		"five carry all":             {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 5, mtu: 9216, mode: afxdp.ModeZeroCopy},
		"four carry less":            {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 4, mtu: 8104, mode: afxdp.ModeZeroCopy},
		"four, a byte more":          {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 4, mtu: 8105, says: "of 4 descriptors, as many as the driver ice takes in zero-copy mode, over frames of 4096 carries 8104"},
		"two, more than copy takes":  {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 2, mtu: 9300, says: "--mtu 4072 sets it"},
		"small chunks":               {cfg: session.Config{Mode: afxdp.ModeZeroCopy, Chunk: 2048}, segs: 8, mtu: 9000, says: "use a chunk of 4096"},
		"off, and it would do":       {cfg: session.Config{Mode: afxdp.ModeZeroCopy, SG: session.SGOff}, segs: 8, mtu: 9000, says: "leave --sg off out"},
		"off, and it would not":      {cfg: session.Config{Mode: afxdp.ModeZeroCopy, SG: session.SGOff}, segs: 2, mtu: 9000, says: "--mtu 3818 sets it"},
		"none: the kernel refuses":   {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 0, mtu: 9000, mode: afxdp.ModeZeroCopy},
		"two, jumbo, fallback":       {cfg: session.Config{Mode: afxdp.ModeZeroCopy, AllowFallback: true}, segs: 2, mtu: 9000, mode: afxdp.ModeCopy},
		"off, fallback":              {cfg: session.Config{Mode: afxdp.ModeCopy, SG: session.SGOff, AllowFallback: true}, segs: 2, mtu: 9000, mode: afxdp.ModeCopy},
		"off, both fall back":        {cfg: session.Config{Mode: afxdp.ModeZeroCopy, SG: session.SGOff, AllowFallback: true}, segs: 2, mtu: 9000, mode: afxdp.ModeCopy},
		"over all, fallback":         {cfg: session.Config{SG: session.SGOff, AllowFallback: true}, segs: 8, mtu: 9300, says: "carries 3818"},
		"two, small packets":         {cfg: session.Config{Mode: afxdp.ModeZeroCopy, SG: session.SGOn}, segs: 2, mtu: 1500, mode: afxdp.ModeZeroCopy},
		"two, jumbo":                 {cfg: session.Config{Mode: afxdp.ModeZeroCopy}, segs: 2, mtu: 9000, says: "--mode copy carries 9216"},
		"two, jumbo, auto":           {segs: 2, mtu: 9000, mode: afxdp.ModeCopy},
		"two, jumbo, copy":           {cfg: session.Config{Mode: afxdp.ModeCopy}, segs: 2, mtu: 9000, mode: afxdp.ModeCopy},
	} {
		c.cfg.Segments(c.segs)
		got, err := session.Tuned(c.cfg, c.mtu)
		if c.says != "" {
			if !errors.Is(err, session.ErrMTU) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", name, err, c.says)
			}
			continue
		}
		if err != nil || got.ZeroCopyMaxSegs != c.segs || got.Mode != c.mode || !got.SG {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
