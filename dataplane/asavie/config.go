package asavie

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/umem"
)

// Why Open refuses, beside the Err values of package afxdp.
var (
	ErrConfig = errors.New("asavie: bad configuration")
	// ErrUnsupported: github.com/asavie/xdp cannot do what was asked for.
	ErrUnsupported = xsk.ErrUnsupported
)

// Config describes a socket. Zero means the documented default.
type Config struct {
	Ifindex int    // in the network namespace of the calling thread
	Ifname  string // for messages only
	Queue   int    // from 0

	Frames    int // of the UMEM that the library maps
	ChunkSize int // bytes: 2048 or 4096; 0 is 2048

	// Entries of the rings, powers of two. 0 is afxdp.DefaultRing; CompletionRing 0
	// is the larger of that and TxRing, and it may not be smaller than TxRing.
	TxRing, RxRing, FillRing, CompletionRing int

	Mode           afxdp.Mode
	GenericProgram bool          // as in afxdp.Config
	BindTimeout    time.Duration // 0 is afxdp.DefaultBindTimeout

	// What the library cannot do: ErrUnsupported unless zero.
	SG            bool
	TxMetadataLen int
	TxBudget      int
	HugePages     bool
}

func (c Config) where() xsk.Where {
	return xsk.Where{Ifname: c.Ifname, Index: c.Ifindex, Queue: c.Queue, Bytes: c.Frames * c.ChunkSize}
}

func (c Config) withDefaults() Config {
	for _, n := range []*int{&c.TxRing, &c.RxRing, &c.FillRing} {
		if *n == 0 {
			*n = afxdp.DefaultRing
		}
	}
	if c.CompletionRing == 0 {
		c.CompletionRing = max(afxdp.DefaultRing, c.TxRing)
	}
	if c.ChunkSize == 0 {
		c.ChunkSize = umem.MinChunk
	}
	if c.BindTimeout == 0 {
		c.BindTimeout = afxdp.DefaultBindTimeout
	}
	return c
}

// check refuses what the library would not do, or would do wrong: it checks nothing itself.
func (c Config) check() error {
	switch {
	case c.Ifindex <= 0 || c.Queue < 0 || c.BindTimeout < 0 || c.Mode > afxdp.ModeZeroCopy:
		return fmt.Errorf("%w: interface index %d, queue %d, bind timeout %v, %v", ErrConfig, c.Ifindex, c.Queue, c.BindTimeout, c.Mode)
	case c.ChunkSize != umem.MinChunk && c.ChunkSize != umem.MaxChunk:
		return fmt.Errorf("%w: chunk size %d: must be %d or %d", ErrConfig, c.ChunkSize, umem.MinChunk, umem.MaxChunk)
	case c.Frames < 1:
		return fmt.Errorf("%w: %d frames: must be at least 1", ErrConfig, c.Frames)
	case c.CompletionRing < c.TxRing:
		return fmt.Errorf("%w: completion ring of %d entries is smaller than the TX ring of %d", ErrConfig, c.CompletionRing, c.TxRing)
	}
	for _, n := range []int{c.TxRing, c.RxRing, c.FillRing, c.CompletionRing} {
		if n <= 0 || n&(n-1) != 0 {
			return fmt.Errorf("%w: ring of %d entries: must be a power of two", ErrConfig, n)
		}
	}
	return c.checkSupported()
}

func (c Config) checkSupported() error {
	var what string
	switch {
	case c.SG:
		what = "no scatter-gather: its bind flags are all or nothing, and its rings know no packet of several descriptors"
	case c.TxMetadataLen != 0:
		what = "no TX metadata: it registers its UMEM without flags"
	case c.TxBudget != 0:
		what = "no TX budget: it rings the doorbell itself, 32 descriptors a time"
	case c.HugePages:
		what = "no huge pages: it maps its UMEM itself"
	case c.Frames > math.MaxUint32/c.ChunkSize:
		what = fmt.Sprintf("no UMEM of 4 GiB or more: %d frames of %d bytes cannot be taken with one of its descriptors", c.Frames, c.ChunkSize)
	case c.Mode == afxdp.ModeZeroCopy && c.GenericProgram:
		return fmt.Errorf("%v: %w: the XDP program is generic, and zero-copy would bind and never send", c.where(), afxdp.ErrNoZeroCopy)
	case !storesInOrder(runtime.GOARCH):
		what = fmt.Sprintf("not on %s: it has no barriers on ring indices", runtime.GOARCH)
	default:
		return nil
	}
	return fmt.Errorf("%v: github.com/asavie/xdp: %w: %s (use the native binding)", c.where(), ErrUnsupported, what)
}

// storesInOrder reports whether the CPU lets others see stores in program order:
// what plain stores to a shared ring need.
func storesInOrder(arch string) bool {
	return arch == "amd64" || arch == "386" || arch == "s390x"
}
