package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/tcp"
)

// Checksum says who computes the checksums of what is sent.
type Checksum string

// Who does.
const (
	ChecksumSoftware Checksum = "sw"     // the engine
	ChecksumHardware Checksum = "hw"     // whoever takes the packet: the NIC, or the kernel for it; asked by TX metadata
	ChecksumKernel   Checksum = "kernel" // the kernel, in the copy that it makes
	ChecksumAuto     Checksum = "auto"   // hw where a device may do it and the canary proves it, else the engine
)

// RXChecksum says whether the checksums of what is received are verified.
type RXChecksum string

// Whether they are.
const (
	RXVerify RXChecksum = "verify" // what is wrong is dropped and counted
	RXTrust  RXChecksum = "trust"
	RXAuto   RXChecksum = "auto" // trusted where packets of this machine arrive that nobody put one into
)

// ErrChecksum says that Config.Checksum cannot be had. Nothing of a stream was sent.
var ErrChecksum = errors.New("checksums cannot be left to others")

// claims is what kernel and driver say of themselves; a test stands in for them.
type claims func(hw.Interface) (hw.TxChecksum, error)

// checksums is what became of Config.Checksum before anything was sent. What the canary
// found out is each queue's.
type checksums struct {
	accepted Checksum // sw, hw or kernel
	why      string   // it is not what was asked for
	claimed  hw.TxChecksum
}

func (c *Config) checkChecksum() error {
	if c.Checksum == "" {
		c.Checksum = ChecksumSoftware
	}
	if c.RXChecksum == "" {
		c.RXChecksum = RXAuto
	}
	switch c.Checksum {
	case ChecksumSoftware, ChecksumHardware, ChecksumKernel, ChecksumAuto:
	default:
		return fmt.Errorf("%w: checksum %q: must be sw, hw, kernel or auto", ErrConfig, c.Checksum)
	}
	switch c.RXChecksum {
	case RXVerify, RXTrust, RXAuto:
	default:
		return fmt.Errorf("%w: received checksums %q: must be verify, trust or auto", ErrConfig, c.RXChecksum)
	}
	if c.claims == nil {
		c.claims = hw.ReadTxChecksum
	}
	if c.sumProbe == nil {
		c.sumProbe = openSumProbe
	}
	return nil
}

// planChecksums decides what is tried. Whether it works nobody knows before the canary.
func (s *Session) planChecksums() error {
	p := &s.sums
	p.accepted = s.cfg.Checksum
	if p.accepted == ChecksumAuto {
		p.accepted = ChecksumHardware
	}
	switch {
	case p.accepted == ChecksumSoftware:
		return nil
	case s.cfg.Binding == BindingAsavie:
		return s.refuseChecksums("github.com/asavie/xdp registers its UMEM without TX metadata", "use the native binding, or --checksum sw")
	case p.accepted == ChecksumKernel && s.cfg.Mode == afxdp.ModeZeroCopy:
		return s.refuseChecksums("in zero-copy mode the kernel never sees the packet", "use --mode copy, or --checksum sw")
	}
	if p.accepted == ChecksumKernel && s.sg {
		// xsk_build_skb in net/xdp/xsk.c sums when it has the first descriptor, before the others are there (Linux 6.18).
		return s.refuseChecksums("of packets of several descriptors the kernel sums the first only", "use --sg off, --checksum hw or --checksum sw")
	}
	if p.accepted == ChecksumKernel {
		return nil
	}
	var err error
	if p.claimed, err = s.cfg.claims(s.link); err != nil {
		return s.refuseChecksums(err.Error(), "use --checksum sw")
	}
	return nil
}

// refuseChecksums ends an attempt while the session is opened: by an error, or, where something else may be taken
// instead, by the engine's own sums.
func (s *Session) refuseChecksums(reason, remedy string) error {
	asked := s.cfg.Checksum
	if asked != ChecksumAuto && !s.cfg.AllowFallback {
		return fmt.Errorf("%w: checksum %s on %s: %s: %s", ErrChecksum, asked, s.link.Name, reason, remedy)
	}
	s.sums.accepted, s.sums.why = ChecksumSoftware, reason
	s.cfg.Warn(fmt.Sprintf("checksum %s: the engine computes them: %s", asked, reason))
	return nil
}

// checkMode looks at what the first queue is really bound as. It is where a request that
// would be dropped without a word is refused.
func (s *Session) checkMode(zeroCopy bool) error {
	p := &s.sums
	switch {
	case p.accepted != ChecksumHardware:
	case zeroCopy && !p.claimed.ZeroCopy:
		return s.refuseChecksums(fmt.Sprintf("driver %s drops the request in zero-copy mode without a word (its xsk-features have no tx-checksum)", s.link.Driver), "use --mode copy, or --checksum sw")
	case !zeroCopy && !p.claimed.Device && s.cfg.Checksum == ChecksumAuto:
		return s.refuseChecksums(fmt.Sprintf("tx-checksumming is off on %s, so that the kernel would do it for the device, no cheaper than the engine", s.link.Name), "")
	}
	return nil
}

// metadata is what the sockets are opened with.
func (p *checksums) metadata(cfg *afxdp.Config) {
	if p.accepted == ChecksumSoftware {
		return
	}
	cfg.TxMetadataLen = afxdp.MetadataLen
	cfg.TxSoftwareChecksum = p.accepted == ChecksumKernel
}

// openNative opens a socket of ours; again without metadata where that was refused and
// something else may be taken: not where a queue died, whose connections ask for checksums.
func (s *Session) openNative(ctx context.Context, q *queue, cfg afxdp.Config) (*afxdp.Socket, error) {
	plain := cfg
	s.sums.metadata(&cfg)
	sock, err := s.cfg.kernel.open(ctx, cfg)
	if err == nil || cfg.TxMetadataLen == 0 || q.poller != nil || !errors.Is(err, afxdp.ErrUnsupported) {
		return sock, err
	}
	if err := s.refuseChecksums(err.Error(), "use --checksum sw"); err != nil {
		return nil, err
	}
	return s.cfg.kernel.open(ctx, plain)
}

// canary is what a queue found out about its checksums. The session's mu guards it.
type canary struct {
	turn    chan struct{} // the right to dial with one: a token
	verdict tcp.Verdict   // CanaryOff: nobody has dialled yet
	probes  uint64
	sums    *sumWatch    // nil: the kernel was not watched
	use     tcp.Checksum // by connections from now on
	refused error        // nobody may connect
}

func newCanary() canary {
	c := canary{turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// checksumTurn is how a connection is dialled: with which checksums, and whether it is the one
// that tries them. done must be called when it stands, or does not.
type checksumTurn struct {
	use    tcp.Checksum
	canary bool
	sums   *sumWatch // of the canary; nil: the kernel is not watched
	done   func()
}

// checksumTurn waits while another connection of the queue has the canary: what that finds out
// decides about this one.
func (s *Session) checksumTurn(ctx context.Context, q *queue) (checksumTurn, error) {
	t, err := s.takeTurn(ctx, q)
	if err != nil || !t.canary || !s.watchesSums() {
		return t, err
	}
	give := t.done
	t.sums = s.watchSums()
	t.done = func() {
		t.sums.close(s.cfg.Warn)
		give()
	}
	return t, nil
}

func (s *Session) takeTurn(ctx context.Context, q *queue) (t checksumTurn, err error) {
	t.done = func() {}
	if s.sums.accepted == ChecksumSoftware {
		return t, nil
	}
	select {
	case <-q.canary.turn:
	case <-ctx.Done():
		return t, fmt.Errorf("wait for the checksum canary of queue %d: %w", q.index, context.Cause(ctx))
	}
	give := func() { q.canary.turn <- struct{}{} }
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &q.canary
	switch {
	case k.refused != nil:
		give()
		return t, k.refused
	case k.verdict != tcp.CanaryOff:
		give()
		t.use = k.use
	default:
		t.use, t.canary, t.done = tcp.ChecksumOffload, true, give
	}
	return t, nil
}

// judgeChecksums waits for the verdict of a connection's canary and decides what becomes of the
// queue's checksums. w is nil where the kernel is not watched.
func (s *Session) judgeChecksums(ctx context.Context, c *Conn, w *sumWatch) error {
	if err := c.stream.WaitCanary(ctx); err != nil {
		return err
	}
	w.read(flowOf(c))
	st, err := c.stream.Stats(ctx)
	if err != nil {
		return err
	}
	use := tcp.ChecksumOffload
	switch {
	case st.Canary == tcp.CanaryDropped:
		use = tcp.ChecksumSoftware
		err = s.refuseQueue(fmt.Sprintf("queue %d: packets whose checksum was asked for do not arrive, and those with the engine's do: nobody computes it", c.queue.index), "use --checksum sw")
	case st.Canary != tcp.CanaryProved && s.cfg.Checksum == ChecksumAuto:
		use = tcp.ChecksumSoftware
		_ = s.refuseQueue(fmt.Sprintf("queue %d: unproved: %v", c.queue.index, st.Canary), "") // auto takes something else
		err = c.stream.SetChecksum(ctx, use)
	case st.Canary != tcp.CanaryProved:
		s.cfg.Warn(fmt.Sprintf("checksum %s on %s queue %d is unproved: %v", s.cfg.Checksum, s.link.Name, c.queue.index, st.Canary))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &c.queue.canary
	k.verdict, k.probes, k.sums, k.use = st.Canary, st.CanaryProbes, w, use
	if errors.Is(err, ErrChecksum) {
		k.refused = err
	}
	return err
}

// refuseQueue is refuseChecksums of one queue: others may do better.
func (s *Session) refuseQueue(reason, remedy string) error {
	if s.cfg.Checksum != ChecksumAuto && !s.cfg.AllowFallback {
		return fmt.Errorf("%w: checksum %s on %s %s: %s", ErrChecksum, s.cfg.Checksum, s.link.Name, reason, remedy)
	}
	s.cfg.Warn(fmt.Sprintf("checksum %s: the engine computes them: %s", s.cfg.Checksum, reason))
	return nil
}
