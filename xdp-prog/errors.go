package xdpprog

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrBusy is in the chain of the error of Attach when the interface has an XDP
	// program already. Usually it comes as a *BusyError.
	ErrBusy = errors.New("an XDP program is attached already")
	// ErrPermission is in the chain of the error of Attach when the process may not
	// load or attach a program. The text names the capabilities.
	ErrPermission = errors.New("missing privileges")
	// ErrClosed is what methods return after Close.
	ErrClosed = errors.New("XDP program is closed")
)

// BusyError says whose program is on the interface and how to be rid of it.
type BusyError struct {
	Interface   string
	ProgramID   uint32
	ProgramName string // empty without CAP_SYS_ADMIN
	LinkID      uint32 // the bpf_link that holds it; 0: attached by netlink, or not known without CAP_SYS_ADMIN
	Attached    string // "native", "generic", "offload" or "in several modes"
}

// Error names interface, program and remedy.
func (e *BusyError) Error() string {
	return fmt.Sprintf("interface %s: %v: program %d %q, %s; it is not evicted, remove it first: %s",
		e.Interface, ErrBusy, e.ProgramID, e.ProgramName, e.Attached, e.Remedy())
}

// Unwrap makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Unwrap() error { return ErrBusy }

// Remedy is a command that removes the program. Netlink can't detach what a bpf_link holds.
func (e *BusyError) Remedy() string {
	if e.LinkID != 0 {
		return fmt.Sprintf("end the process that attached it, or bpftool link detach id %d", e.LinkID)
	}
	mode := "xdp"
	switch e.Attached {
	case "generic":
		// Plain xdp means native where the driver has it, and would remove nothing.
		mode = "xdpgeneric"
	case "offload":
		mode = "xdpoffload"
	}
	s := fmt.Sprintf("ip link set dev %s %s off, or bpftool net detach %s dev %s", e.Interface, mode, mode, e.Interface)
	if e.ProgramName == "" {
		s += "; if that is refused, end the process that attached it (CAP_SYS_ADMIN is needed to see which bpf_link)"
	}
	return s
}

var wanted = []struct {
	bit  uint
	name string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_BPF, "CAP_BPF"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},
}

// explain adds what the kernel's errno leaves out: which privilege, which kernel.
func explain(operation string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%s: %w: needs CAP_NET_ADMIN, CAP_BPF (or CAP_SYS_ADMIN) and, for the sockets, CAP_NET_RAW; %s: "+
			"run as root or setcap cap_net_admin,cap_bpf,cap_net_raw+ep on the binary: %w",
			operation, ErrPermission, lacking(), err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// lacking names the capabilities that are not in the effective set.
func lacking() string {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&hdr, &sets[0]); err != nil {
		return "capabilities unknown"
	}
	var names []string
	for _, c := range wanted {
		if sets[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			names = append(names, c.name)
		}
	}
	if names == nil {
		return "this process has them, but perhaps in a user namespace only, or a security module refuses"
	}
	return "this process lacks " + strings.Join(names, ", ")
}

// attachHint says what an errno of attaching usually means. Drivers put the reason into
// netlink's extended acknowledgement, which bpf(2) doesn't hand out.
func attachHint(mode Mode, err error) string {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Sprintf("the driver has no %s XDP: attach generic", mode)
	case errors.Is(err, unix.ERANGE), errors.Is(err, unix.EINVAL):
		return "the driver refuses the interface's settings: MTU too large for one buffer, or LRO or hardware GRO is on: change them or attach generic"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		return "not enough queues (veth: as many RX queues as the peer has TX queues; others: free TX queues for XDP): change the channels or attach generic"
	case errors.Is(err, unix.ENOTCONN):
		return "veth without a peer: make the pair anew"
	case errors.Is(err, unix.ENODEV):
		return "the interface is gone"
	}
	return "attach in another mode, or see the kernel log"
}
