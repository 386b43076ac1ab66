package sumprobe

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Symbol is the function of the kernel whose calls are counted.
const Symbol = "skb_checksum_help"

// flows is how many the probe tells apart. Calls for more are counted as unknown.
const flows = 4096

// pmu is where a kernel with kprobes shows them to perf_event_open.
const pmu = "/sys/bus/event_source/devices/kprobe"

// Flow is whose packets are counted: those to Remote that come from the port Local. Of Remote's address the last four
// bytes count.
type Flow struct {
	Local  uint16
	Remote netip.AddrPort
}

// key is how the program tells flows apart: eight bytes of the packet, from four before the transport header.
type key [8]byte

func (f Flow) key() (k key) {
	b := f.Remote.Addr().AsSlice()
	copy(k[:4], b[max(0, len(b)-4):])
	k[4], k[5] = byte(f.Local>>8), byte(f.Local)
	k[6], k[7] = byte(f.Remote.Port()>>8), byte(f.Remote.Port())
	return k
}

// Calls is what was counted since Open, in packets.
type Calls struct {
	Flow    uint64 // of the flow
	Unknown uint64 // of nobody knows whom, but not of Control
}

// Probe counts from Open to Close.
type Probe struct {
	counts, lost *ebpf.Map
	prog         *ebpf.Program
	link         link.Link
	control      *control
	attributes   bool
	own          uint64 // unknown calls that were Control's
}

// Open attaches the probe and makes what Control needs. It asks for CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN;
// an error says which step failed, and whether the kernel has no kprobes at all.
func Open() (*Probe, error) {
	p := &Probe{}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Probe) open() (err error) {
	if _, err := os.Stat(pmu); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attach a kprobe to %s: this kernel has none (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS: no %s)", Symbol, pmu)
	}
	if err := p.load(); err != nil {
		return err
	}
	if p.link, err = link.Kprobe(Symbol, p.prog, nil); err != nil {
		return fmt.Errorf("attach a kprobe to %s: %w", Symbol, err)
	}
	p.control, err = newControl()
	return err
}

// load makes program and maps.
func (p *Probe) load() (err error) {
	// Only needed, and only done, on kernels that charge BPF memory to the memlock limit (before 5.11).
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("raise the memlock limit for the kprobe's program: %w", err)
	}
	p.counts, err = ebpf.NewMap(&ebpf.MapSpec{Name: "xsend_sum_calls", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: flows})
	if err != nil {
		return fmt.Errorf("make the map of the kprobe's counts: %w", err)
	}
	p.lost, err = ebpf.NewMap(&ebpf.MapSpec{Name: "xsend_sum_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("make the map of the kprobe's lost counts: %w", err)
	}
	at, err := readLayout()
	p.attributes = err == nil
	p.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "xsend_sum", Type: ebpf.Kprobe, License: "GPL", Instructions: instructions(p.counts.FD(), p.lost.FD(), at),
	})
	if err != nil {
		return fmt.Errorf("load the kprobe's program: %w", err)
	}
	return nil
}

// Attributes reports whether flows are told apart. Where not, every call is unknown.
func (p *Probe) Attributes() bool { return p.attributes }

// Calls returns what was counted of a flow.
func (p *Probe) Calls(f Flow) (c Calls, err error) {
	if c.Flow, err = p.count(f.key()); err != nil {
		return c, err
	}
	unknown, err := p.unknown()
	c.Unknown = unknown - p.own
	return c, err
}

// count is one counter of the map; a flow that nothing was counted of is not in it.
func (p *Probe) count(k key) (n uint64, err error) {
	err = p.counts.Lookup(k, &n)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the kprobe's counts: %w", err)
	}
	return n, nil
}

func (p *Probe) unknown() (uint64, error) {
	nobody, err := p.count(key{})
	if err != nil {
		return 0, err
	}
	var lost uint64
	if err := p.lost.Lookup(uint32(0), &lost); err != nil {
		return 0, fmt.Errorf("read the kprobe's lost counts: %w", err)
	}
	return nobody + lost, nil
}

// Close removes the probe and what belongs to it.
func (p *Probe) Close() error {
	var errs []error
	if p.link != nil {
		errs = append(errs, p.link.Close())
	}
	if p.control != nil {
		errs = append(errs, p.control.close())
	}
	errs = append(errs, p.prog.Close(), p.lost.Close(), p.counts.Close()) // which may be nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the kprobe on %s: %w", Symbol, err)
	}
	return nil
}
