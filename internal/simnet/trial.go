package simnet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Trial is one transfer through the whole of it: writer, poller, engine, rings,
// kernel, NIC, wire, peer, and back. Zero means the default given.
type Trial struct {
	Seed    uint64
	Kernel  KernelConfig
	Forward LinkConfig // towards the peer
	Back    LinkConfig
	Peer    PeerConfig

	Release dataplane.ReleaseMode
	Rewrite bool // overwrite each frame with a marker the moment it is handed back

	Congestion tcp.Congestion // of every stream

	Streams   int          // 0 = 1
	Bytes     int          // in each stream
	Commit    int          // most bytes in a commit; 0 = a full segment
	Frames    int          // 0 = 192
	Arena     int          // bytes of the demotion arena; 0 = none
	Region    *umem.Region // memory to use again, of at least so many frames; nil = its own
	IPv6      bool
	VLAN      uint16 // of an 802.1Q tag; 0 = none
	BlackHole bool   // no router answers for what is too big
	MTU       int    // 0 = 1500

	Lag         tcp.Duration // the poller comes up to so much late
	WriterSleep tcp.Duration // the writer comes up to so much late
	Stagger     tcp.Duration // each stream is written to so much later than the one before it
	TCP         func(*tcp.Config)
	Poller      func(*dataplane.Config)                     // changes what the poller is made with; nil = nothing
	Wrap        func(*World, dataplane.Port) dataplane.Port // something between poller and kernel
	See         func(frame []byte)                          // told of each packet that arrives at the peer or is sent by it; nil = nobody
	At          []Action
	OnRelease   func(*Run, *dataplane.Release) // told of each release; nil = nobody
	NoReopen    bool                           // a queue that dies cannot be opened again
	Limit       tcp.Duration                   // virtual time; 0 = 10 min
	Linger      tcp.Duration                   // how long the peer's FIN is awaited, then RST; 0 = for ever
	Audit       int                            // the books are audited at every so many steps; 0 = 1
}

// Action is something that happens to the world at a moment after its beginning.
type Action struct {
	After tcp.Duration
	Do    func(*Run)
}

// Marker is what a writer writes over a frame that it was handed back.
const Marker = 0xee

var marked = bytes.Repeat([]byte{Marker}, umem.MaxChunk)

// Run is a trial under way, and what came of it.
type Run struct {
	Trial
	World   *World
	Forward *Link
	Back    *Link
	Peer    *Peer
	Poller  *dataplane.Poller
	Streams []*Stream
	Kernels []*Kernel // one, and one more each time that the queue was opened again

	region *umem.Region
	arena  *umem.Arena // nil = none
	writer *dataplane.Writer
	wakeAt tcp.Time // when the writer looks again
	idle   bool     // the last pass found nothing to do
	dry    bool     // an audit found no frame free but the reserve
	audits int
	seg    wire.Segment
	wrong  Findings
	looker looker
}

// looker is told what the writer sees.
type looker interface {
	polled(releases int) // the writer looked, and found so many
	released(*dataplane.Release)
}

// Findings is what happened that must not happen when frames are released rightly.
type Findings struct {
	WireWrong     uint64 // bytes that left the NIC and were not those promised
	ReleaseWrong  uint64 // bytes that were not those promised when their frame was handed back
	BeforeACK     uint64 // releases before the peer had taken every byte
	BeforeKernel  uint64 // releases while the kernel held a descriptor of the frame
	WrongMarks    uint64 // segments that say what only new data may: that they can be marked, that the window was reduced
	LentWhileHeld uint64 // most frames that were lent while held at a time, by the pool's own books
}

// Stream is one connection of a trial as its writer sees it.
type Stream struct {
	*dataplane.Stream
	Pattern  Pattern
	iss      tcp.Seq
	Written  uint64
	Released uint64
	Demoted  uint64 // released before they were ACKed, because they are in the arena
	Aborted  uint64
	Commits  uint64
	Answers  uint64   // releases
	Sent     tcp.Time // when the peer had ACKed everything; 0 = not yet
	closed   bool
	startAt  tcp.Time // when it is written to
	lingerAt tcp.Time // when the peer's FIN is no longer awaited
	lingered bool
	sentAny  bool
	sentTo   uint32         // the highest sequence number that left, plus one
	commits  []commitRecord // by cookie
}

type commitRecord struct {
	start, end uint64
	answered   bool
}

const firstPort = 40000

// Do runs the trial to its end: every stream gone, every frame back. The error is of
// the machinery; whether what came of it is right is for Run's methods to say.
func (t Trial) Do() (*Run, error) {
	r, err := t.start()
	if err != nil {
		return nil, err
	}
	if t.Region == nil {
		defer r.region.Close() //nolint:errcheck // memory only
	}
	if r.arena != nil {
		defer r.arena.Close() //nolint:errcheck // memory only
	}
	for _, a := range t.At {
		r.World.After(a.After, func() { a.Do(r) })
	}
	if err := r.World.Run(r, r.Limit, r.over); err != nil {
		return r, fmt.Errorf("seed %d: %w: %s", t.Seed, err, r.state())
	}
	r.World.mix(r.sum())
	return r, nil
}

func (t *Trial) setDefaults() {
	orInt(&t.Streams, 1)
	orInt(&t.Frames, 192)
	orInt(&t.MTU, 1500)
	orInt(&t.Audit, 1)
	if t.Kernel.Ring == 0 {
		t.Kernel.Ring = 64
	}
	if t.Limit == 0 {
		t.Limit = 600 * tcp.Second
	}
}

const (
	reserveFrames = 32
	rxFrames      = 32
)

func (t Trial) start() (*Run, error) {
	t.setDefaults()
	r := &Run{Trial: t, World: New(t.Seed)}
	w := r.World
	w.SetLag(t.Lag)
	if err := r.mapRegion(); err != nil {
		return nil, err
	}
	t.Peer.Promise = pattern
	r.Peer = w.NewPeer(t.Peer, nil)
	r.Forward = w.NewLink(t.Forward, r.arrive)
	r.Forward.Watch(r.onWire)
	r.Back = w.NewLink(t.Back, func(frame []byte) { r.Kernel().Deliver(frame) })
	r.Back.Watch(r.See)
	r.Peer.Reverse(r.Back)
	if !t.BlackHole {
		r.Forward.OnTooBig(func(frame []byte, mtu int) { r.Back.Send(TooBig(frame, mtu)) })
	}
	if err := r.connect(); err != nil {
		if t.Region == nil {
			err = errors.Join(err, r.region.Close())
		}
		return nil, err
	}
	return r, nil
}

// arrive is a packet at the peer.
func (r *Run) arrive(frame []byte) {
	if r.See != nil {
		r.See(frame)
	}
	r.Peer.Deliver(frame)
}

// regionFrames is the least number of frames of a region: what lies behind those of
// the pool is inside the memory and not ours.
const regionFrames = 256

func (r *Run) mapRegion() (err error) {
	if r.region = r.Region; r.region == nil {
		r.region, err = umem.Map(umem.Config{Frames: max(regionFrames, r.Frames), ChunkSize: 2048})
	}
	return err
}

// connect makes the poller over a queue, and the streams.
func (r *Run) connect() error {
	pool, err := umem.NewPool(r.region, 0, r.Frames, reserveFrames)
	if err != nil {
		return err
	}
	port, _ := r.open(0)
	if r.Trial.Arena > 0 {
		if r.arena, err = umem.MapArena(r.Trial.Arena); err != nil {
			return err
		}
	}
	cfg := dataplane.Config{Pool: pool, Port: port, Arena: r.arena, Release: r.Release, RxFrames: rxFrames, MaxStreams: max(8, r.Trial.Streams)}
	if !r.NoReopen {
		cfg.Reopen = r.open
	}
	if r.Trial.Poller != nil {
		r.Trial.Poller(&cfg)
	}
	if r.Poller, err = dataplane.New(cfg); err != nil {
		return err
	}
	return r.openStreams()
}

// open makes the queue, and makes it again.
func (r *Run) open(int) (dataplane.Port, error) {
	cfg := r.Trial.Kernel
	if len(r.Kernels) > 0 {
		cfg.DiesAt = 0
	}
	k := r.World.NewKernel(cfg, r.region, r.Forward)
	r.Kernels = append(r.Kernels, k)
	if r.Wrap != nil {
		return r.Wrap(r.World, k), nil
	}
	return k, nil
}

// Kernel is the one that works now.
func (r *Run) Kernel() *Kernel { return r.Kernels[len(r.Kernels)-1] }

func pattern(port uint16) Pattern { return Pattern(uint64(port) * 0x9e3779b97f4a7c15) }

func (r *Run) openStreams() error {
	w, err := r.Poller.NewWriter(0)
	if err != nil {
		return err
	}
	r.writer = w
	w.OnRelease = r.released
	local, remote := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	if r.IPv6 {
		local, remote = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	}
	for i := range r.Trial.Streams {
		port := uint16(firstPort + i)
		cfg := tcp.Config{
			Flow: wire.FlowOf(netip.AddrPortFrom(local, port), netip.AddrPortFrom(remote, 80)),
			Path: wire.Path{SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2}, Tagged: r.VLAN != 0, VLAN: r.VLAN},
			MTU:  r.MTU, ISS: r.initialSequence(), TSOffset: r.timestampOffset(), TimeWait: tcp.Second,
			Resum: r.Release != dataplane.ReleaseAck, Congestion: r.Congestion,
		}
		if r.TCP != nil {
			r.TCP(&cfg)
		}
		s, err := r.Poller.Open(r.World.Now(), w, cfg)
		if err != nil {
			return err
		}
		r.Streams = append(r.Streams, &Stream{Stream: s, Pattern: pattern(port), iss: cfg.ISS,
			startAt: r.World.Now() + tcp.Time(i)*r.Stagger, lingerAt: tcp.Never})
	}
	return nil
}

// initialSequence is any, and in half of all trials one that lets the sequence
// numbers wrap on the way.
func (r *Run) initialSequence() tcp.Seq {
	iss := r.World.random.Uint32()
	if iss&1 == 0 {
		return tcp.Seq(iss)
	}
	return tcp.Seq(-uint32(r.World.random.IntN(r.Bytes + 1)))
}

// timestampOffset is the same for the timestamps: worlds begin at 1000 ms.
func (r *Run) timestampOffset() uint32 {
	off := r.World.random.Uint32()
	if off&1 == 0 {
		return off
	}
	return ^uint32(1000 + off%1024)
}

// over reports the end: every stream is gone, with everything that it had.
func (r *Run) over() bool {
	for _, s := range r.Streams {
		if !s.Home() || s.Answers < s.Commits {
			return false
		}
	}
	return r.Poller.Out() == 0
}

// state is for messages.
func (r *Run) state() string {
	var b []byte
	for i, s := range r.Streams {
		b = fmt.Appendf(b, "stream %d %s %v err %v written %d released %d aborted %d; ", i, r.Congestion, s.State(), s.Err(), s.Written, s.Released, s.Aborted)
		st := s.StatsNow()
		b = fmt.Appendf(b, "cwnd %d ssthresh %d inflight %d wnd %d phase %s rto %d ms; ", st.Cwnd, st.Ssthresh, st.InFlight, st.SendWindow, st.Phase, st.RTO/tcp.Millisecond)
	}
	for _, c := range r.Peer.Conns() {
		b = fmt.Appendf(b, "peer received %d wrong %d fin %v; ", c.Received(), c.Wrong(), c.GotFIN())
	}
	return string(fmt.Appendf(b, "out %d, kernel %+v", r.Poller.Out(), r.Kernel().Stats()))
}

// sum folds the outcome into one word, for the trace.
func (r *Run) sum() uint64 {
	h := uint64(fnvOffset)
	for _, s := range r.Streams {
		h = (h ^ s.Written) * fnvPrime
		h = (h ^ s.Answers) * fnvPrime
	}
	for _, c := range r.Peer.Conns() {
		h = (h ^ uint64(c.Received())) * fnvPrime
		h = (h ^ uint64(c.Wrong())) * fnvPrime
	}
	return h
}
