package matrix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults of Config.
const (
	DefaultTime  = 3 * time.Second
	DefaultTurns = 3
)

// Bounds of an MTU, in bytes, as the kernel has them.
const (
	minMTU = 68
	maxMTU = 65535
)

// The values of each knob.
var (
	Checksums = []string{"sw", "hw", "kernel"}
	SGs       = []string{"off", "on"}
	Modes     = []string{"copy", "zerocopy"}
	Attaches  = []string{"native", "generic"}
)

// Config is a matrix. Zero means the default given.
type Config struct {
	Self    string // the program to run
	Version string // of it: runs of another one are not mixed in
	State   string // file that keeps the runs, so that they can be gone on with; "" keeps none

	Interface string // to send from
	Target    string // HOST:PORT of an "xsend sink --verify"

	Checksums, SGs, Modes, Attaches []string // nil: all of them
	MTUs                            []int    // nil: the interface's

	Time  time.Duration // of each run; 0 = DefaultTime
	Turns int           // runs of each row; 0 = DefaultTurns

	Force    bool     // set also what could cut the machine off
	Guardian []string // as in settings.Config, for what is set for the kernel's TCP; empty: none

	// Knows tells whether "xsend send" has a flag of that name; nil: it has all.
	Knows func(flag string) bool
	Done  func(Progress) // told of each run; nil: nobody is

	asIs bool // TSO and GSO of the interface can't be set, and are neither both on nor both off
}

func (c *Config) setDefaults() {
	for _, knob := range []struct{ at, all *[]string }{
		{&c.Checksums, &Checksums}, {&c.SGs, &SGs}, {&c.Modes, &Modes}, {&c.Attaches, &Attaches},
	} {
		if *knob.at == nil {
			*knob.at = *knob.all
		}
	}
	if c.Time == 0 {
		c.Time = DefaultTime
	}
	if c.Turns == 0 {
		c.Turns = DefaultTurns
	}
	if c.Knows == nil {
		c.Knows = func(string) bool { return true }
	}
	if c.Done == nil {
		c.Done = func(Progress) {}
	}
}

func (c *Config) validate() error {
	for _, knob := range []struct {
		flag      string
		have, all []string
	}{
		{"--checksum", c.Checksums, Checksums}, {"--sg", c.SGs, SGs}, {"--mode", c.Modes, Modes}, {"--attach", c.Attaches, Attaches},
	} {
		if err := checkList(knob.flag, knob.have); err != nil {
			return err
		}
		for _, v := range knob.have {
			if !slices.Contains(knob.all, v) {
				return fmt.Errorf("%s %s: choose from %s", knob.flag, v, strings.Join(knob.all, ", "))
			}
		}
	}
	if err := checkList("--mtu", c.MTUs); err != nil && c.MTUs != nil {
		return err
	}
	for _, mtu := range c.MTUs {
		if mtu < minMTU || mtu > maxMTU {
			return fmt.Errorf("--mtu %d: choose from %d to %d bytes", mtu, minMTU, maxMTU)
		}
	}
	switch {
	case c.Time < 100*time.Millisecond || c.Time > time.Hour:
		return fmt.Errorf("--time %v: choose from 100ms to 1h", c.Time)
	case c.Turns < 1 || c.Turns > 1000:
		return fmt.Errorf("--turns %d: choose from 1 to 1000", c.Turns)
	case c.Interface == "":
		return errors.New("no interface: give IFACE and HOST:PORT")
	}
	return nil
}

// checkList refuses an empty list, and one with the same row twice.
func checkList[T comparable](flag string, list []T) error {
	if len(list) == 0 {
		return fmt.Errorf("%s: the list is empty: leave the flag out for all values", flag)
	}
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%s %v: given twice", flag, v)
		}
	}
	return nil
}
