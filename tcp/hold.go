package tcp

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/umem"
)

// HoldPolicy says what becomes of a connection whose peer ACKs nothing any more while frames wait for its ACK. That
// peer may be silent, or answer every window probe and never read: RFC 9293 lets it do so for ever
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1), and no frame would come back.
type HoldPolicy string

// The policies, each one step further than the one before.
const (
	// HoldBackpressure holds the frames as long as the connection lives, Hold.Bytes at most: whoever writes waits. "" is the same.
	HoldBackpressure HoldPolicy = "backpressure"
	// HoldDemote copies what is not ACKed into the arena after Hold.Time, so that its frames go back, and resets the
	// connection where the arena has no room, or after Hold.Abort.
	HoldDemote HoldPolicy = "demote"
	// HoldAbort resets the connection after Hold.Time.
	HoldAbort HoldPolicy = "abort"
)

// HoldPolicies are the names that Hold.Policy takes.
func HoldPolicies() []HoldPolicy { return []HoldPolicy{HoldBackpressure, HoldDemote, HoldAbort} }

// Defaults of Hold.
const (
	DefaultHoldTime  = 10 * Second
	DefaultHoldAbort = 1800 * Second // longer than the retransmissions to a peer that is silent (Config.Retries) usually take
)

// Hold limits how long, and with how many bytes, a connection keeps frames from their writer. Time counts from the last
// ACK that covered something new, or from when there was first something to wait for: a peer that reads slowly is not
// meant.
type Hold struct {
	Policy HoldPolicy
	Bytes  int      // most payload that frames are held for, kept by whoever hands frames out; 0 = no limit of this connection's own
	Time   Duration // without progress before the first step; 0 = 10 s
	Abort  Duration // without progress before the reset that follows a demotion; 0 = 30 min, negative = never
}

// ErrHoldLimit says that the peer ACKed nothing for longer than Hold allows. Err returns a *HoldError, which wraps it.
var ErrHoldLimit = errors.New("hold limit")

// HoldCause says which limit it was.
type HoldCause uint8

// The causes.
const (
	HoldTimeOver  HoldCause = iota // Hold.Time, with HoldAbort
	HoldAbortOver                  // Hold.Abort, after a demotion
	HoldArenaFull                  // the arena has no room for what should be demoted
	HoldNoArena                    // there is none
	HoldQueueFull                  // commits wait that the send queue has no segment for: they cannot be demoted
)

// HoldError is why a connection was reset that held memory for a peer which ACKs nothing. It wraps ErrHoldLimit.
type HoldError struct {
	Cause     HoldCause
	Waited    Duration // since the peer last ACKed something
	Limit     Duration // the one that applied
	Held      int      // payload bytes in frames
	Demoted   int      // payload bytes in the arena
	ArenaSize int      // bytes
	ArenaUsed int      // by all connections, in whole blocks
}

// Error tells the numbers and the remedy.
func (e *HoldError) Error() string {
	what := fmt.Sprintf("%v: the peer ACKed nothing for %s, and %d bytes wait for it in frames, %d in the arena: ",
		ErrHoldLimit, inSeconds(e.Waited), e.Held, e.Demoted)
	switch e.Cause {
	case HoldArenaFull:
		return what + fmt.Sprintf("the arena of %d bytes is full (%d used); a larger one has room for them", e.ArenaSize, e.ArenaUsed)
	case HoldNoArena:
		return what + "there is no arena to copy them to; with one the frames go back, and the connection stays"
	case HoldQueueFull:
		return what + "commits wait that the send queue has no room for; a longer queue, or larger commits, have"
	case HoldAbortOver:
		return what + fmt.Sprintf("the limit is %s; a longer hold abort time waits longer", inSeconds(e.Limit))
	default:
		return what + fmt.Sprintf("the limit is %s; a longer hold time waits longer, the policy %q keeps the connection", inSeconds(e.Limit), HoldDemote)
	}
}

func inSeconds(d Duration) string {
	return fmt.Sprintf("%d.%d s", d/Second, d%Second/(100*Millisecond))
}

// Unwrap is ErrHoldLimit.
func (e *HoldError) Unwrap() error { return ErrHoldLimit }

// holdState is how long the peer has been without progress, and what of the send queue lies in the arena: a
// prefix of it, so that the last of the holds on a frame never goes before all its bytes are ACKed or demoted.
type holdState struct {
	watched  bool // the time counts
	since    Time // the last progress, or when there was first something to wait for
	on       bool // what is queued has to be demoted, now and until the peer ACKs something
	last     Ref  // of the demoted segments the last
	segments int  // demoted
	bytes    int  // of them
	out      int  // descriptors of them with the kernel
	open     umem.Block
	filled   int // bytes of the open block
	failure  HoldError
}

func (h *Hold) validate(c *Config, pool *umem.Pool) error {
	switch h.Policy {
	case "", HoldBackpressure, HoldDemote, HoldAbort:
	default:
		return fmt.Errorf("%w: hold policy %q: must be one of %v", ErrBadConfig, h.Policy, HoldPolicies())
	}
	if h.Bytes < 0 || h.Time < 0 {
		return fmt.Errorf("%w: a hold limit of %d bytes and %d ns: must not be negative", ErrBadConfig, h.Bytes, h.Time)
	}
	if h.Time > maxSpan || h.Abort > maxSpan {
		return fmt.Errorf("%w: a hold limit of %d s: must not be more than %d s", ErrBadConfig, max(h.Time, h.Abort)/Second, int64(maxSpan/Second))
	}
	t, abort := h.limits()
	if h.Policy == HoldDemote && abort < t {
		return fmt.Errorf("%w: a reset after %d ms without progress comes before the demotion, after %d ms", ErrBadConfig, abort/Millisecond, t/Millisecond)
	}
	if c.Resum && h.watched() {
		return fmt.Errorf("%w: hold policy %q with Resum: frames that are handed back too early need none", ErrBadConfig, h.Policy)
	}
	if c.Arena != nil && pool.Reserve() < leastReserve {
		return fmt.Errorf("%w: an arena with a reserve of %d frames: must be at least %d, to send from it", ErrBadConfig, pool.Reserve(), leastReserve)
	}
	return nil
}

// watched reports that the time counts.
func (h *Hold) watched() bool { return h.Policy == HoldDemote || h.Policy == HoldAbort }

// limits are both times, with their defaults; Never is none.
func (h *Hold) limits() (first, abort Duration) {
	first, abort = h.Time, h.Abort
	if first == 0 {
		first = DefaultHoldTime
	}
	switch {
	case abort == 0:
		abort = max(DefaultHoldAbort, first)
	case abort < 0:
		abort = Never
	}
	return first, abort
}

// armHold starts the clock where something waits for the peer's ACK and none runs.
func (c *Conn) armHold(now Time) {
	if !c.hold.watched || c.timers.hold != Never || c.Unacked() == 0 {
		return
	}
	c.hold.since = now
	first, _ := c.cfg.Hold.limits()
	c.timers.hold = now + first
}

// holdProgress is an ACK of something new. Only a connection that was stopped needs its timer moved: else that
// finds out itself, when it expires, that there was progress.
func (c *Conn) holdProgress(now Time) {
	if !c.hold.watched {
		return
	}
	c.hold.since = now
	if c.hold.on || c.Unacked() == 0 {
		c.hold.on, c.timers.hold = false, Never
		c.armHold(now)
	}
}

// onHold looks whether the peer was without progress for too long.
func (c *Conn) onHold(now Time) {
	if c.Unacked() == 0 {
		return
	}
	first, abort := c.cfg.Hold.limits()
	limit := first
	if c.hold.on {
		limit = abort
	}
	due := Never
	if limit < Never-c.hold.since {
		due = c.hold.since + limit
	}
	switch {
	case now < due:
		c.timers.hold = due
	case c.hold.on:
		c.exceed(now, HoldAbortOver, limit)
	case c.cfg.Hold.Policy == HoldAbort:
		c.exceed(now, HoldTimeOver, limit)
	case c.cfg.Arena == nil:
		c.exceed(now, HoldNoArena, limit)
	default:
		c.hold.on = true
		c.stats.Demotions++
		c.onHold(now) // the second limit
	}
}

// exceed resets the connection.
func (c *Conn) exceed(now Time, cause HoldCause, limit Duration) {
	e := &c.hold.failure
	*e = HoldError{Cause: cause, Waited: now - c.hold.since, Limit: limit, Held: max(0, c.Unacked()-c.hold.bytes), Demoted: c.hold.bytes}
	if a := c.cfg.Arena; a != nil {
		e.ArenaSize, e.ArenaUsed = a.Size(), a.Used()
	}
	c.sendRST = c.state.synchronized()
	c.die(e)
}

// HoldFull resets the connection because its writer's commits wait for room in the send queue, which a demotion
// cannot make.
func (c *Conn) HoldFull(now Time) {
	first, _ := c.cfg.Hold.limits()
	c.exceed(now, HoldQueueFull, first)
}

// Stopped reports that the peer made no progress for so long that what is queued is, or is being, demoted: until it
// does, no frame should be committed.
func (c *Conn) Stopped() bool { return c.hold.on && c.state != Closed }

// Demoted is the payload bytes in the arena, and the commits that their segments take the place of in the
// send queue.
func (c *Conn) Demoted() (bytes, commits int) {
	if c.hold.segments == 0 {
		return 0, 0
	}
	n := c.slotsPerCommit()
	return c.hold.bytes, (c.hold.segments + n - 1) / n
}

// ArenaBytes is the payload bytes that went to the arena, and of them those that were ACKed since and those given up
// with the connection.
func (c *Conn) ArenaBytes() (copied, acked, aborted uint64) {
	return c.stats.BytesDemoted, c.stats.BytesDemotedAcked, c.stats.BytesDemotedAborted
}

// BytesAcked is the payload bytes that the cumulative ACK covers.
func (c *Conn) BytesAcked() uint64 { return c.stats.BytesAcked }
