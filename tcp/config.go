package tcp

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// Headroom is where the payload of a frame starts: room for 24 bytes of TX
// metadata, Ethernet with a VLAN tag, IPv6 and TCP with all options (146 bytes),
// rounded so that payload starts on a cache line.
const Headroom = 256

// How a connection ends. Err returns one of them, perhaps wrapped.
var (
	ErrRefused    = errors.New("connection refused")                  // RST in answer to our SYN
	ErrReset      = errors.New("connection reset by peer")            // RST later
	ErrTimeout    = errors.New("connection timed out")                // retries or the user timeout used up
	ErrAborted    = errors.New("connection aborted")                  // Abort was called
	ErrNoRoute    = errors.New("destination unreachable")             // an ICMP error ended the handshake
	ErrBadConfig  = errors.New("tcp: bad configuration")              // New refused
	errNotOpening = errors.New("tcp: Connect on a connection in use") // our own caller's mistake
)

// Config is what a connection is made with. Zero means the default given.
type Config struct {
	Flow wire.Flow // both ends; must be set
	Path wire.Path // what is below TCP; SetPath changes it later
	MTU  int       // bytes of IP packet the link carries; must be set
	ISS  Seq       // initial sequence number, chosen by the caller (https://www.rfc-editor.org/rfc/rfc6528)

	MSS          int        // most payload bytes in a segment that we send; 0 = what MTU and peer allow
	MaxSegs      int        // descriptors in a packet; 0 or 1 = one, more = scatter-gather: see PayloadOffset
	AdvertMSS    int        // MSS that we announce, limited by what an RX frame holds; 0 = from MTU
	SendSlots    int        // segments in the send queue at once; 0 = 16384
	Window       int        // receive window that we announce, bytes; 0 = 65535, at most that
	Congestion   Congestion // congestion control; "" = Cubic
	FixedWindow  int        // the window of Fixed, bytes; 0 = no limit but the peer's
	InitialCwnd  int        // segments; 0 = 10 (https://www.rfc-editor.org/rfc/rfc6928)
	RTOMin       Duration   // floor of the retransmission timeout; 0 = 200 ms, as Linux has it
	SynRetries   int        // SYNs sent again before ErrTimeout; 0 = 6
	Retries      int        // retransmission timeouts in a row before ErrTimeout; 0 = 15
	UserTimeout  Duration   // time without progress before ErrTimeout; 0 = only Retries counts
	NoBlackHole  bool       // do not take timeouts of large packets for a path that drops them silently
	KeepAlive    Duration   // silence after which the peer is asked whether it is there; 0 = it is not
	KeepInterval Duration   // between such probes; 0 = 75 s
	KeepProbes   int        // of them without an answer before ErrTimeout; 0 = 9
	TimeWait     Duration   // length of TIME-WAIT; 0 = 60 s
	Rate         uint64     // most bytes of payload per second; 0 = no cap
	NoPacing     bool       // what the windows allow goes at once, and Rate alone spreads it: as Linux without sch_fq
	TSOffset     uint32     // added to our timestamps, chosen at random by the caller
	ECN          bool       // offer explicit congestion notification (https://www.rfc-editor.org/rfc/rfc3168)
	Checksum     Checksum   // who computes the checksums of what is sent; 0 = the engine
	Canary       bool       // find out whether that is done before payload flows (Canary); for ChecksumOffload

	NoSACK       bool // do not offer SACK
	NoTimestamps bool // do not offer timestamps
	NoScale      bool // do not offer window scaling

	// Resum makes every transmission sum the payload as it is found, instead of
	// using the sum taken when the segment was first sent. The wrong release modes
	// need it: there the writer may have changed the bytes.
	Resum bool

	Hold  Hold        // how long frames wait for a peer that ACKs nothing; the zero value: as long as the connection lives
	Arena *umem.Arena // what HoldDemote demotes to, of the pool's goroutine; nil = none, which is as good as a full one
}

// MaxMTU is the largest that Config takes: jumbo packets with some room above 9000 bytes.
const MaxMTU = 9216

// Congestion names a congestion control.
type Congestion string

// The congestion controls.
const (
	Reno  Congestion = "reno"  // https://www.rfc-editor.org/rfc/rfc5681, https://www.rfc-editor.org/rfc/rfc6582
	Cubic Congestion = "cubic" // https://www.rfc-editor.org/rfc/rfc9438
	BBR   Congestion = "bbr"   // https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr (BBRv3)
	Fixed Congestion = "fixed" // none: a constant window or rate, for a path that is nobody else's
)

// Congestions are the names that Config.Congestion takes.
func Congestions() []Congestion { return []Congestion{Cubic, Reno, Fixed, BBR} }

const (
	minMTU = 576 // https://www.rfc-editor.org/rfc/rfc791#section-3.1 (what every host takes)

	// maxSlots full of the largest chunks are 2^30 bytes: sequence numbers compare over
	// less than 2^31.
	maxSlots = 1 << 18

	maxSpan = 366 * 86400 * Second // sums of times stay far below 2^63
)

func (c *Config) validate(pool *umem.Pool) error {
	switch {
	case pool == nil:
		return fmt.Errorf("%w: no pool", ErrBadConfig)
	case c.Flow.LocalPort == 0 || c.Flow.RemotePort == 0:
		return fmt.Errorf("%w: port 0", ErrBadConfig)
	case c.MTU < minMTU || c.MTU > MaxMTU:
		return fmt.Errorf("%w: MTU %d: must be from %d to %d", ErrBadConfig, c.MTU, minMTU, MaxMTU)
	case c.Window < 0 || c.Window > 65535:
		return fmt.Errorf("%w: receive window %d: must be from 0 to 65535", ErrBadConfig, c.Window)
	case c.SendSlots != 0 && (c.SendSlots <= cutReserve || c.SendSlots > maxSlots):
		return fmt.Errorf("%w: %d send slots: must be 0 or from %d to %d", ErrBadConfig, c.SendSlots, cutReserve+1, maxSlots)
	case c.Canary && c.Checksum != ChecksumOffload:
		return fmt.Errorf("%w: a canary without checksum offload finds out nothing", ErrBadConfig)
	case c.Checksum > ChecksumOffload:
		return fmt.Errorf("%w: checksum %d: must be software or offload", ErrBadConfig, c.Checksum)
	case c.Congestion == BBR && c.NoPacing:
		return fmt.Errorf("%w: %s without pacing: its window is too large to go at once", ErrBadConfig, BBR)
	case c.MSS != 0 && c.MSS < minMSS:
		return fmt.Errorf("%w: MSS %d: must be at least %d", ErrBadConfig, c.MSS, minMSS)
	}
	if err := c.validateTimes(); err != nil {
		return err
	}
	if err := c.Hold.validate(c, pool); err != nil {
		return err
	}
	if room := SegmentRoom(c.MaxSegs, pool.Region().ChunkSize()); c.MSS == 0 && c.MTU-40 > room || c.MSS > room {
		return fmt.Errorf("%w: MTU %d, MSS %d: a packet over frames of %d bytes carries %d bytes of payload",
			ErrBadConfig, c.MTU, c.MSS, pool.Region().ChunkSize(), room)
	}
	if _, err := c.control(); err != nil {
		return err
	}
	return nil
}

func (c *Config) validateTimes() error {
	if n := min(c.InitialCwnd, c.MaxSegs, c.FixedWindow, c.KeepProbes, c.SynRetries, c.Retries, c.AdvertMSS); n < 0 {
		return fmt.Errorf("%w: a count of %d: must not be negative", ErrBadConfig, n)
	}
	if d := min(c.RTOMin, c.UserTimeout, c.KeepAlive, c.KeepInterval, c.TimeWait); d < 0 {
		return fmt.Errorf("%w: a time of %d ns: must not be negative", ErrBadConfig, d)
	}
	if d := max(c.RTOMin, c.UserTimeout, c.KeepAlive, c.KeepInterval, c.TimeWait); d > maxSpan {
		return fmt.Errorf("%w: a time of %d s: must not be more than %d s", ErrBadConfig, d/Second, int64(maxSpan/Second))
	}
	if c.RTOMin > maxRTO {
		return fmt.Errorf("%w: a floor of %d ms for the retransmission timeout, which is never above %d ms",
			ErrBadConfig, c.RTOMin/Millisecond, int64(maxRTO/Millisecond))
	}
	return nil
}

func (c *Config) setDefaults() {
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orTime := func(p *Duration, v Duration) {
		if *p == 0 {
			*p = v
		}
	}
	if c.Congestion == "" {
		c.Congestion = Cubic
	}
	orInt(&c.SendSlots, 16384)
	orInt(&c.Window, 65535)
	orInt(&c.InitialCwnd, 10)
	orInt(&c.SynRetries, 6)
	orInt(&c.Retries, 15)
	orInt(&c.KeepProbes, 9)
	orTime(&c.KeepInterval, 75*Second)
	orTime(&c.RTOMin, 200*Millisecond)
	orTime(&c.TimeWait, 60*Second)
}
