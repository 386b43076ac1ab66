package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/trap"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Defaults of Config.
const (
	DefaultFrames        = 16384 // frames to send from, over all queues: 23 MB of payload at an MTU of 1500
	DefaultNeighbourWait = 5 * time.Second
	DefaultRing          = 2048    // entries
	minRing              = 64      // two batches of the kernel's
	maxRing              = 1 << 16 // the kernel would take more, and all memory there is
	carrierWait          = 10 * time.Second
	rxFrames             = 1024 // frames with the kernel for receiving, per queue
	reserveFrames        = 256  // frames that writers can't take, per queue
	mostLate             = time.Second
)

var (
	// ErrPrivileges says which capabilities are missing, and how to get them.
	ErrPrivileges = errors.New("missing privileges")
	// ErrMTU says that a packet of the interface's MTU does not fit into a frame.
	ErrMTU = errors.New("MTU does not fit into a frame")
	// ErrConfig says that Config or DialConfig cannot be.
	ErrConfig = errors.New("session: bad configuration")
	// ErrInterface says that a connection would leave by another interface.
	ErrInterface = errors.New("destination is not behind this session's interface")
	// ErrClosed says that the session's Close was called.
	ErrClosed = errors.New("session is closed")
)

// Session is a NIC in use: its steering program, its sockets, their pollers.
type Session struct {
	cfg          Config
	info         Info
	link         hw.Interface // with our program and sockets
	via          hw.Interface // that routes leave by: link, or a VLAN device on it
	trust        bool
	sg           bool             // packets of several descriptors
	zeroCopySegs int              // the most of them that the driver takes in zero-copy mode
	copyInstead  bool             // zero-copy was to be had, and sent nothing
	givenUp      map[string]error // by name of the knob: why; only with AllowFallback
	asked        struct{ queues int }
	sums         checksums // does not change once the session is open
	ns           *namespace
	set          *settings.Run // nil where nothing was to be set
	prog         *xdpprog.Program
	region       *umem.Region // shared by all queues of the native binding
	audit        *dataplane.PayloadAudit
	trap         *trap.Trap
	queues       []*queue
	follow       *follower
	secret       secret

	life   context.Context
	cancel context.CancelFunc

	removed atomic.Bool // the interface, for good

	mu     sync.Mutex
	conns  map[*Conn]struct{}
	ports  map[uint16]int // connections on each local port
	mtu    int            // of the interface, now
	next   int            // the queue that the next connection gets, modulo the number of those that send
	closed bool

	users   sync.WaitGroup // calls of Dial, and connections that were closed and are not over
	closing sync.Once
	report  Report
	failed  error
}

// Info is what a session found and chose.
type Info struct {
	Interface     string
	Driver        string
	DriverVersion string
	Firmware      string
	Bus           string
	Kernel        string
	MTU           int
	MAC           string
	Binding       Binding
	Attach        string // native, generic: as it is, not as it was asked for
	Mode          string // copy, zerocopy: as XDP_OPTIONS reports it
	Queues        int
	Frames        int
	Chunk         int
	Ring          int
	RxChecksum    string // verify, trust
	SG            bool   // packets have a descriptor for their headers and more for payload
	MaxSegs       int    // descriptors in a packet at most
	Wakeup        bool   // the doorbell is rung only where the kernel asks for it (XDP_USE_NEED_WAKEUP)
	Budget        int    // descriptors that a doorbell takes; 0 in zero-copy mode and where the binding does not say
	BusyPoll      time.Duration
	HugePages     bool
	Arena         int // bytes, over all queues; 0 = none
	ProgramID     uint32
	Source        netip.Addr
	NextHop       netip.Addr
}

// Open puts a session together. Whatever error it returns, nothing was started and
// nothing is left behind, unless it is also settings.ErrNotRestored.
func Open(ctx context.Context, cfg Config) (*Session, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Session{cfg: cfg, asked: struct{ queues int }{cfg.Queues}, secret: newSecret(), conns: map[*Conn]struct{}{}, ports: map[uint16]int{}, life: life, cancel: cancel}
	// The thread must not change namespace on the way.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

func (c *Config) setDefaults() error {
	if !c.Destination.IsValid() {
		return fmt.Errorf("%w: no destination", ErrConfig)
	}
	c.Destination, c.Source = c.Destination.Unmap(), c.Source.Unmap()
	if c.Binding == "" {
		c.Binding = BindingNative
	}
	if c.Binding != BindingNative && c.Binding != BindingAsavie {
		return fmt.Errorf("%w: binding %q: must be %s or %s", ErrConfig, c.Binding, BindingNative, BindingAsavie)
	}
	if c.Queues < 0 || c.Frames < 0 || c.Writers < 0 {
		return fmt.Errorf("%w: %d queues, %d frames, %d writers: must not be negative", ErrConfig, c.Queues, c.Frames, c.Writers)
	}
	if c.Late < 0 || c.Late > mostLate {
		return fmt.Errorf("%w: completions up to %v late: must be from 0 to %v", ErrConfig, c.Late, mostLate)
	}
	if c.Ring == 0 {
		c.Ring = DefaultRing
	}
	if c.Ring < minRing || c.Ring > maxRing || c.Ring&(c.Ring-1) != 0 {
		return fmt.Errorf("%w: rings of %d entries: must be a power of two from %d to %d", ErrConfig, c.Ring, minRing, maxRing)
	}
	if err := c.checkKnobs(); err != nil {
		return err
	}
	if err := c.checkTrap(); err != nil {
		return err
	}
	if c.Writers == 0 {
		c.Writers = 1
	}
	if err := c.checkVLAN(); err != nil {
		return err
	}
	if err := c.checkChecksum(); err != nil {
		return err
	}
	if c.Arena == 0 {
		c.Arena = DefaultArena
	}
	if c.NeighbourWait == 0 {
		c.NeighbourWait = DefaultNeighbourWait
	}
	if c.Release != dataplane.ReleaseAck {
		c.Witness = true
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.along == nil {
		c.along = settings.TakenAlong
	}
	if c.segments == nil {
		c.segments = readSegments
	}
	if c.kernel.open == nil {
		c.kernel.open = afxdp.Open
	}
	if c.kernel.got == nil {
		c.kernel.got = readGranted
	}
	return nil
}

// open follows the order that drivers ask for: set the NIC, attach, wait for the carrier,
// then bind; sockets are in the map before the first packet leaves.
func (s *Session) open(ctx context.Context) (err error) {
	if s.ns, err = currentNamespace(); err != nil {
		return err
	}
	if err = s.combine(); err != nil {
		return err
	}
	if err = s.checkPrivileges(0); err != nil {
		return err
	}
	if err = s.checkCPUs(); err != nil {
		return err
	}
	path, err := s.findPath(ctx)
	if err != nil {
		return err
	}
	if err = s.applySettings(ctx); err != nil {
		return err
	}
	if err = s.chooseGeometry(); err != nil {
		return err
	}
	if err = s.checkPrivileges(uint64(s.cfg.Frames) * uint64(s.cfg.Chunk)); err != nil {
		return err
	}
	if err = s.planChecksums(); err != nil {
		return err
	}
	if err = s.attach(ctx); err != nil {
		return err
	}
	if err = s.openQueues(ctx); err != nil {
		return err
	}
	s.describe(path)
	if s.follow, err = newFollower(s, path); err != nil {
		return err
	}
	s.start()
	return nil
}

func (s *Session) checkPrivileges(memory uint64) error {
	missing := hw.MissingCapabilities(memory)
	if len(missing) == 0 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	why := ""
	if limit := hw.LockLimit(); memory > limit {
		why = fmt.Sprintf(" (%d KiB of frames, and RLIMIT_MEMLOCK is %d KiB: ulimit -l raises it, fewer --frames need less)", memory>>10, limit>>10)
	}
	return fmt.Errorf("%w: AF_XDP needs %s%s: run as root, or once: %s", ErrPrivileges, strings.Join(missing, ", "), why, hw.SetcapLine(self))
}

// findPath resolves interface, source and next hop before anything is touched.
func (s *Session) findPath(ctx context.Context) (hw.Path, error) {
	if s.cfg.Interface != "" {
		link, err := hw.Lookup(s.cfg.Interface)
		if err != nil {
			return hw.Path{}, err
		}
		if err := link.Usable(); err != nil {
			return hw.Path{}, err
		}
	}
	path, err := s.resolve(ctx, s.cfg.Destination)
	if err != nil {
		return hw.Path{}, err
	}
	if s.via, err = hw.LookupIndex(path.Route.Interface); err != nil {
		return hw.Path{}, err
	}
	s.mtu = s.via.MTU
	s.link, err = s.cfg.findLink(s.via, hw.LookupIndex)
	return path, err
}

func (s *Session) resolve(ctx context.Context, dst netip.Addr) (hw.Path, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.NeighbourWait)
	defer cancel()
	return hw.ResolvePath(ctx, dst, hw.RouteOptions{Interface: s.cfg.Interface, Source: s.cfg.Source})
}

func (s *Session) attach(ctx context.Context) (err error) {
	mode := s.cfg.Attach
	s.prog, err = xdpprog.Attach(xdpprog.Config{Ifindex: s.link.Index, Mode: mode, Queues: s.link.RxQueues})
	if err != nil && mode == xdpprog.ModeNative && !errors.Is(err, xdpprog.ErrBusy) && !errors.Is(err, xdpprog.ErrPermission) && s.giveUp("attach", err) {
		s.prog, err = xdpprog.Attach(xdpprog.Config{Ifindex: s.link.Index, Mode: xdpprog.ModeGeneric, Queues: s.link.RxQueues})
	}
	if err != nil {
		return err
	}
	if refused := s.prog.NativeRefused(); refused != nil {
		s.cfg.Warn(fmt.Sprintf("%s: XDP program is attached generic, native was refused: %v", s.link.Name, refused))
	}
	ctx, cancel := context.WithTimeout(ctx, carrierWait)
	defer cancel()
	if err := hw.WaitCarrier(ctx, s.link.Index); err != nil { // attaching resets some NICs
		return err
	}
	return hw.WaitCarrier(ctx, s.via.Index)
}

func (s *Session) describe(path hw.Path) {
	var uts unix.Utsname
	_ = unix.Uname(&uts) // cannot fail with a valid pointer
	caps := s.queues[0].caps
	s.info = Info{
		Arena: s.info.Arena, Interface: s.link.Name, Driver: s.link.Driver, DriverVersion: s.link.DriverVersion, Firmware: s.link.Firmware, Bus: s.link.Bus,
		Kernel: unix.ByteSliceToString(uts.Release[:]), MTU: s.via.MTU, MAC: s.via.MAC.String(),
		Binding: s.cfg.Binding, Attach: s.prog.Mode().String(), Mode: "copy",
		Queues: len(s.queues), Frames: s.cfg.Frames, Chunk: s.cfg.Chunk, Ring: s.cfg.Ring,
		RxChecksum: "verify", SG: caps.SG, MaxSegs: caps.MaxSegs, ProgramID: s.prog.ID(), Source: path.Route.Source, NextHop: path.Route.NextHop,
	}
	s.info.Wakeup = s.cfg.Binding == BindingNative && s.cfg.Wakeup != WakeupOff
	s.info.Budget, s.info.HugePages = s.queues[0].budget, s.cfg.HugePages && !s.gaveUp("hugepages")
	s.info.BusyPoll = s.queues[0].busyPoll
	if caps.ZeroCopy {
		s.info.Mode = "zerocopy"
	}
	if s.trust {
		s.info.RxChecksum = "trust"
	}
}

// Info is what the session found and chose.
func (s *Session) Info() Info { return s.info }

// abandon takes down what Open had put up when it failed: no poller runs yet.
// The error is that of settings which could not be put back; else the one that matters is Open's.
func (s *Session) abandon() error {
	s.cancel()
	_ = s.stop()
	if s.set == nil {
		return nil
	}
	_, err := s.set.Restore() // again: the first one's answer
	return err
}

// Program counts what the steering program saw.
func (s *Session) Program() (xdpprog.Counters, error) { return s.prog.Counters() }
