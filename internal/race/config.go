package race

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/xsend/xsend/internal/sink"
)

// Defaults of Config.
const (
	DefaultBytes   = 8 << 20
	DefaultRound   = 64 << 10
	DefaultBuffers = 16
	DefaultTurns   = 2
	DefaultLate    = 5 * time.Millisecond
	DefaultRTT     = 500 * time.Microsecond
)

// Bounds of Config.
const (
	mostRounds  = 1 << 20 // of a run
	mostRound   = 16 << 20
	mostBuffers = 1 << 12
	mostMemory  = 1 << 30
	mostTurns   = 100
	mostLate    = time.Second
	mostRTT     = time.Second
	leastRate   = 1_000_000 // bits per second
)

// DefaultLosses are the blocks of the table, in percent.
var DefaultLosses = []float64{0, 1}

// Config is one race. Zero means the default given.
type Config struct {
	Self    string // the program to run as writers and receiver
	Version string

	// Interface and Target are a NIC and the HOST:PORT of an "xsend sink --verify"; both "": two namespaces that are made for it.
	Interface, Target string

	Rows    []string      // nil = all
	Losses  []float64     // percent of packets dropped in the lab, a block each; nil = DefaultLosses; not with a Target
	MTU     int           // of the lab, bytes; 0 = 1500
	RTT     time.Duration // of the lab; 0 = the ends are joined directly; what "xsend race" takes is DefaultRTT
	Rate    int64         // with RTT: of the wire's bottleneck, bits per second; 0 = none
	Bytes   int64         // that each row sends in a block, over all turns, in whole rounds; 0 = DefaultBytes
	Round   int64         // bytes of a buffer, a multiple of 4 KiB; 0 = DefaultRound
	Buffers int           // of each writer; 0 = DefaultBuffers
	Turns   int           // runs that the bytes of a row are spread over; 0 = DefaultTurns
	Seed    uint64        // of the order, and of what is lost; 0 = 1
	// Late is how late completions are handed on, at most, in the rows that say so; 0 = DefaultLate.
	Late time.Duration

	Err  io.Writer // what children say
	Say  func(string)
	Done func(Progress) // told of each run
}

// Progress is a run that has ended.
type Progress struct {
	Sender     Sender
	Loss       *float64 // percent; nil: the path's own
	Turn       int      // from 1
	Count, All int      // this run and all of them
	Reason     string   // why it came to nothing, "" where it did
	Bytes      int64
	Corrupted  int64
}

// pageSize is what buffers are multiples of: sendfile and splice move pages.
const pageSize = 4096

func (c *Config) setDefaults() {
	if c.Rows == nil {
		c.Rows = Names()
	}
	switch {
	case c.Target != "":
		c.Losses = nil
	case c.Losses == nil:
		c.Losses = DefaultLosses
	}
	set := func(at *int64, to int64) {
		if *at == 0 {
			*at = to
		}
	}
	set(&c.Bytes, DefaultBytes)
	set(&c.Round, DefaultRound)
	if c.Buffers == 0 {
		c.Buffers = DefaultBuffers
	}
	if c.Turns == 0 {
		c.Turns = DefaultTurns
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Late == 0 {
		c.Late = DefaultLate
	}
	if c.Err == nil {
		c.Err = io.Discard
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	if c.Done == nil {
		c.Done = func(Progress) {}
	}
}

// Validate says what can't be.
func (c Config) Validate() error {
	losses := c.Losses
	c.setDefaults()
	if err := c.validateRows(); err != nil {
		return err
	}
	switch {
	case (c.Interface == "") != (c.Target == ""):
		return errors.New("an interface needs a HOST:PORT, and the other way round: give both, or neither for two namespaces of this machine")
	case c.Target != "" && losses != nil:
		return errors.New("--loss with a destination: a real path loses what it loses; leave one out")
	case c.Target != "" && c.MTU != 0:
		return errors.New("--mtu with a destination: it is for namespaces that are made; leave one out")
	case c.Target != "" && (c.RTT != 0 || c.Rate != 0):
		return errors.New("--rtt or --rate with a destination: they are for namespaces that are made; leave them out")
	case c.RTT < 0 || c.RTT > mostRTT:
		return fmt.Errorf("an RTT of %v: choose from 0 to %v", c.RTT, mostRTT)
	case c.Rate != 0 && (c.RTT == 0 || c.Rate < leastRate):
		return fmt.Errorf("a rate of %d bit/s: it is for a wire, so give --rtt too, and at least %d", c.Rate, leastRate)
	case c.Round < pageSize || c.Round > mostRound || c.Round%pageSize != 0 || c.Round%sink.RoundGrain != 0:
		return fmt.Errorf("rounds of %d bytes: choose a multiple of %d up to %d", c.Round, pageSize, mostRound)
	case c.Buffers < 1 || c.Buffers > mostBuffers || int64(c.Buffers)*c.Round > mostMemory:
		return fmt.Errorf("%d buffers of %d bytes: choose from 1 to %d, and at most 1 GiB in all", c.Buffers, c.Round, mostBuffers)
	case c.Turns < 1 || c.Turns > mostTurns:
		return fmt.Errorf("%d turns: choose from 1 to %d", c.Turns, mostTurns)
	case c.roundsOf() < 1 || c.roundsOf() > mostRounds:
		return fmt.Errorf("%d bytes in %d turns of rounds of %d bytes: a turn must have from 1 to %d rounds", c.Bytes, c.Turns, c.Round, mostRounds)
	case c.Late < 0 || c.Late > mostLate:
		return fmt.Errorf("completions up to %v late: choose from 0 to %v", c.Late, mostLate)
	}
	for _, loss := range c.Losses {
		if !(loss >= 0 && loss <= 50) {
			return fmt.Errorf("loss of %v percent: choose from 0 to 50", loss)
		}
	}
	return c.validateTarget()
}

func (c *Config) validateRows() error {
	if len(c.Rows) == 0 {
		return errors.New("no rows: leave the flag out for all of them")
	}
	for i, name := range c.Rows {
		if _, err := lookup(name); err != nil {
			return err
		}
		if slices.Contains(c.Rows[:i], name) {
			return fmt.Errorf("row %s is there twice", name)
		}
	}
	return nil
}

func (c *Config) validateTarget() error {
	if c.Target == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Target)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" {
		return fmt.Errorf("destination %q: give HOST:PORT, an IPv6 address as [ADDRESS]:PORT", c.Target)
	}
	return nil
}

// roundsOf is the number of rounds in a turn.
func (c *Config) roundsOf() int64 { return c.Bytes / int64(c.Turns) / c.Round }

// Short makes it the short race: four rows with 1 % loss.
func (c *Config) Short() {
	c.Rows, c.Losses, c.RTT, c.Turns = ShortRows, []float64{1}, DefaultRTT, 1
}
