package session

import (
	"net/netip"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Binding names the code behind the AF_XDP socket.
type Binding string

// The bindings.
const (
	BindingNative Binding = "native" // package afxdp
	BindingAsavie Binding = "asavie" // github.com/asavie/xdp, the second opinion
)

// Config is what a session is opened with. Zero means the default given.
type Config struct {
	// Interface is the NIC's name; "" is the one that the route to Destination leaves by.
	Interface string
	// Destination is where the first connection will go. It chooses the interface
	// and is resolved before anything is touched; must be set.
	Destination netip.Addr
	// Source is the address to send from; unset is what the kernel would choose.
	Source netip.Addr

	// Tagged puts an 802.1Q tag with the ID VLAN on what is sent, from 0 (a priority tag, which is in no VLAN) to
	// 4094. Where the route leaves by a VLAN device with that ID, frames leave by the NIC under it. Where it
	// leaves by a NIC, whoever set that up has to see to it that its neighbours are found in the VLAN.
	// Answers may come with the tag or, from a NIC that strips it, without.
	Tagged bool
	VLAN   uint16

	Binding Binding      // "" = native
	Attach  xdpprog.Mode // how the steering program is attached
	Mode    afxdp.Mode   // copy or zero-copy
	SG      ScatterGather
	Queues  int // RX queues bound, from 0; 0 = all of them
	// Steer has the NIC bring what Destination sends to the queues that are bound, where these are not all: by an ntuple rule, for
	// the port of Destination where that is known (Port, 0 = any), or by its indirection table. Where it can do neither, Open
	// fails (settings.ErrRefused). Knobs says which it is. Settings.Force goes for it too.
	Steer  bool
	Port   uint16
	Frames int // frames of UMEM over all queues; 0 = DefaultFrames, and 1280 per queue to receive and answer with
	Chunk  int // bytes in a frame; 0 = 2048 in copy mode, 4096 where the MTU or a zero-copy driver may need it
	Ring   int // entries of each ring, a power of two from 64 to 65536; 0 = 2048

	// Wakeup says whether the doorbell is rung only where the kernel asks for it. Budget is how many descriptors a doorbell takes in copy mode, from 32
	// to Ring; 0 = as many as it may. BusyPoll is how long system calls poll the driver themselves; 0 = not at all. What was asked for and
	// is not to be had makes Open fail. The native binding has them all.
	Wakeup    Wakeup
	Budget    int
	BusyPoll  time.Duration
	HugePages bool // back frames with huge pages, which must be reserved

	// Checksum says who computes the checksums of what is sent; "" = sw. What is left to others
	// is tried by a canary on the first connection of each queue, which takes a quarter of a
	// second, or a few round trips. In copy mode a kprobe counts, while it lasts, what the kernel
	// computes, and is part of connecting: some 0.1 s. What is known to be dropped is refused (ErrChecksum); what
	// the canary cannot prove is used all the same, unless it was auto, and Knobs says so.
	Checksum Checksum
	// AllowFallback goes on without what kernel, driver, NIC or binding refuse of Attach, Mode, SG, Checksum, Wakeup, Budget, BusyPoll, HugePages, Queues, Steer and
	// Settings: generic, copy, one descriptor, the engine's sums, what is usual. Knobs, and Report.Settings, say so. A value that nobody could
	// take is refused all the same.
	AllowFallback bool
	// RXChecksum says whether the checksums of what is received are verified; "" = auto.
	RXChecksum RXChecksum

	// Arena is the bytes of memory, over all queues that send, for what peers that stand still hold (DialConfig.Hold); 0 = DefaultArena,
	// negative = none: then such a connection is reset. Pages of it that are never used cost no memory.
	Arena int

	Release dataplane.ReleaseMode // when a frame is handed back; only ReleaseAck is right
	Writers int                   // goroutines that will write; 0 = 1
	// Witness sums what each descriptor covers when it is submitted and again when
	// it is completed: Report.RewrittenInFlight. It is always on in the wrong
	// release modes.
	Witness bool
	// Audit compares payload with what was committed, before each transmission and before the release: see dataplane.PayloadAudit. A
	// difference ends every connection, and Close, with a *dataplane.Changed. It takes as much memory again as the frames.
	Audit bool
	// Trap makes the writers' view of a frame read-only while it is not its writer's: see package trap. It needs chunks of a page (Chunk 0 is
	// one, then), and no more frames than the kernel has mappings for; Open refuses it else, and with the asavie binding and huge pages
	// (umem.ErrProtect).
	Trap bool
	// Monitor is the command of a process that calls TrapMonitor: with Trap it says which frame a stray store was to that ended this process; empty
	// starts none. One session of a process can have one: debug.SetCrashOutput is its, meanwhile.
	Monitor []string
	// Times measures how long frames are in each stage of their life: Report.Times, and QueueBooks. Two readings of the clock for
	// each commit, by its writer.
	Times bool
	// Late hands completions on up to so much later than they came, at most a second, in an order of its own: as a slow NIC
	// would, on a link where they are immediate. It is for demonstrations; 0 = not at all.
	Late time.Duration
	// Tap, where set, makes a tap for each queue's poller, which then gets a copy of
	// every packet sent and received. size is the most bytes of one.
	Tap func(size int) *dataplane.Tap
	// Trace, where set, makes a ring for the lifecycle trace of each queue's poller.
	Trace func(queue int) *trace.Ring
	// Settings are what the NIC is set to while the session lasts; without a Change it is left alone. Interface and Warn are
	// the session's.
	Settings settings.Config
	// CPU pins queue i's poller to CPU[i]; empty pins none. Open refuses those that
	// the process may not use.
	CPU []int
	// NeighbourWait is how long the next hop may take to answer; 0 = 5 s.
	NeighbourWait time.Duration
	// Warn is told, in a sentence, what a person should know and no error says.
	// It may be called from any goroutine; nil is silence.
	Warn func(string)

	wrap   wrapPort // tests put a port of theirs around a socket; nil = none
	kernel sockets  // tests stand in for the kernel; zero = it is asked
	claims claims   // tests stand in for the kernel; nil = it is asked

	along    func(name string, index int) []string // features that attaching takes along: tests stand in for the kernel; nil = settings.TakenAlong
	sumProbe func() (sumProbe, error)              // tests stand in for the kernel's kprobe; nil = it is attached

	segments func(index int) int // xdp-zc-max-segs: tests stand in for the driver; nil = readSegments
}

// wrapPort makes a port around that of a queue, whose frames are in region.
type wrapPort func(queue int, port dataplane.Port, region *umem.Region) dataplane.Port

// DialConfig is one connection. Zero means the default given.
type DialConfig struct {
	Remote      netip.AddrPort // must be set
	LocalPort   uint16         // 0 = one that the kernel chooses
	Congestion  tcp.Congestion // "" = cubic
	FixedWindow int            // the window of tcp.Fixed, bytes; 0 = no limit but the peer's
	MSS         int            // most payload in a segment, bytes; 0 = what path and peer allow
	DSCP        uint8          // 0 to 63
	ECN         bool           // offer explicit congestion notification
	NoPacing    bool           // what the windows allow goes at once; Rate still holds
	Rate        uint64         // most payload bytes per second; 0 = no cap
	RTOMin      time.Duration  // floor of the retransmission timeout; 0 = 200 ms
	UserTimeout time.Duration  // time without progress before the connection fails; 0 = retries only
	KeepAlive   time.Duration  // silence after which the peer is asked whether it is there; 0 = it is not
	Hold        Hold           // how long it may keep frames without ACKing anything
	// Advanced: what a test of the peer needs.
	NoSACK, NoTimestamps, NoScale bool
}
