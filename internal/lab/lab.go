package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"github.com/xsend/xsend/internal/netem"
)

// Sender and Receiver name the two ends of a lab, for Do, Start and the setters; Wire, for Do and Start only, what
// is between them if Config asked for it.
const (
	Sender   = "a"
	Receiver = "b"
	Wire     = "w"
)

// DefaultName and DefaultMTU (bytes) stand in for the zero values of Config.
const (
	DefaultName = "xsend"
	DefaultMTU  = 1500
)

// minMTU is the least MTU of an Ethernet device (ETH_MIN_MTU), maxMTU the largest that veth takes
// (ETH_MAX_MTU), in bytes.
const (
	minMTU = 68
	maxMTU = 65535
)

// maxQueues is a bound of ours: each queue costs the kernel a NAPI context and a ring at both ends.
const maxQueues = 64

// ErrExists is returned by Up when a namespace of the lab's name is there already.
var ErrExists = errors.New("lab exists already")

// ErrNotFound is returned when a lab, or the namespace named, is not there.
var ErrNotFound = errors.New("no such lab")

// ErrForeign is returned when a namespace of the lab's name was made by somebody else.
var ErrForeign = errors.New("namespace was not made by xsend lab")

// Config describes a lab. The zero value is the default lab.
type Config struct {
	Name string // prefix of both namespaces; letters, digits, '_', '.', '-'; "" is DefaultName
	MTU  int    // bytes of both ends, 68 to 65535; 0 is DefaultMTU

	Loss     float64 // percent of the packets to drop at the receiver's end, 0 to 100
	LossSeed uint64  // 0 lets the kernel's random numbers decide; otherwise the same packets drop each time

	Queues       int  // transmit and receive queues of each end, 1 to 64; 0 is 1
	TxChecksum   bool // leave transmit checksum offload on, which hides wrong checksums (see the package comment)
	Segmentation bool // leave TSO and GSO on, for a baseline of the kernel's TCP; needs TxChecksum

	VLAN int // 1 to 4094: both ends talk in this 802.1Q VLAN only; 0: none

	// Wire puts a userspace wire between the ends, in a namespace NAME-w of its own, which impairs what passes.
	// Loss and LossSeed must be 0 then: the wire has its own. nil joins the ends directly.
	Wire *netem.Config
	// Program runs the wire, as "PROGRAM lab wire ..." (see RunWire); "" is the program that runs.
	Program string
}

// Lab is a pair of namespaces that exists. It holds no resource of the process.
type Lab struct {
	name string
}

// End is one end of a lab.
type End struct {
	Namespace string       // as "ip netns" lists it
	Interface string       // the veth's name inside
	IPv4      netip.Prefix // its address and prefix length
	IPv6      netip.Prefix // the same for IPv6
}

// maxName bounds a lab's name, in bytes.
const maxName = 60

// nameRE is what a namespace may be called: nothing that leads out of its directory.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$`)

// Up makes a lab. If anything fails, or ctx ends between two steps, it removes what it made before it
// returns the error. ErrExists means that nothing was touched.
func Up(ctx context.Context, cfg Config) (*Lab, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Lab{name: cfg.Name}
	var made []string
	for _, ns := range l.namespaces(cfg.Wire != nil) {
		if err := createNamespace(ns, mark(cfg.Name)); err != nil {
			return nil, errors.Join(l.existsHint(err), removeAll(made, cfg.Name))
		}
		made = append(made, ns)
	}
	if err := l.furnish(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", cfg.Name, err), removeAll(made, cfg.Name))
	}
	return l, nil
}

// furnish puts links, addresses, offloads and loss into two empty namespaces.
func (l *Lab) furnish(ctx context.Context, cfg Config) error {
	steps := []func() error{
		func() error { return l.joinEnds(cfg) },
		func() error { return l.settle(Sender, cfg) },
		func() error { return l.settle(Receiver, cfg) },
		func() error { return l.startWire(ctx, cfg) },
		func() error { return l.startVLAN(cfg) },
		func() error { return l.awaitReady(ctx, cfg) },
		func() error { return l.startLoss(cfg) },
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Open returns the lab of that name ("" is DefaultName) if both its namespaces exist and are ours, and
// ErrNotFound or ErrForeign otherwise.
func Open(name string) (*Lab, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	l := &Lab{name: name}
	for _, end := range []string{Sender, Receiver} {
		if err := checkMark(l.end(end).Namespace, mark(name)); err != nil {
			return nil, fmt.Errorf("lab %s: %w", name, err)
		}
	}
	return l, nil
}

// Down removes the lab of that name ("" is DefaultName) and whatever is left of one that was half made.
// No such lab is no error. The veth pair is deleted even if a process still lives in the namespaces.
func Down(name string) error {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return err
	}
	l := &Lab{name: name}
	// Who has a lab without a wire may well have another namespace of that name.
	wired := !errors.Is(checkMark(l.wireNamespace(), mark(name)), ErrForeign)
	return removeAll(l.namespaces(wired), name)
}

// Close removes the lab, as Down does.
func (l *Lab) Close() error { return Down(l.name) }

// Name returns the lab's name.
func (l *Lab) Name() string { return l.name }

// Sender returns the end NAME-a.
func (l *Lab) Sender() End { return l.end(Sender) }

// Receiver returns the end NAME-b.
func (l *Lab) Receiver() End { return l.end(Receiver) }

// Namespace returns the name of the namespace that end ("a", "b", or "w" for the wire) of the lab called name
// has; any other end is returned as it is, so that a full name may be given where an end is asked for.
func Namespace(name, end string) string {
	if end != Sender && end != Receiver && end != Wire {
		return end
	}
	if name == "" {
		name = DefaultName
	}
	return name + "-" + end
}

// namespaces are the lab's, the wire's first: it is to end before its interfaces go.
func (l *Lab) namespaces(wired bool) []string {
	ends := []string{l.Sender().Namespace, l.Receiver().Namespace}
	if !wired {
		return ends
	}
	return append([]string{l.wireNamespace()}, ends...)
}

func (l *Lab) end(end string) End {
	host := "1"
	if end == Receiver {
		host = "2"
	}
	return End{
		Namespace: Namespace(l.name, end),
		Interface: "veth-" + end,
		IPv4:      netip.MustParsePrefix("10.77.0." + host + "/24"),
		IPv6:      netip.MustParsePrefix("fd77:7873::" + host + "/64"),
	}
}

func (l *Lab) existsHint(err error) error {
	if !errors.Is(err, ErrExists) {
		return fmt.Errorf("lab %s: %w", l.name, err)
	}
	return fmt.Errorf("lab %s: %w; remove it with \"xsend lab down --name %s\" or choose another name",
		l.name, err, l.name)
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	return c
}

func (c Config) validate() error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	if err := checkMTU(c.MTU); err != nil {
		return err
	}
	if c.Queues < 1 || c.Queues > maxQueues {
		return fmt.Errorf("lab %s: %d queues: choose 1 to %d", c.Name, c.Queues, maxQueues)
	}
	if c.Segmentation && !c.TxChecksum {
		return fmt.Errorf("lab %s: segmentation offload needs transmit checksum offload: ask for both", c.Name)
	}
	if err := c.validateVLAN(); err != nil {
		return err
	}
	if c.Wire != nil {
		return c.validateWire()
	}
	_, err := LossRule{Percent: c.Loss, Seed: c.LossSeed}.encode()
	return err
}

func checkName(name string) error {
	if !nameRE.MatchString(name) || len(name) > maxName {
		return fmt.Errorf("lab name %q: use 1 to %d letters, digits, '_', '.' or '-', a letter or digit first", name, maxName)
	}
	return nil
}

func checkMTU(mtu int) error {
	if mtu < minMTU || mtu > maxMTU {
		return fmt.Errorf("lab MTU %d: choose %d to %d bytes", mtu, minMTU, maxMTU)
	}
	return nil
}
