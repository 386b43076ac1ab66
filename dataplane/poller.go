package dataplane

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/dataplane/trap"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Sizes of batches: enough to spread the price of a system call and of the shared
// ring indices, little enough that no stage starves another.
const (
	reapBatch  = 256
	rxBatch    = 128
	txBatch    = 256
	txQuota    = 32 // packets that a stream sends before the next one's turn
	admitBatch = 256
	lendBatch  = 256
)

// Config is what a poller is made with. Zero means the default given.
type Config struct {
	Pool *umem.Pool // must be set; the poller's from now on
	Port Port       // must be set; the poller's from now on

	// Reopen opens the queue again after Port was closed. It is called between two
	// Steps and may block for milliseconds. nil: a queue that dies ends its streams.
	Reopen func(queue int) (Port, error)

	Release    ReleaseMode
	TrustRX    bool                // do not verify checksums of received packets
	RxFrames   int                 // frames kept with the kernel for receiving; 0 = the fill ring's size
	MaxStreams int                 // streams at once; 0 = 256
	Stall      tcp.Duration        // without a completion before the queue counts as dead; 0 = 1 s
	Trap       *trap.Trap          // over Pool's region; Pool must be new. nil = the writers' view is not protected
	Audit      *PayloadAudit       // compares payload with what was committed; nil = nobody does
	Times      bool                // measure how long frames are in each stage (see Times): two readings of the clock for each commit, by its writer
	Directory  *Directory          // the other pollers of the same NIC; nil = there are none
	Arena      *umem.Arena         // what streams with tcp.HoldDemote demote to, the poller's until Close; nil = none
	Tap        *Tap                // gets a copy of every packet; nil = none
	Trace      *trace.Ring         // gets the lifecycle trace, the poller's until Close; nil = none
	Clock      func() tcp.Time     // Run's clock, monotonic; nil = the system's
	CPU        func() (int, error) // the CPU that Run pins its thread to; nil = none
}

// Poller moves the connections of one NIC queue. See the package's comment for who
// may call what.
type Poller struct {
	pool   *umem.Pool
	port   Port
	caps   Caps
	mode   ReleaseMode
	verify bool
	tap    *Tap
	trace  *trace.Ring
	opened uint16 // connections, for their numbers in the trace
	reopen func(int) (Port, error)

	flights    flights
	records    []record // by index of the frame in the pool
	trap       *trap.Trap
	sums       *sums // nil: payload is not audited
	books      bookkeeping
	ready      readyQueue
	deadlines  deadlines
	holds      holds
	flows      map[wire.Flow]*Stream
	lastHit    *Stream
	directory  *Directory
	neighbours []neighbour
	lanes      []*lane
	firstLane  int

	perPacket int // most descriptors of a packet
	payloadAt int // where payload begins in a frame

	maxStreams int
	lendable   int // frames for all writers together
	share      int // the most that one stream may have
	rxFrames   int // to be with the kernel for receiving
	filled     int // that are
	refilled   int

	// What a Step leaves for Notify.
	changed      []*Stream
	touchedLanes []*lane
	submitted    []umem.Frame
	news         bool
	leaving      bool
	resharing    bool

	// Doorbell and watchdog.
	kickAt   tcp.Time // not before
	kickOwed bool
	down     bool
	dead     error
	unsent   int
	last     tcp.Time // the last Step
	still    tcp.Duration
	stall    tcp.Duration
	linkDown atomic.Bool
	rebuild  rebuildState
	failed   error

	seg   wire.Segment
	icmp  wire.ICMPError
	addrs [reapBatch]uint64
	rx    [rxBatch]umem.Desc
	txs   [txQuota]tcp.Tx
	descs []umem.Desc // a batch

	counters Counters
	shown    struct {
		mu       sync.Mutex
		counters Counters
	}

	running
}

// New makes a poller and posts its frames for receiving. Nothing is sent before a
// stream is opened. The error wraps ErrBadConfig or umem.ErrTooSmall.
func New(cfg Config) (*Poller, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := share(cfg.Pool, cfg.Trap); err != nil {
		return nil, err
	}
	caps := cfg.Port.Caps()
	p := &Poller{
		pool: cfg.Pool, port: cfg.Port, caps: caps, mode: cfg.Release, verify: !cfg.TrustRX, tap: cfg.Tap, trace: cfg.Trace,
		reopen: cfg.Reopen, maxStreams: cfg.MaxStreams, rxFrames: cfg.RxFrames, stall: cfg.Stall,
		records: make([]record, cfg.Pool.Len()), flows: map[wire.Flow]*Stream{},
		changed:   make([]*Stream, 0, cfg.MaxStreams),
		perPacket: 1 + tcp.MaxParts(caps.MaxSegs), payloadAt: tcp.PayloadOffset(caps.MaxSegs, caps.TxMetadata),
	}
	p.trap = cfg.Trap
	p.sums = newSums(&cfg, p.payloadAt)
	p.descs = make([]umem.Desc, min(txBatch*p.perPacket, caps.TxRing))
	p.submitted = make([]umem.Frame, 0, len(p.descs))
	// The kernel takes no descriptor off the TX ring before it has a place in the
	// completion ring for it.
	p.flights.init(caps.TxRing+caps.Completion, cfg.Pool.Len())
	p.ready.init(cfg.MaxStreams)
	p.deadlines.init(cfg.MaxStreams)
	p.holds.init(&cfg)
	p.running.init(&cfg)
	p.books.init(&cfg)
	if p.trace != nil {
		p.traceQueue()
	}
	reserve := p.pool.Free() - p.pool.Lendable()
	p.refill()
	p.lendable = p.pool.Lendable()
	if p.filled < p.rxFrames || p.lendable < minBudget {
		return nil, p.tooSmall(reserve)
	}
	p.reshare()
	if p.directory = cfg.Directory; p.directory != nil {
		p.directory.join(p)
	}
	return p, nil
}

func (p *Poller) tooSmall(reserve int) error {
	return fmt.Errorf("dataplane: queue %d: %w: %d frames, but %d to receive into, the engine's reserve of %d and %d to send from make %d",
		p.caps.Queue, umem.ErrTooSmall, p.pool.Len(), p.rxFrames, reserve, minBudget, p.rxFrames+reserve+minBudget)
}

func (c *Config) validate() error {
	switch {
	case c.Pool == nil || c.Port == nil:
		return fmt.Errorf("%w: pool and port must be given", ErrBadConfig)
	case c.Release > ReleaseAcked:
		return fmt.Errorf("%w: release mode %d", ErrBadConfig, c.Release)
	case c.MaxStreams < 0 || c.MaxStreams > 1<<16:
		return fmt.Errorf("%w: %d streams: must be from 0 to %d", ErrBadConfig, c.MaxStreams, 1<<16)
	case c.Stall < 0:
		return fmt.Errorf("%w: negative stall time", ErrBadConfig)
	}
	caps := c.Port.Caps()
	if c.RxFrames < 0 || c.RxFrames > caps.FillRing {
		return fmt.Errorf("%w: %d frames to receive into: the fill ring has %d entries", ErrBadConfig, c.RxFrames, caps.FillRing)
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 256
	}
	if c.RxFrames == 0 {
		c.RxFrames = caps.FillRing
	}
	if c.Stall == 0 {
		c.Stall = tcp.Second
	}
	return nil
}

// Step does one bounded round of everything at time now, which never goes back,
// and returns how many things it moved; 0 is an idle pass. While the queue is dead
// it does nothing; once that is for good, it only answers what writers commit.
func (p *Poller) Step(now tcp.Time) (work int) {
	if p.dead != nil {
		return p.refuse(now)
	}
	if p.trace != nil {
		p.trace.Now = int64(now)
	}
	completions := p.reap(now)
	work = completions + p.receive(now) + p.expire(now) + p.admit(now) + p.demote(now)
	sent := p.transmit(now)
	p.refill()
	p.watch(now, completions, sent)
	p.endAudited(now)
	p.publishLanes()
	if p.trace != nil {
		p.trace.Flush()
	}
	return work + sent
}

// Deadline is when Step must be called next, if nothing arrives and no writer
// commits before: tcp.Never where only they can move things.
func (p *Poller) Deadline() tcp.Time {
	if p.dead != nil {
		return p.rebuild.at
	}
	d := p.deadlines.next()
	switch {
	case p.down:
		d = min(d, p.kickAt)
	case p.unsent > 0 || p.ready.len() > 0 || len(p.holds.streams) > 0:
		d = min(d, p.last+10*tcp.Microsecond) // nothing else says when the kernel goes on
	}
	if p.flights.out > 0 {
		d = min(d, p.last+watchTick)
	}
	return d
}

// Pool is the poller's ledger; for the poller's goroutine.
func (p *Poller) Pool() *umem.Pool { return p.pool }

// Caps are those of the port.
func (p *Poller) Caps() Caps { return p.caps }

// Out is the number of descriptors that the kernel has; for the poller's goroutine.
func (p *Poller) Out() int { return p.flights.out }
