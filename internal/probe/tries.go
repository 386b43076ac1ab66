package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

const (
	// carrierWait is how long a link that was reset may take to come back.
	carrierWait = 10 * time.Second
	// bindWait is how long a queue may be in use: one that was closed comes free after some 30 ms.
	bindWait = time.Second

	ringSize   = 64
	tryFrames  = 64
	busyMicros = 20
	busyBudget = 64

	// defaultMemory is what xsend send registers for each queue, at an MTU of 1500.
	defaultMemory = session.DefaultFrames * umem.MinChunk
)

// prober tries abilities on one interface.
type prober struct {
	facts
	ctx      context.Context
	cfg      Config
	findings Findings
	outage   time.Duration // of the carrier, over all attaching and detaching
	attached bool          // our program was, at least once
	kept     *settings.Run // nil where nothing is attached
}

// at returns the row of an ability, to be filled in.
func (p *prober) at(name string) *Finding { return p.findings.Named(name) }

// tryInterface tries everything while our program is attached in the driver, if it can be.
func (p *prober) tryInterface() {
	for _, a := range abilities {
		p.findings = append(p.findings, findingOf(a))
	}
	p.noteClaims()
	native := p.tryAttach("native_attach", xdpprog.ModeNative)
	p.native = native != nil
	p.trySockets()
	p.detach(native)
	p.detach(p.tryAttach("generic_attach", xdpprog.ModeGeneric))
	p.linkReset()
}

// noteClaims writes what is claimed into the rows.
func (p *prober) noteClaims() {
	claim := func(name, by string, yes bool) {
		f := p.at(name)
		f.ClaimedBy, f.Claimed = by, No
		if yes {
			f.Claimed = Yes
		}
	}
	if p.noClaims == nil {
		claim("native_attach", "xdp-features", p.claims.Features&hw.XDPBasic != 0)
		claim("zero_copy_bind", "xdp-features", p.claims.Features&hw.XDPZeroCopy != 0)
		claim("sg_zero_copy_bind", "xdp-zc-max-segs", p.claims.ZeroCopyMaxSegs > 1)
		claim("tx_checksum_zero_copy", "xsk-features", p.claims.XSK&hw.XSKTxChecksum != 0)
	}
	if p.features != nil {
		claim("tx_checksum_copy", "tx-checksum-ip-generic", p.active("tx-checksum-ip-generic"))
	}
	for _, name := range []string{"tx_checksum_copy", "tx_checksum_zero_copy"} {
		p.at(name).Reason = onlyClaim
	}
}

// untried says why there was no try.
func (p *prober) untried(reason, remedy string, names ...string) {
	for _, name := range names {
		f := p.at(name)
		f.Found, f.Reason, f.Remedy = Untried, reason, remedy
	}
}

// note writes down how a try ended.
func (p *prober) note(name string, err error) *Finding {
	f := p.at(name)
	if f.Found = Yes; err != nil {
		f.Found = No
		f.Errno, f.Reason, f.Remedy = p.refusal(name, err)
	}
	return f
}

// tryAttach attaches the steering program, which steers nothing yet; nil where it wasn't.
func (p *prober) tryAttach(name string, mode xdpprog.Mode) *xdpprog.Program {
	if p.ctx.Err() != nil {
		p.untried("interrupted", "", name)
		return nil
	}
	if p.cfg.NoAttach {
		p.untried("not to be attached: --no-attach", "leave --no-attach out", name)
		return nil
	}
	if reason, remedy := p.genericCosts(); mode == xdpprog.ModeGeneric && reason != "" {
		p.untried(reason, remedy, name)
		return nil
	}
	prog, err := xdpprog.Attach(xdpprog.Config{Ifindex: p.nic.Index, Mode: mode})
	if errors.Is(err, xdpprog.ErrBusy) {
		reason, remedy := occupied(err)
		p.untried(reason, remedy, name)
		return nil
	}
	p.note(name, err)
	if err != nil {
		return nil
	}
	p.attached = true
	p.awaitCarrier()
	if now, err := hw.LookupIndex(p.nic.Index); err != nil || now.XDPProgID != prog.ID() || now.XDPMode != mode.String() {
		f := p.at(name)
		f.Found, f.Reason = No, fmt.Sprintf("attached, but the kernel shows program %d, %q (%v)", now.XDPProgID, now.XDPMode, err)
	}
	return prog
}

func (p *prober) detach(prog *xdpprog.Program) {
	if prog == nil {
		return
	}
	_ = prog.Close() // what stays attached is a difference in the end
	p.awaitCarrier()
}

// awaitCarrier waits for the link, if there was one, and adds up for how long it was gone. The waiting goes on when
// we are interrupted: what was changed has to be put back.
func (p *prober) awaitCarrier() {
	if !p.nic.Carrier {
		return
	}
	now, err := hw.LookupIndex(p.nic.Index)
	if err != nil || now.Carrier {
		return
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), carrierWait)
	defer cancel()
	_ = hw.WaitCarrier(ctx, p.nic.Index) // a link that stays away is a difference in the end
	p.outage += time.Since(begin)
}

func (p *prober) linkReset() {
	switch f := p.at("link_reset"); {
	case !p.attached:
		p.untried("nothing was attached", "", "link_reset")
	case !p.nic.Carrier:
		p.untried("there is no carrier to lose", "", "link_reset")
	case p.outage > 0:
		f.Found, f.Value, f.Unit = Yes, int(max(1, p.outage.Milliseconds())), "ms"
	default:
		f.Found = No
	}
}

// trySockets binds one socket after the other to queue 0.
func (p *prober) trySockets() {
	region, err := umem.Map(umem.Config{Frames: tryFrames, ChunkSize: umem.MaxChunk})
	if err != nil {
		p.untried(err.Error(), "", bindNames...)
		return
	}
	defer region.Close()
	s, err := p.open(region, afxdp.Config{Mode: afxdp.ModeCopy, NoWakeup: true})
	p.note("copy_bind", err)
	if err != nil {
		p.untried("no socket could be bound", p.at("copy_bind").Remedy, bindNames...)
	} else {
		p.tryOptions(s)
		_ = s.Close()
	}
	p.tryZeroCopy(region)
	if err == nil {
		p.tryCopy(region)
		p.tryMemory()
	}
}

// bindNames are the abilities that take a socket in copy mode.
var bindNames = []string{"need_wakeup", "sg_bind", "tx_metadata", "tx_software_checksum", "tx_budget",
	"prefer_busy_poll", "busy_poll", "busy_poll_budget", "huge_pages", "default_memory"}

func (p *prober) open(region *umem.Region, cfg afxdp.Config) (*afxdp.Socket, error) {
	cfg.Region, cfg.Ifindex, cfg.Ifname, cfg.BindTimeout = region, p.nic.Index, p.nic.Name, bindWait
	cfg.TxRing, cfg.RxRing, cfg.FillRing, cfg.CompletionRing = ringSize, ringSize, ringSize, ringSize
	return afxdp.Open(p.ctx, cfg)
}

// try opens a socket for one ability and closes it.
func (p *prober) try(name string, region *umem.Region, cfg afxdp.Config) *Finding {
	s, err := p.open(region, cfg)
	f := p.note(name, err)
	if err != nil {
		return f
	}
	if zc := cfg.Mode == afxdp.ModeZeroCopy; s.Caps().ZeroCopy != zc {
		f.Found, f.Reason = No, "bound, but XDP_OPTIONS says that it is in the other mode"
	}
	_ = s.Close()
	return f
}

// tryZeroCopy leaves queues alone that somebody else's program is on.
func (p *prober) tryZeroCopy(region *umem.Region) {
	attach := p.at("native_attach")
	if attach.Found == Untried {
		p.untried(attach.Reason+"; zero-copy takes a program of ours", attach.Remedy, "zero_copy_bind", "sg_zero_copy_bind")
		return
	}
	f := p.try("zero_copy_bind", region, afxdp.Config{Mode: afxdp.ModeZeroCopy, NoWakeup: true})
	if f.Found != Yes {
		p.untried("no zero-copy", f.Remedy, "sg_zero_copy_bind")
		return
	}
	p.awaitCarrier()
	if sg := p.try("sg_zero_copy_bind", region, afxdp.Config{Mode: afxdp.ModeZeroCopy, NoWakeup: true, SG: true}); sg.Found == Yes {
		sg.Value, sg.Unit = p.claims.ZeroCopyMaxSegs, "descriptors"
	}
	p.awaitCarrier()
}

// tryCopy tries what a socket can be opened with.
func (p *prober) tryCopy(region *umem.Region) {
	for _, b := range binds {
		cfg := b.cfg
		if b.name == "need_wakeup" && p.at("zero_copy_bind").Found == Yes {
			cfg.Mode = afxdp.ModeZeroCopy
		}
		p.try(b.name, region, cfg)
	}
}

// binds are what a socket is opened with for each ability.
var binds = []struct {
	name string
	cfg  afxdp.Config
}{
	{"need_wakeup", afxdp.Config{Mode: afxdp.ModeCopy}},
	{"sg_bind", afxdp.Config{Mode: afxdp.ModeCopy, NoWakeup: true, SG: true}},
	{"tx_metadata", afxdp.Config{Mode: afxdp.ModeCopy, NoWakeup: true, TxMetadataLen: afxdp.MetadataLen}},
	{"tx_software_checksum", afxdp.Config{Mode: afxdp.ModeCopy, NoWakeup: true, TxMetadataLen: afxdp.MetadataLen, TxSoftwareChecksum: true}},
}

// tryOptions sets the options of a socket that is bound.
func (p *prober) tryOptions(s *afxdp.Socket) {
	p.note("tx_budget", unix.SetsockoptInt(s.FD(), unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, ringSize))
	for _, o := range []struct {
		name       string
		opt, value int
	}{
		{"prefer_busy_poll", unix.SO_PREFER_BUSY_POLL, 1},
		{"busy_poll", unix.SO_BUSY_POLL, busyMicros},
		{"busy_poll_budget", unix.SO_BUSY_POLL_BUDGET, busyBudget},
	} {
		p.note(o.name, setAndRead(s.FD(), o.opt, o.value))
	}
}

// setAndRead sets an option of SOL_SOCKET; reading it back is asked of kernels that can.
func setAndRead(fd, opt, value int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, value); err != nil {
		return err
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err == nil && got != value {
		return fmt.Errorf("set to %d, and it is %d", value, got)
	}
	return nil
}

// tryMemory maps regions of other kinds.
func (p *prober) tryMemory() {
	p.tryRegion("huge_pages", umem.Config{Frames: 512, ChunkSize: umem.MaxChunk, HugePages: true})
	f := p.tryRegion("default_memory", umem.Config{Frames: session.DefaultFrames, ChunkSize: umem.MinChunk})
	f.Value, f.Unit = defaultMemory>>10, "KiB"
}

func (p *prober) tryRegion(name string, cfg umem.Config) *Finding {
	region, err := umem.Map(cfg)
	if err != nil {
		return p.note(name, err)
	}
	defer region.Close()
	return p.try(name, region, afxdp.Config{Mode: afxdp.ModeCopy, NoWakeup: true})
}
