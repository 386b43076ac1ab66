package tcp

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// Conn is one connection: active open, everything that we send, and the whole
// life after it. It belongs to one goroutine. No method blocks, allocates (after
// New) or reads a clock. After every call the caller looks at Transmit (there may
// be something to send) and at Deadline (when to call Advance next).
type Conn struct {
	cfg   Config
	pool  *umem.Pool
	tmpl  wire.Template
	state State
	err   error

	// Send sequence space, https://www.rfc-editor.org/rfc/rfc9293#section-3.3.1
	iss       Seq
	sndUna    Seq
	sndNxt    Seq // the highest sequence number sent, plus one
	sndEnd    Seq // the end of what is queued, our FIN included
	sndWnd    uint32
	sndWL1    Seq
	sndWL2    Seq
	maxSndWnd uint32
	sndScale  uint8
	mss       int // payload bytes of a full segment
	mtu       int // bytes of IP packet that the path is believed to carry
	path      pathState

	// Receive sequence space
	irs     Seq
	rcvNxt  Seq
	rcvWnd  uint16
	peerFIN bool
	ackNow  bool

	// Options in force
	sackOK   bool
	tsOK     bool
	tsRecent uint32
	tsStamp  Time // when tsRecent was taken

	q        sendQueue
	finQueue bool // CloseWrite was called
	finSlot  bool // our FIN has, or had, a slot
	finDone  bool // the peer ACKed our FIN
	sendRST  bool
	resetUna bool // the reset at sndUna is sent
	sendSYN  bool
	refuse   bool // a reset at refuseAt answers an ACK of a former connection
	refuseAt Seq
	probeNow bool // the persist timer asks for a probe
	ipID     uint16
	offload  bool // checksums are asked for, not computed

	rtt      rttState
	rack     rackState
	rate     rateState
	tlp      tlpState
	recovery recoveryState
	undo     undoState
	ecn      ecnState
	cc       control
	pace     pacer
	keep     keepState
	hold     holdState
	canary   canaryState
	timers   timers
	peerMSS  int  // as announced
	synTries int  // SYNs sent
	synSent  Time // the last of them
	retries  int
	backoff  uint
	lastProg Time // when the peer last ACKed something new
	lastSent Time // when a segment was last sent; 0 = never

	cwndLimited bool // the congestion window left no room for a segment, now or since what was sent before limitEnd is ACKed
	limitEnd    Seq
	overrideSWS bool // the persist timer allows a small segment
	asked       Seq  // behind the byte of the last probe of window or peer

	sample    sample // of the ACK that is being worked on; here because an interface call would move it to the heap
	challenge challengeLimit
	stats     Stats
	optBuf    [40]byte
}

// New makes a connection that is closed; Connect opens it. It allocates all
// that the connection will ever need. The error wraps ErrBadConfig.
func New(cfg Config, pool *umem.Pool) (*Conn, error) {
	if err := cfg.validate(pool); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	cc, err := cfg.control()
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, pool: pool, state: Closed, mtu: cfg.MTU, cc: cc,
		offload: cfg.Checksum == ChecksumOffload && !cfg.Canary,
		rcvWnd:  uint16(cfg.Window), iss: cfg.ISS, sndUna: cfg.ISS, sndNxt: cfg.ISS, sndEnd: cfg.ISS}
	c.tmpl.Init(cfg.Flow, cfg.Path)
	c.path.link = cfg.MTU
	c.q.init(cfg.SendSlots)
	c.peerMSS = defaultMSS(cfg.Flow.Is4())
	c.mss = c.limitMSS(c.peerMSS)
	c.rtt.init(cfg.RTOMin)
	c.timers.init()
	c.rack.flight.clear()
	c.rack.lost.clear()
	c.hold.watched, c.hold.open = cfg.Hold.watched(), umem.NoBlock
	c.pace.limit = cfg.Rate
	c.pace.set(0)
	return c, nil
}

// Connect starts the handshake: the next Transmit gives the SYN.
func (c *Conn) Connect(now Time) error {
	if c.state != Closed || c.err != nil || c.synTries > 0 {
		return errNotOpening
	}
	c.state = SynSent
	c.ecn.offer = c.cfg.ECN
	c.sndEnd = c.iss.Add(1)
	c.sendSYN = true
	c.lastProg = now
	return nil
}

// State is where the connection is in its life.
func (c *Conn) State() State { return c.state }

// Err is why the connection ended, nil while it lives and after a clean close.
func (c *Conn) Err() error { return c.err }

// MSS is the number of payload bytes in a full segment now. Payload committed in
// pieces of this size is sent in place.
func (c *Conn) MSS() int { return c.mss }

// Flow is the connection's pair of addresses and ports.
func (c *Conn) Flow() wire.Flow { return c.cfg.Flow }

// Room is the number of further commits that Queue takes now.
func (c *Conn) Room() int { return c.q.room() / c.slotsPerCommit() }

// Unacked is the number of payload bytes queued or sent and not ACKed yet.
func (c *Conn) Unacked() int {
	n := c.sndEnd.Sub(c.sndUna)
	if c.state == SynSent || c.state == SynReceived {
		n-- // the SYN
	}
	if c.finSlot && c.sndUna.Before(c.sndEnd) {
		n--
	}
	return max(0, n)
}

// Window is the number of bytes that the connection could have in flight now:
// the lesser of congestion window and the peer's window.
func (c *Conn) Window() int { return min(c.cc.window(), int(c.sndWnd)) }

// Memory is the number of bytes that a writer needs so that it is never what limits the
// connection: a window in flight and one that waits for its turn, or for a hole in front of it.
func (c *Conn) Memory() int { return min(c.cc.memory(), 2*int(c.sndWnd)) }

// SetPath changes what is below TCP: a new next hop, another tag. It takes effect
// with the next transmission.
func (c *Conn) SetPath(p wire.Path) {
	c.cfg.Path = p
	c.tmpl.Init(c.cfg.Flow, p)
}

// SetMTU changes the bytes of IP packet that the path carries. Segments queued
// already are cut when they are sent (again).
func (c *Conn) SetMTU(mtu int) {
	c.mtu = min(max(mtu, c.leastMTU()), c.cfg.MTU)
	c.path = pathState{link: c.mtu}
	c.setMSS()
}

// Queue appends n payload bytes at offset off of frame f, which a writer
// committed (umem.Pool.Commit: the one hold that it counts is the new segment's).
// False, and nothing happened: no room, or the connection does not take data any
// more; the caller then drops the hold.
func (c *Conn) Queue(f umem.Frame, off, n int) bool {
	if !c.state.maySend() || c.finQueue || n <= 0 {
		return false
	}
	if c.scattered() {
		return c.gather(f, off, n)
	}
	if c.q.room() == 0 {
		return false
	}
	i := c.q.take()
	s := &c.q.slots[i]
	s.seq, s.length = c.sndEnd, uint32(n)
	s.spans[0] = span{frame: f, off: uint32(off), length: uint32(n)}
	s.nspans = 1
	c.q.push(i)
	c.sndEnd = c.sndEnd.Add(n)
	return true
}

// CloseWrite queues our FIN behind everything that was queued. Calling it again
// does nothing.
func (c *Conn) CloseWrite(now Time) {
	if c.finQueue {
		return
	}
	c.finQueue = true
	switch c.state {
	case SynSent:
		c.die(ErrAborted)
	case Closed:
	default:
		c.queueFIN()
	}
}

// queueFIN gives the FIN a slot of its own: it is retransmitted like data.
func (c *Conn) queueFIN() {
	if c.q.nfree <= headReserve {
		return // room comes with the next ACK, which tries again
	}
	i := c.q.take()
	s := &c.q.slots[i]
	s.seq, s.flags = c.sndEnd, slotFIN
	c.q.push(i)
	c.sndEnd = c.sndEnd.Add(1)
	c.finSlot = true
}

// Abort ends the connection at once: a RST goes out with the next Transmit, and
// everything not ACKed is given up.
func (c *Conn) Abort(now Time) {
	if c.state == Closed {
		return
	}
	if c.state == TimeWait { // nothing to reset: both sides are done
		c.die(nil)
		return
	}
	if c.state.synchronized() {
		c.sendRST = true
	}
	c.die(ErrAborted)
}

// die gives up every hold and closes.
func (c *Conn) die(err error) {
	if c.err == nil {
		c.err = err
	}
	c.state = Closed
	c.timers.init()
	c.sendSYN, c.ackNow, c.refuse, c.keep.now = false, false, false, false
	c.dieCanary()
	for c.q.head != none {
		c.dropSlot(c.q.head)
	}
}

// dropSlot takes a slot out of the queue and gives up what it holds.
func (c *Conn) dropSlot(i int32) {
	s := &c.q.slots[i]
	c.dropSpans(s)
	c.dropTail(s)
	if s.has(slotSACKed) {
		c.rack.sacked--
	}
	c.leaveFlight(i)
	c.q.remove(i)
}

// Done reports that the connection needs nothing more from us: it is closed and
// there is no RST left to send.
func (c *Conn) Done() bool { return c.state == Closed && !c.sendRST }

// SendClosed reports that the peer ACKed everything that we had to say, our FIN
// included.
func (c *Conn) SendClosed() bool { return c.finDone }

// PeerClosed reports that the peer said it will send no more.
func (c *Conn) PeerClosed() bool { return c.peerFIN }

// Deadline is when Advance wants to be called: now or in the past means at once,
// Never means that only the peer, the kernel or a writer can move things.
func (c *Conn) Deadline() Time { return c.timers.next() }
