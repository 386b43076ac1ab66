package xdpprog

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Config says where to attach and how.
type Config struct {
	// Ifindex is the interface's index in the network namespace of the calling thread.
	Ifindex int
	// Mode is how to attach; zero is ModeAuto.
	Mode Mode
	// Queues is how many RX queues, from 0, can have a socket; zero means as many as
	// the interface has.
	Queues int
}

func (c Config) validate() error {
	if c.Ifindex < 1 {
		return fmt.Errorf("interface index %d: must be 1 or more", c.Ifindex)
	}
	if c.Queues < 0 {
		return fmt.Errorf("%d queues: must be 0 (all) or more", c.Queues)
	}
	if c.Mode < ModeAuto || c.Mode > ModeGeneric {
		return fmt.Errorf("XDP attach mode %d: want ModeAuto, ModeNative or ModeGeneric", int(c.Mode))
	}
	return nil
}

// Attach loads the program and attaches it to an interface. It steers nothing until a
// port is added. Attaching can reset the link of a NIC: wait for carrier afterwards.
//
// The caller keeps the Program as long as frames are to be steered: when it becomes
// garbage, its file descriptors are closed and with them the attachment ends.
//
// Errors: ErrBusy (as *BusyError) if a program is attached already, ErrPermission;
// anything else carries the kernel's errno.
func Attach(cfg Config) (*Program, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("attach XDP program: %w", err)
	}
	n, err := readNIC(cfg.Ifindex)
	if err != nil {
		return nil, fmt.Errorf("attach XDP program: %w", err)
	}
	if err := errors.Join(n.usable(), n.occupant()); err != nil {
		return nil, fmt.Errorf("attach XDP program: %w", err)
	}
	return attachTo(n, cfg)
}

func attachTo(n nic, cfg Config) (*Program, error) {
	queues := cfg.Queues
	if queues == 0 {
		queues = n.rxQueues
	}
	objs, err := load(queues, max(queues, n.rxQueues))
	if err != nil {
		return nil, err
	}
	p := &Program{nic: n, objs: objs, queues: queues}
	if err := p.attach(cfg.Mode); err != nil {
		objs.Close()
		return nil, err
	}
	return p, nil
}

// load makes the maps, queues sockets and counted queues large, and has the kernel verify the program.
func load(queues, counted int) (*steerObjects, error) {
	// Maps were charged to RLIMIT_MEMLOCK up to 5.10; does nothing on later kernels.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, explain("load XDP program: raise RLIMIT_MEMLOCK", err)
	}
	spec, err := loadSteer()
	if err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	spec.Maps[steerMapXsks].MaxEntries = uint32(queues)
	spec.Maps[steerMapUnserved].MaxEntries = uint32(counted)
	objs := new(steerObjects)
	if err := spec.LoadAndAssign(objs, nil); err != nil {
		return nil, explain("load XDP program (needs Linux 5.18 with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS)", err)
	}
	return objs, nil
}

// attach tries the modes that were asked for, and stays with the first that works.
func (p *Program) attach(mode Mode) error {
	info, err := p.objs.XsendSteer.Info()
	if err != nil {
		return fmt.Errorf("attach XDP program: read its id: %w", err)
	}
	id, _ := info.ID()
	p.id = uint32(id)
	for _, m := range mode.attempts() {
		if err = p.attachAs(m); err == nil {
			return nil
		}
		if mode != ModeAuto || !modeRefused(err) {
			return err
		}
		p.refused = err
	}
	return errors.Join(p.refused, err)
}

// modeRefused reports whether an error is about the mode, so that another one is worth trying.
func modeRefused(err error) bool {
	return !errors.Is(err, ErrBusy) && !errors.Is(err, ErrPermission) && !errors.Is(err, unix.ENODEV)
}

func (p *Program) attachAs(m Mode) error {
	l, err := link.AttachXDP(link.XDPOptions{Program: p.objs.XsendSteer, Interface: p.nic.index, Flags: m.flag()})
	switch {
	case err == nil:
		p.link, p.mode = l, m
		return nil
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return p.outrun(m, err)
	}
	what := fmt.Sprintf("attach XDP program to %s, %s", p.nic.name, m)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return explain(what, err)
	}
	return fmt.Errorf("%s: %w (%s)", what, err, attachHint(m, err))
}

// outrun explains EBUSY and EEXIST although the interface had no program a moment
// ago: another process was quicker, or a bond above it has one.
func (p *Program) outrun(m Mode, err error) error {
	if n, readErr := readNIC(p.nic.index); readErr == nil {
		if busy := n.occupant(); busy != nil {
			return fmt.Errorf("attach XDP program: %w: %w", busy, err)
		}
	}
	return fmt.Errorf("attach XDP program to %s, %s: %w: here for a moment, or on an interface above (bond, team): attach there, or detach that: %w",
		p.nic.name, m, ErrBusy, err)
}
