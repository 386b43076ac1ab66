package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
)

// ErrPrivileges means that nothing was tried for want of a capability, which the message names.
var ErrPrivileges = errors.New("missing privileges")

// Config says what to probe.
type Config struct {
	Interface string // name, in the network namespace of the calling thread
	// NoAttach leaves the XDP hook and zero-copy alone, which can reset the link of a NIC.
	NoAttach bool
	Version  string // the program's, for the report
	// StateDir and Guardian are as in settings.Config, for what attaching takes along: where this process is killed, the guardian puts it back.
	StateDir string
	Guardian []string

	// A test's: what happens between the tries and putting back, and whether the kernel isn't tried.
	meddle   func()
	noQuirks bool
}

// Run probes an interface. The error is [hw.ErrNoInterface], [ErrPrivileges], one of settings.Begin where something is attached, that of ctx, or the kernel's where not even
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
	if err := p.guard(); err != nil {
		return nil, err
	}
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

// guard writes down how the interface is set, and starts a guardian: drivers may switch features off for a program, and not on again. Sockets and attached
// programs go with the process.
func (p *prober) guard() (err error) {
	if p.cfg.NoAttach || p.nic.XDPProgID != 0 { // nothing will be attached
		return nil
	}
	p.kept, err = settings.Begin(p.ctx, settings.Config{Interface: p.nic.Name, Keep: true, StateDir: p.cfg.StateDir, Guardian: p.cfg.Guardian})
	if err != nil {
		return fmt.Errorf("%w; --no-attach changes nothing, and needs none of this", err)
	}
	return nil
}

// putBack waits for the link, restores what attaching took along and compares.
func (p *prober) putBack(before snapshot) (Restored, error) {
	p.awaitCarrier()
	var stuck error
	if p.kept != nil {
		_, stuck = p.kept.Restore()
	}
	after, err := takeSnapshot(p.nic.Index)
	if err != nil {
		return Restored{}, errors.Join(err, stuck)
	}
	r := Restored{Settings: len(before), Differences: before.diff(after)}
	if stuck != nil && len(r.Differences) == 0 { // it is about something that is in no snapshot of ours
		r.Differences = append(r.Differences, stuck.Error())
	}
	r.Exact = len(r.Differences) == 0
	return r, nil
}
