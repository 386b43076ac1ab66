package probe

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// refusal says what the kernel answered, what that means for this ability on this interface, and the command that would
// fix it; empty where none is known.
func (f *facts) refusal(name string, err error) (errno, reason, remedy string) {
	var e unix.Errno
	_ = errors.As(err, &e)
	errno = errnoName(err)
	switch name {
	case "native_attach":
		reason, remedy = f.nativeRefused(e)
	case "generic_attach":
		reason, remedy = f.genericRefused(e)
	case "zero_copy_bind":
		reason, remedy = f.zeroCopyRefused(e)
	case "sg_zero_copy_bind":
		reason, remedy = f.sgZeroCopyRefused(e)
	case "huge_pages":
		reason, remedy = hugeRefused(err)
	default:
		reason, remedy = optionRefused(name, e)
	}
	if reason == "" {
		reason, remedy = f.bindRefused(e, err)
	}
	return errno, reason, remedy
}

// errnoName is the kernel's answer in err, by its name; empty without one.
func errnoName(err error) string {
	var e unix.Errno
	switch {
	case !errors.As(err, &e) || e == 0:
		return ""
	case e == unix.EOPNOTSUPP: // two names for one number, and this is the one that people know
		return "EOPNOTSUPP"
	}
	return unix.ErrnoName(e)
}

// nativeRefused: drivers say why in the extended acknowledgement, which bpf(2) doesn't hand out. The likely reasons are
// looked up instead, in the order in which drivers check them.
func (f *facts) nativeRefused(e unix.Errno) (reason, remedy string) {
	name := f.nic.Name
	switch e {
	case unix.EOPNOTSUPP:
		if f.nic.Driver == "virtio_net" {
			return "the host merges packets or leaves out checksums for the guest, which can't tell it not to",
				"QEMU: -device virtio-net-pci,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"
		}
		if reason, remedy = f.blocking(); reason != "" && f.claims.Features&hw.XDPBasic != 0 {
			return reason, remedy
		}
		return "the driver has no native XDP", "xsend send --attach generic"
	case unix.ENOSPC, unix.ENOMEM:
		return f.tooFewChannels()
	case unix.ERANGE:
		return fmt.Sprintf("the MTU of %d is too large for the driver's XDP buffers", f.nic.MTU), fmt.Sprintf("ip link set dev %s mtu 1500", name)
	case unix.EINVAL:
		if reason, remedy = f.blocking(); reason != "" {
			return reason, remedy
		}
		if f.channels.Combined > f.channels.MaxCombined/2 {
			return f.tooFewChannels()
		}
		return "the driver refuses, and the kernel's log may say why", "dmesg | tail"
	case unix.ENOTCONN:
		return "a veth without a peer", "make the pair anew"
	}
	return "", ""
}

// blocking is what is set that keeps drivers from taking a program.
func (f *facts) blocking() (reason, remedy string) {
	off := func(feature string) string {
		if !f.features[feature].Available {
			return "xsend send --attach generic: " + feature + " is fixed"
		}
		return fmt.Sprintf("ethtool -K %s %s off", f.nic.Name, feature)
	}
	switch {
	case f.active("rx-lro"):
		return "LRO is on", off("rx-lro")
	case f.active("rx-gro-hw"):
		return "hardware GRO is on", off("rx-gro-hw")
	case f.nic.MTU > 1500:
		return fmt.Sprintf("the MTU of %d is too large for the driver's XDP buffers", f.nic.MTU), fmt.Sprintf("ip link set dev %s mtu 1500", f.nic.Name)
	}
	return "", ""
}

// genericCosts is why a generic program isn't tried: for one the kernel switches these off, and leaves them off.
func (f *facts) genericCosts() (reason, remedy string) {
	for _, feature := range []string{"rx-lro", "rx-gro-hw"} {
		if f.active(feature) {
			return "for a generic program the kernel switches " + feature + " off, and leaves it off", fmt.Sprintf("ethtool -K %s %s off", f.nic.Name, feature)
		}
	}
	return "", ""
}

// tooFewChannels: a program takes TX queues of its own; on veth an RX queue for each TX queue of the peer.
func (f *facts) tooFewChannels() (reason, remedy string) {
	c := f.channels
	switch {
	case f.nic.Driver == "veth" && c.Rx < c.MaxRx:
		return "too few channels: fewer RX queues here than TX queues at the peer", fmt.Sprintf("ethtool -L %s rx %d", f.nic.Name, c.MaxRx)
	case f.nic.Driver == "veth":
		return "too few channels: fewer RX queues here than TX queues at the peer", "ethtool -L PEER tx " + fmt.Sprint(max(1, c.Rx)) + ", at the peer"
	case c.Combined > 1:
		return "too few channels are free: a program takes TX queues of its own", fmt.Sprintf("ethtool -L %s combined %d", f.nic.Name, max(1, c.MaxCombined/2))
	}
	return "too few channels, or too little memory, for a program's own TX queues", fmt.Sprintf("ethtool -l %s", f.nic.Name)
}

func (f *facts) genericRefused(e unix.Errno) (reason, remedy string) {
	switch e {
	case unix.EOPNOTSUPP:
		return "the kernel takes no generic program on this interface", "choose the NIC under it with --interface"
	case unix.ERANGE, unix.EINVAL:
		return fmt.Sprintf("the MTU of %d is too large, or the interface can't have a program", f.nic.MTU), fmt.Sprintf("ip link set dev %s mtu 1500", f.nic.Name)
	}
	return "", ""
}

// ethPad is what the kernel adds to the MTU when it compares it with a chunk: Ethernet header, two VLAN tags, FCS.
const ethPad = 14 + 2*4 + 4

// largestMTU that fits zero-copy chunks of 4096 bytes, of which 256 are headroom.
const largestMTU = (umem.MaxChunk-256)/128*128 - ethPad

func (f *facts) zeroCopyRefused(e unix.Errno) (reason, remedy string) {
	claimed := f.claims.Features&hw.XDPZeroCopy != 0
	switch {
	case f.nic.Driver == "virtio_net" && (e == unix.EOPNOTSUPP || e == unix.EINVAL || e == unix.EPERM) && f.nic.MTU <= largestMTU:
		return "virtio without an IOMMU, or a kernel before 6.13", "QEMU: -device virtio-net-pci,iommu_platform=on,disable-legacy=on"
	case e == unix.EOPNOTSUPP && claimed:
		return "the driver claims zero-copy and refuses it as it is set up now", "xsend send --mode copy"
	case e == unix.EOPNOTSUPP:
		return "the driver has no zero-copy", "xsend send --mode copy"
	case e == unix.EINVAL && f.nic.MTU > largestMTU:
		return fmt.Sprintf("the MTU of %d doesn't fit a chunk of %d bytes", f.nic.MTU, umem.MaxChunk), fmt.Sprintf("ip link set dev %s mtu %d", f.nic.Name, largestMTU)
	case e == unix.EINVAL && !f.native:
		return "no program is attached in the driver, and many want one first", "what native attach asks for"
	case e == unix.EINVAL:
		return "the driver refuses the queue or its rings as they are set up", fmt.Sprintf("ethtool -g %s; ethtool -l %s", f.nic.Name, f.nic.Name)
	case e == unix.ENOMEM:
		return "too little memory, or the IOMMU refuses to map it", "boot with iommu=pt"
	case e == unix.ENETDOWN:
		return "the interface is down", fmt.Sprintf("ip link set dev %s up", f.nic.Name)
	}
	return "", ""
}

func (f *facts) sgZeroCopyRefused(e unix.Errno) (reason, remedy string) {
	if e == unix.EOPNOTSUPP || e == unix.EINVAL {
		return "the driver takes one descriptor per packet in zero-copy", "xsend send --mode copy, or an MTU that fits a chunk"
	}
	return "", ""
}

func hugeRefused(err error) (reason, remedy string) {
	if errors.Is(err, umem.ErrHugePages) {
		return "no huge page is reserved", "sysctl vm.nr_hugepages=18"
	}
	return "", ""
}

// optionRefused is about what a kernel has or has not, whatever the NIC.
func optionRefused(name string, e unix.Errno) (reason, remedy string) {
	older := func(release string) (string, string) {
		return "this kernel doesn't have it", "Linux " + release + " or newer"
	}
	switch {
	case name == "tx_budget" && e == unix.ENOPROTOOPT:
		return older("6.18")
	case name == "tx_budget" && e == unix.EACCES:
		return "the kernel refuses the number: 32 to the size of the TX ring", ""
	case strings.HasPrefix(name, "tx_") && e == unix.EINVAL:
		return older("6.11")
	case name == "tx_software_checksum" && e == unix.EOPNOTSUPP:
		return "the device takes packets as pages (virtio_net), and the kernel doesn't sum those", "checksums by xsend itself, which is what it does"
	case name == "sg_bind" && e == unix.EINVAL:
		return older("6.6")
	case strings.Contains(name, "busy_poll") && e == unix.ENOPROTOOPT:
		return older("5.11, with CONFIG_NET_RX_BUSY_POLL")
	case strings.Contains(name, "busy_poll") && e == unix.EPERM:
		return "it takes CAP_NET_ADMIN", "run as root"
	}
	return "", ""
}

// bindRefused is what any socket can be refused for.
func (f *facts) bindRefused(e unix.Errno, err error) (reason, remedy string) {
	switch {
	case errors.Is(err, afxdp.ErrQueueBusy):
		return "another AF_XDP socket has queue 0", "end its process: ss --xdp -p may show it"
	case errors.Is(err, afxdp.ErrMemlock):
		return "more locked memory than RLIMIT_MEMLOCK allows", fmt.Sprintf("ulimit -l %d, or CAP_IPC_LOCK, or fewer --frames", defaultMemory>>10)
	case errors.Is(err, afxdp.ErrPermission), errors.Is(err, xdpprog.ErrPermission):
		return "not permitted, by a security module or in a user namespace", "run as root in the initial user namespace"
	case e == unix.EAFNOSUPPORT:
		return "the kernel was built without CONFIG_XDP_SOCKETS", "a kernel with CONFIG_XDP_SOCKETS"
	case e == unix.ENETDOWN:
		return "the interface is down", fmt.Sprintf("ip link set dev %s up", f.nic.Name)
	}
	return err.Error(), ""
}

// occupied says whose program is on the interface.
func occupied(err error) (reason, remedy string) {
	var busy *xdpprog.BusyError
	if !errors.As(err, &busy) {
		return "an XDP program was attached a moment ago", "try again"
	}
	return fmt.Sprintf("program %d %q is attached, %s, and not replaced", busy.ProgramID, busy.ProgramName, busy.Attached), busy.Remedy()
}
