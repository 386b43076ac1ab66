package transfer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/tcp"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Defaults of Config.
const (
	DefaultTime           = 10 * time.Second // of a pattern without a size
	DefaultLinger         = 5 * time.Second
	DefaultConnectTimeout = 10 * time.Second
	DefaultRTOMin         = 200 * time.Millisecond
)

// Limits of Config.RTOMin: the engine's clock ticks in milliseconds, and two minutes are its longest timeout.
const (
	leastRTOMin = time.Millisecond
	mostRTOMin  = 2 * time.Minute
)

// leastKeepAlive is as often as a silent peer may be asked.
const leastKeepAlive = 10 * time.Millisecond

// MaxParallel is the most connections of one run, as in iperf3.
const MaxParallel = 128

// Config is one run. Zero means the default given.
type Config struct {
	Target       string // HOST:PORT
	Want4, Want6 bool   // address families to use; none is both

	Path    string   // the file, or "-" for standard input; "" with Pattern
	Stdin   *os.File // what "-" stands for
	Pattern bool     // send the pattern (see package pattern) instead of a file
	Bytes   int64    // with Pattern: how many; 0 = as many as Time allows
	Time    time.Duration

	Parallel       int           // connections; 0 = 1
	LocalPort      uint16        // of the first connection, the next ones count up; 0 = the kernel chooses
	ConnectTimeout time.Duration // 0 = DefaultConnectTimeout
	Linger         time.Duration // how long to drain after an interruption, and to await the peer's FIN; 0 = not at all
	Interval       time.Duration // between two samples; 0 = none
	Discard        bool          // samples are for OnSample only: a long run needs no memory for them
	Omit           time.Duration // start of the run that the rates leave out

	Interface   string
	Source      netip.Addr
	Tagged      bool          // with an 802.1Q tag
	VLAN        uint16        // of the tag
	Congestion  string        // one of Congestions(); "" = the engine's default
	ECN         bool          // offer explicit congestion notification
	NoPacing    bool          // what the windows allow goes at once; BitRate still holds
	FixedWindow int64         // bytes that fixed has in flight; 0 = as much as the peer takes
	MSS         int           // bytes; 0 = what path and peer allow
	RTOMin      time.Duration // floor of the retransmission timeout; 0 = DefaultRTOMin
	UserTimeout time.Duration // without progress for so long, a connection fails; 0 = after the engine's retries
	KeepAlive   time.Duration // silence after which the peer is asked whether it is there; 0 = it is not
	DSCP        uint8
	BitRate     int64  // most payload bits per second of each connection; 0 = no cap
	Binding     string // native, asavie; "" = native
	Attach      string // native, generic, auto; "" = auto
	SG          string // off, on, auto; "" = auto
	Wakeup      string // "", on, off: whether the doorbell is rung only where the kernel asks for it
	Budget      int    // descriptors that a doorbell takes in copy mode; 0 = as many as it may
	BusyPoll    time.Duration
	HugePages   bool
	Mode        string // copy, zerocopy, auto; "" = auto
	Checksum    string // sw, hw, kernel, auto; "" = sw
	RXChecksum  string // verify, trust, auto; "" = auto
	Fallback    bool   // take something else, and say so, where Checksum would be refused
	Release     string // ack, completion, submit, acked; "" = ack
	Queues      int    // RX queues that get a socket; 0 = all
	Steer       bool   // have the NIC bring answers to them
	Frames      int    // 0 = the session's default
	Chunk       int    // bytes; 0 = the session's default

	Hold HoldConfig // how long a peer that ACKs nothing keeps frames

	Settings settings.Config // what the NIC is set to; without a Change it is left alone

	Audit   bool     // compare payload with what was committed
	Trap    bool     // make a store to a frame that is not its writer's a fault
	Monitor []string // the command that explains a fault which ended the process; see session.Config.Monitor

	Rewrite bool   // overwrite each frame with Marker as soon as it is handed back
	Hash    bool   // SHA-256 of what was sent
	Books   bool   // look at who holds the frames ten times a second, and measure how long: Report.Memory
	Metrics string // serve the books there for Prometheus, HOST:PORT, without a host on the loopback interface; goes with Books. "" = nowhere
	Pcap    string // write what the engine sent and received to this file
	Trace   string // write the lifecycle trace to this file

	Version    string            // for the report
	Title      string            // for the report
	Parameters map[string]string // for the report: the settings as asked for

	Warn     func(string)    // told in a sentence what no error says; nil is silence
	OnBegin  func(*Meter)    // called once, when the first connection stands
	OnStream func(Connected) // called for each connection that stands
	OnStart  func(Start)     // called once, when all connections stand or have failed, or the first sample is due; not if none stands
	OnSample func(Interval)  // called for each sample
}

// Marker is what Config.Rewrite leaves in a frame.
const Marker = 0xEE

// Congestions are the congestion controls that Config.Congestion takes.
func Congestions() []string {
	var names []string
	for _, c := range tcp.Congestions() {
		names = append(names, string(c))
	}
	return names
}

func (c *Config) setDefaults() {
	if c.Pattern && c.Bytes == 0 && c.Time == 0 {
		c.Time = DefaultTime
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.RTOMin == 0 {
		c.RTOMin = DefaultRTOMin
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	c.Books = c.Books || c.Metrics != ""
}

func (c *Config) validate() error {
	switch {
	case c.Pattern && c.Path != "":
		return errors.New("both --pattern and a file: choose one")
	case !c.Pattern && c.Path == "":
		return errors.New("nothing to send: give a FILE, - for standard input, or --pattern")
	case !c.Pattern && (c.Bytes != 0 || c.Time != 0):
		return errors.New("-n and -t go with --pattern: a file is sent whole")
	case c.Bytes != 0 && c.Time != 0:
		return errors.New("both -n and -t: choose one")
	case c.Want4 && c.Want6:
		return errors.New("both -4 and -6: choose one, or none for either")
	case c.Parallel < 1 || c.Parallel > MaxParallel:
		return fmt.Errorf("-P %d: must be from 1 to %d", c.Parallel, MaxParallel)
	case c.Path == "-" && c.Parallel > 1:
		return fmt.Errorf("-P %d with standard input: it can be read once only; give a file, or leave -P out", c.Parallel)
	case c.LocalPort != 0 && int(c.LocalPort)+c.Parallel-1 > 65535:
		return fmt.Errorf("--cport %d with -P %d: ports end at 65535", c.LocalPort, c.Parallel)
	case c.MSS < 0 || c.MSS > 65495:
		return fmt.Errorf("-M %d: must be from 0 to 65495 bytes", c.MSS)
	case c.RTOMin < leastRTOMin || c.RTOMin > mostRTOMin:
		return fmt.Errorf("--rto-min %v: must be from %v to %v", c.RTOMin, leastRTOMin, mostRTOMin)
	case c.UserTimeout != 0 && c.UserTimeout < c.RTOMin:
		return fmt.Errorf("--user-timeout %v: is over before the first retransmission, which waits for --rto-min %v: give at least that, or 0 for none", c.UserTimeout, c.RTOMin)
	case c.KeepAlive != 0 && c.KeepAlive < leastKeepAlive:
		return fmt.Errorf("--keepalive %v: must be at least %v, or 0 for none", c.KeepAlive, leastKeepAlive)
	case c.Queues < 0 || c.Frames < 0 || c.Chunk < 0 || c.Budget < 0:
		return errors.New("--queues, --frames, --chunk and --budget can't be negative")
	case c.BusyPoll > time.Second || c.BusyPoll%time.Microsecond != 0:
		return fmt.Errorf("--busy-poll %v: must be whole microseconds up to a second", c.BusyPoll)
	}
	return c.Hold.validate(c.Release)
}

// sessionConfig is what the session is opened with, for that destination.
func (c *Config) sessionConfig(dst netip.AddrPort) (session.Config, error) {
	sc := session.Config{
		Interface: c.Interface, Destination: dst.Addr(), Port: dst.Port(), Source: c.Source, Tagged: c.Tagged, VLAN: c.VLAN, Binding: session.Binding(c.Binding),
		Checksum: session.Checksum(c.Checksum), RXChecksum: session.RXChecksum(c.RXChecksum), AllowFallback: c.Fallback,
		Queues: c.Queues, Frames: c.Frames, Chunk: c.Chunk, Writers: c.Parallel, Witness: c.Rewrite, Times: c.Books, Warn: c.Warn,
		Wakeup: session.Wakeup(c.Wakeup), Budget: c.Budget, BusyPoll: c.BusyPoll, HugePages: c.HugePages, Arena: int(c.Hold.Arena), Settings: c.Settings, Steer: c.Steer,
		Audit: c.Audit, Trap: c.Trap, Monitor: c.Monitor,
	}
	var errs []error
	read := func(err error) { errs = append(errs, err) }
	var err error
	if c.Attach != "" {
		sc.Attach, err = xdpprog.ParseMode(c.Attach)
		read(err)
	}
	if c.SG != "" {
		sc.SG, err = session.ParseScatterGather(c.SG)
		read(err)
	}
	if c.Mode != "" {
		sc.Mode, err = afxdp.ParseMode(c.Mode)
		read(err)
	}
	if c.Release != "" {
		sc.Release, err = dataplane.ParseReleaseMode(c.Release)
		read(err)
	}
	return sc, errors.Join(errs...)
}

// dialConfig is what connection i, from 0, is made with.
func (c *Config) dialConfig(remote netip.AddrPort, i int) session.DialConfig {
	dc := session.DialConfig{
		Remote: remote, Congestion: tcp.Congestion(c.Congestion), FixedWindow: int(c.FixedWindow), ECN: c.ECN, NoPacing: c.NoPacing, MSS: c.MSS, DSCP: c.DSCP, Rate: uint64(c.BitRate+7) / 8,
		RTOMin: c.RTOMin, UserTimeout: c.UserTimeout, KeepAlive: c.KeepAlive, Hold: c.Hold.session(),
	}
	if c.LocalPort != 0 {
		dc.LocalPort = c.LocalPort + uint16(i)
	}
	return dc
}
