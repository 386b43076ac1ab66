package afxdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Why Open refuses. The kernel's error number, where there is one, is wrapped too.
var (
	ErrConfig      = errors.New("afxdp: bad configuration")
	ErrPermission  = xsk.ErrPermission  // a capability is missing
	ErrMemlock     = xsk.ErrMemlock     // RLIMIT_MEMLOCK is smaller than the region
	ErrNoInterface = xsk.ErrNoInterface // not in this network namespace
	ErrNoQueue     = xsk.ErrNoQueue     // the interface has fewer queues
	ErrQueueBusy   = xsk.ErrQueueBusy   // another AF_XDP socket has the queue
	ErrNoZeroCopy  = xsk.ErrNoZeroCopy  // asked for, and not to be had
	ErrUnsupported = xsk.ErrUnsupported // the kernel is too old or built without
)

// Defaults of Config.
const (
	DefaultRing        = 2048
	DefaultBindTimeout = 2 * time.Second

	// MetadataLen is the size of struct xsk_tx_metadata that every kernel with TX
	// metadata takes, in bytes.
	MetadataLen = tcp.MetadataLen

	// defaultBudget is how many descriptors a doorbell takes in copy mode where
	// nothing else was set (TX_BATCH_SIZE in net/xdp/xsk.c).
	defaultBudget = 32
	// copyMaxSegs is MAX_SKB_FRAGS + 1: how many descriptors a packet may have in copy mode.
	copyMaxSegs = 18
)

// Config describes a socket. Zero means the documented default.
type Config struct {
	Ifindex int    // in the network namespace of the calling thread
	Ifname  string // for messages only
	Queue   int    // from 0
	Region  *umem.Region

	// Entries of the rings, powers of two. 0 is DefaultRing; CompletionRing 0 is
	// the larger of DefaultRing and TxRing, and it may not be smaller than TxRing.
	TxRing, RxRing, FillRing, CompletionRing int

	Mode Mode
	// GenericProgram says that the XDP program on the interface is a generic one:
	// then only copy mode can send, and ModeAuto does not try anything else.
	GenericProgram bool
	// NoWakeup leaves XDP_USE_NEED_WAKEUP out: the doorbell is then a system call
	// whenever something is unsent, in zero-copy mode too.
	NoWakeup bool
	// SG allows packets of several descriptors (XDP_USE_SG).
	SG bool
	// ZeroCopyMaxSegs is the driver's xdp-zc-max-segs, for Caps; the socket cannot
	// ask for it. 0 is 2: fewer the kernel would not have bound with SG.
	ZeroCopyMaxSegs int
	// TxMetadataLen is 0 or MetadataLen: the bytes in front of a descriptor's
	// address that hold struct xsk_tx_metadata where its options say so.
	TxMetadataLen int
	// TxSoftwareChecksum lets the kernel compute the checksums that metadata asks for, in
	// the copy that it makes, whatever the device could do (XDP_UMEM_TX_SW_CSUM). It needs
	// TxMetadataLen and copy mode, which ModeAuto then means.
	TxSoftwareChecksum bool

	// TxBudget is how many descriptors a doorbell may take in copy mode, 32 to
	// TxRing; 0 is TxRing. What the kernel refuses is left at 32: see Budget.
	TxBudget int
	// SendBuffer is the socket's send buffer in bytes, to which copy mode charges
	// frames in flight; 0 is enough for the completion ring full of them. What the
	// process may not set is clipped: see SendBuffer.
	SendBuffer int

	// BusyPoll is how long a system call polls the driver itself instead of waiting for an interrupt (SO_BUSY_POLL, in
	// microseconds, with SO_PREFER_BUSY_POLL: Documentation/networking/napi.rst); 0 = not at all. It does something
	// only where the driver's queue has a NAPI instance, and needs CAP_NET_ADMIN.
	BusyPoll time.Duration
	// BusyPollBudget is how many packets the driver takes in one go; 0 = 64.
	BusyPollBudget int

	// BindTimeout is how long a queue that is in use is waited for. 0 is DefaultBindTimeout.
	BindTimeout time.Duration
}

func (c Config) where() xsk.Where {
	return xsk.Where{Ifname: c.Ifname, Index: c.Ifindex, Queue: c.Queue, Bytes: len(c.Region.Memory())}
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	for _, n := range []*int{&c.TxRing, &c.RxRing, &c.FillRing} {
		if *n == 0 {
			*n = DefaultRing
		}
	}
	if c.CompletionRing == 0 {
		c.CompletionRing = max(DefaultRing, c.TxRing)
	}
	if c.TxBudget == 0 {
		c.TxBudget = c.TxRing
	}
	if c.SendBuffer == 0 && c.Region != nil {
		c.SendBuffer = c.CompletionRing * 2 * c.Region.ChunkSize() // an skb is charged with its overhead
	}
	if c.BusyPollBudget == 0 {
		c.BusyPollBudget = 64
	}
	if c.BindTimeout == 0 {
		c.BindTimeout = DefaultBindTimeout
	}
	if c.ZeroCopyMaxSegs == 0 {
		c.ZeroCopyMaxSegs = 2
	}
	if c.TxSoftwareChecksum && c.Mode == ModeAuto {
		c.Mode = ModeCopy
	}
	return c
}

// check finds what the kernel would refuse with less explanation, or not at all.
func (c Config) check() error {
	switch {
	case c.Region == nil:
		return fmt.Errorf("%w: no region", ErrConfig)
	case c.Ifindex <= 0:
		return fmt.Errorf("%w: interface index %d: must be positive", ErrConfig, c.Ifindex)
	case c.Queue < 0:
		return fmt.Errorf("%w: queue %d: queues count from 0", ErrConfig, c.Queue)
	case c.Mode > ModeZeroCopy:
		return fmt.Errorf("%w: %v", ErrConfig, c.Mode)
	case c.Mode == ModeZeroCopy && c.GenericProgram:
		return fmt.Errorf("%w: zero-copy needs a native XDP program, and this one is generic: it would bind and never send", ErrNoZeroCopy)
	case c.TxMetadataLen != 0 && c.TxMetadataLen != MetadataLen:
		return fmt.Errorf("%w: %d bytes of TX metadata: must be 0 or %d", ErrConfig, c.TxMetadataLen, MetadataLen)
	case c.BusyPoll < 0 || c.BusyPoll > time.Second || c.BusyPoll%time.Microsecond != 0:
		return fmt.Errorf("%w: busy poll for %v: must be whole microseconds up to a second", ErrConfig, c.BusyPoll)
	case c.TxSoftwareChecksum && c.TxMetadataLen == 0:
		return fmt.Errorf("%w: checksums by the kernel need TX metadata to ask for them with", ErrConfig)
	case c.TxSoftwareChecksum && c.Mode == ModeZeroCopy:
		return fmt.Errorf("%w: checksums by the kernel need copy mode: in zero-copy it never sees the packet", ErrConfig)
	case c.TxBudget < 0 || c.BusyPollBudget < 0 || c.SendBuffer < 0 || c.BindTimeout < 0 || c.ZeroCopyMaxSegs < 0:
		return fmt.Errorf("%w: a negative budget, send buffer, timeout or segment count", ErrConfig)
	}
	return c.checkRings()
}

// copyOnly says that ModeAuto has nothing but copy mode to try.
func (c Config) copyOnly() bool { return c.GenericProgram || c.TxSoftwareChecksum }

func (c Config) checkRings() error {
	for _, r := range []struct {
		name string
		n    int
	}{{"TX", c.TxRing}, {"RX", c.RxRing}, {"fill", c.FillRing}, {"completion", c.CompletionRing}} {
		if r.n <= 0 || r.n&(r.n-1) != 0 {
			return fmt.Errorf("%w: %s ring of %d entries: must be a power of two", ErrConfig, r.name, r.n)
		}
	}
	if c.CompletionRing < c.TxRing {
		return fmt.Errorf("%w: completion ring of %d entries is smaller than the TX ring of %d: sending would stop before the ring is drained", ErrConfig, c.CompletionRing, c.TxRing)
	}
	return nil
}
