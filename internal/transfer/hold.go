package transfer

import (
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
)

// Defaults of HoldConfig.
const (
	DefaultHoldTime  = time.Duration(tcp.DefaultHoldTime)
	DefaultHoldAbort = time.Duration(tcp.DefaultHoldAbort)
	DefaultArena     = session.DefaultArena
)

// leastHoldTime is longer than any round trip on a machine, and so than any good peer's silence there.
const leastHoldTime = 10 * time.Millisecond

// HoldConfig says what becomes of frames whose peer ACKs nothing any more.
type HoldConfig struct {
	Policy string        // one of HoldPolicies; "" = demote, in the wrong release modes backpressure
	Limit  int64         // most bytes that frames of a connection are held for; 0 = its share of the frames
	Time   time.Duration // without progress before demotion, or the RST of abort; 0 = DefaultHoldTime
	Abort  time.Duration // without progress before the RST that follows a demotion; 0 = DefaultHoldAbort, negative = never
	Arena  int64         // bytes of the memory that demotion copies to; 0 = DefaultArena, negative = none
}

// HoldPolicies are the names that HoldConfig.Policy takes.
func HoldPolicies() []string {
	var names []string
	for _, p := range tcp.HoldPolicies() {
		names = append(names, string(p))
	}
	return names
}

func (c *HoldConfig) validate(release string) error {
	wrong := release != "" && release != dataplane.ReleaseAck.String()
	first, abort := c.Time, c.Abort
	if first == 0 {
		first = DefaultHoldTime
	}
	if abort == 0 {
		abort = max(DefaultHoldAbort, first)
	}
	switch {
	case wrong && c.Policy != "" && c.Policy != string(tcp.HoldBackpressure):
		return fmt.Errorf("--hold-policy %s with --release %s: frames that are handed back too early are not held; leave it out", c.Policy, release)
	case first < leastHoldTime:
		return fmt.Errorf("--hold-time %v: must be at least %v; to do nothing, --hold-policy backpressure", max(c.Time, 0), leastHoldTime)
	case abort > 0 && abort < first:
		return fmt.Errorf("--hold-abort %v is over before --hold-time %v: give at least that, or 0 for never", abort, first)
	case c.Limit < 0:
		return errors.New("--hold-limit can't be negative")
	}
	return nil
}

func (c *HoldConfig) session() session.Hold {
	return session.Hold{Policy: tcp.HoldPolicy(c.Policy), Bytes: int(c.Limit), Time: c.Time, Abort: c.Abort}
}

// Hold is what became of frames whose peer ACKed nothing any more. Bytes are payload, but those of the arena's size.
type Hold struct {
	Demotions    uint64 `json:"demotions"`     // times that a peer stood still for --hold-time, and what it held was copied
	Resets       uint64 `json:"resets"`        // connections reset for it
	ArenaSize    uint64 `json:"arena_size"`    // bytes
	ArenaPeak    uint64 `json:"arena_peak"`    // bytes of it that were in use at most
	ArenaCopied  uint64 `json:"arena_copied"`  // bytes that went there, from the first segment that was not ACKed on
	ArenaAcked   uint64 `json:"arena_acked"`   // of them, ACKed since
	ArenaAborted uint64 `json:"arena_aborted"` // and given up
}

func holdOf(c *dataplane.Counters) Hold {
	return Hold{
		Demotions: c.Demotions, Resets: c.HoldAborts, ArenaSize: c.ArenaSize, ArenaPeak: c.ArenaPeak,
		ArenaCopied: c.ArenaCopied, ArenaAcked: c.ArenaAcked, ArenaAborted: c.ArenaAborted,
	}
}

// holdError adds the flags to an error that a limit caused.
func holdError(err error) error {
	if errors.Is(err, tcp.ErrHoldLimit) {
		return fmt.Errorf("%w (--hold-policy, --hold-time, --hold-abort and --arena say so)", err)
	}
	return err
}

// bytes is how much of the stream has arrived: what was handed back, or, once frames were before their ACK, what was ACKed.
func (s *sender) bytes() int64 {
	if s.meter.demoted.Load() {
		return int64(s.conn.Acked())
	}
	return s.meter.released.Load()
}
