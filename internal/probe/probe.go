package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// ErrPrivileges means that nothing was tried for want of a capability, which the message names.
var ErrPrivileges = errors.New("missing privileges")

// Config says what to probe.
type Config struct {
	Interface string // name, in the network namespace of the calling thread
	// NoAttach leaves the XDP hook and zero-copy alone, which can reset the link of a NIC.
	NoAttach bool
	Version  string // the program's, for the report

	// A test's: what happens between the tries and putting back, and whether the kernel isn't tried.
	meddle   func()
	noQuirks bool
}

// Run probes an interface. The error is [hw.ErrNoInterface], [ErrPrivileges], that of ctx, or the kernel's where not even
// the state could be read. What is refused is no error but a finding. Where ctx ends, what was changed is put back first.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	nic, err := hw.Lookup(cfg.Interface)
	if err != nil {
		return nil, err
	}
	if err := checkPrivileges(); err != nil {
		return nil, err
	}
	before, err := takeSnapshot(nic.Index)
	if err != nil {
		return nil, err
	}
	p := &prober{ctx: ctx, cfg: cfg, facts: readFacts(nic)}
	p.tryInterface()
	if cfg.meddle != nil {
		cfg.meddle()
	}
	restored, err := p.putBack(before)
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	r := &Report{
		Schema: Schema, Version: cfg.Version, Kernel: kernelRelease(),
		Interface: p.describe(), Claims: p.claimed(), Abilities: p.findings, Restored: restored,
	}
	if !cfg.noQuirks {
		r.Quirks = tryQuirks(ctx)
	}
	return r, context.Cause(ctx)
}

func checkPrivileges() error {
	missing := hw.MissingCapabilities(0)
	if len(missing) == 0 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return fmt.Errorf("%w: AF_XDP and XDP programs need %s: run as root, or once: %s", ErrPrivileges, strings.Join(missing, ", "), hw.SetcapLine(self))
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// putBack waits for the link, gives features back and compares.
func (p *prober) putBack(before snapshot) (Restored, error) {
	p.awaitCarrier()
	if err := giveBack(p.nic.Name, p.features); err != nil {
		return Restored{}, err
	}
	after, err := takeSnapshot(p.nic.Index)
	if err != nil {
		return Restored{}, err
	}
	r := Restored{Settings: len(before), Differences: before.diff(after)}
	r.Exact = len(r.Differences) == 0
	return r, nil
}
