package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/umem"
)

// quirkTries are the tries behind the rows of quirks, by name. An error means that it couldn't be found out.
var quirkTries = map[string]func(context.Context, *pair, *Finding) error{
	"invalid_descriptor_completed": tryInvalid,
	"bad_metadata_wedges":          tryBadMetadata,
	"metadata_checksum":            tryMetadataChecksum,
	"software_checksum":            trySoftwareChecksum,
	"tx_budget_default":            tryDefaultBudget,
	"tx_budget_raised":             tryRaisedBudget,
	"max_fragments":                tryFragments,
	"lost_frame_completed":         tryTooLarge,
	"deferred_close":               tryDeferredClose,
}

// tryQuirks makes the pair and tries them all.
func tryQuirks(ctx context.Context) Findings {
	var list Findings
	for _, q := range quirks {
		list = append(list, findingOf(q))
	}
	err := withPair(func(p *pair) error {
		for i := range list {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			f := &list[i]
			if err := quirkTries[f.Name](ctx, p, f); err != nil {
				f.Found = Untried
				f.Errno, f.Reason = errnoName(err), err.Error()
			}
		}
		return nil
	})
	if err == nil {
		return list
	}
	for i := range list {
		f := &list[i]
		f.Found, f.Errno, f.Reason, f.Remedy = Untried, errnoName(err), "no private veth pair: "+err.Error(), "run as root: it takes CAP_SYS_ADMIN"
	}
	return list
}

// found writes down an answer.
func (f *Finding) found(yes bool, reason string) {
	if f.Found = No; yes {
		f.Found = Yes
	}
	f.Reason = reason
}

func (f *Finding) number(n int, unit string) { f.Value, f.Unit = n, unit }

// tryInvalid: a good descriptor has to come back and to arrive, or the answer about the other one is worth nothing.
func tryInvalid(ctx context.Context, p *pair, f *Finding) error {
	const nowhere = 1 << 30
	return p.tryOn(ctx, afxdp.Config{}, func(t *trial) error {
		good := t.put(0, quirkLen)
		t.send(good)
		if got := t.reap(1, arrival); !slices.Equal(got, []uint64{good.Addr}) || t.receive(arrival) == nil {
			return fmt.Errorf("a good descriptor came back as %v", got)
		}
		back := t.comesBack(umem.Desc{Addr: nowhere, Len: quirkLen})
		st, err := t.socket.Stats()
		if err != nil {
			return err
		}
		f.found(back, fmt.Sprintf("the kernel counted %d invalid", st.TxInvalid))
		return nil
	})
}

// comesBack sends a descriptor and reports whether its address completes.
func (t *trial) comesBack(d umem.Desc) bool {
	t.send(d)
	return slices.Contains(t.reap(1, silence), d.Addr)
}

func tryBadMetadata(ctx context.Context, p *pair, f *Finding) error {
	return p.tryOn(ctx, afxdp.Config{TxMetadataLen: afxdp.MetadataLen}, func(t *trial) error {
		wedged, spurious := t.wedgedBy(^uint64(0))
		f.Errno = errnoName(t.lastErrno())
		if !wedged {
			f.found(false, "the descriptor was consumed")
			return nil
		}
		f.number(spurious, "completions")
		f.found(true, "the descriptor stays at the head of the ring")
		return nil
	})
}

// wedgedBy sends a descriptor with such metadata, rings three times, and reports whether it is still there and how
// many completions came.
func (t *trial) wedgedBy(flags uint64) (wedged bool, completed int) {
	d := t.put(0, quirkLen)
	t.metadata(&d, flags, 0)
	t.send(d)
	t.socket.Kick()
	t.socket.Kick()
	return t.socket.TxUnsent() == 1, len(t.reap(3, silence))
}

// tryMetadataChecksum has the device not sum: what arrives is what the kernel made of it.
func tryMetadataChecksum(ctx context.Context, p *pair, f *Finding) error {
	if err := p.setChecksum(false); err != nil {
		return fmt.Errorf("switch the checksum of veth off: %w", err)
	}
	return p.tryOn(ctx, afxdp.Config{TxMetadataLen: afxdp.MetadataLen}, f.checksum)
}

func trySoftwareChecksum(ctx context.Context, p *pair, f *Finding) error {
	if err := p.setChecksum(true); err != nil {
		return fmt.Errorf("switch the checksum of veth on: %w", err)
	}
	return p.tryOn(ctx, afxdp.Config{TxMetadataLen: afxdp.MetadataLen, TxSoftwareChecksum: true}, f.checksum)
}

// checksum sends a good seed and a poisoned one: only the first may be right.
func (f *Finding) checksum(t *trial) error {
	good, err := t.sentAndSummed(0)
	if err != nil {
		return err
	}
	poisoned, err := t.sentAndSummed(0x1234)
	if err != nil {
		return err
	}
	f.summing(good, poisoned)
	return nil
}

// summing judges which of the two arrived with a right sum.
func (f *Finding) summing(good, poisoned bool) {
	switch {
	case good && !poisoned:
		f.found(true, "right with a right seed, wrong with a wrong one")
	case good:
		f.found(false, "right whatever the seed")
	default:
		f.found(false, "what arrives has a wrong sum")
	}
}

const burst = 256

func tryDefaultBudget(ctx context.Context, p *pair, f *Finding) error {
	return tryBudget(ctx, p, f, 32) // what is in force where nothing is set; the kernel takes no less
}

func tryRaisedBudget(ctx context.Context, p *pair, f *Finding) error {
	return tryBudget(ctx, p, f, burst)
}

func tryBudget(ctx context.Context, p *pair, f *Finding, budget int) error {
	return p.tryOn(ctx, afxdp.Config{TxBudget: budget}, func(t *trial) error {
		d := t.put(0, quirkLen)
		t.send(slices.Repeat([]umem.Desc{d}, burst)...)
		took := burst - t.socket.TxUnsent()
		f.number(took, "descriptors")
		f.found(t.socket.Budget() == budget, "")
		for range took { // or they are taken for those of the next try
			t.receive(0)
		}
		return nil
	})
}

// tryFragments sends packets of one descriptor more each, until one doesn't arrive.
func tryFragments(ctx context.Context, p *pair, f *Finding) error {
	const most = 64
	return p.tryOn(ctx, afxdp.Config{SG: true}, func(t *trial) error {
		n := 0
		for n < most && t.packetOf(n+1) {
			n++
		}
		f.number(n, "descriptors")
		f.found(n > 1, "")
		return nil
	})
}

// packetOf reports whether a packet of n descriptors arrives whole.
func (t *trial) packetOf(n int) bool {
	const part = 60
	descs := make([]umem.Desc, n)
	for i := range descs {
		descs[i] = t.put(umem.Frame(i%tryFrames), part)
		if i < n-1 {
			descs[i].Options = unix.XDP_PKT_CONTD
		}
	}
	before, _ := t.socket.Stats()
	t.send(descs...)
	if after, err := t.socket.Stats(); err == nil && after.TxInvalid > before.TxInvalid {
		t.reap(n, silence)
		return false
	}
	got := t.receive(arrival)
	t.reap(n, silence)
	return len(got) == n*part
}

func tryTooLarge(ctx context.Context, p *pair, f *Finding) error {
	return p.tryOn(ctx, afxdp.Config{}, func(t *trial) error {
		d := t.put(0, pairMTU+ethLen+100)
		t.send(d)
		completed := slices.Equal(t.reap(1, silence), []uint64{d.Addr})
		f.Errno = errnoName(t.lastErrno())
		if t.receive(silence) != nil {
			return errors.New("a frame larger than the MTU arrived")
		}
		f.found(completed, "")
		return nil
	})
}

func tryDeferredClose(ctx context.Context, p *pair, f *Finding) error {
	const times = 10
	region, err := umem.Map(umem.Config{Frames: tryFrames, ChunkSize: umem.MaxChunk})
	if err != nil {
		return err
	}
	defer region.Close()
	var busy int
	var longest time.Duration
	for range times {
		waited, err := p.reopen(ctx, region)
		if err != nil {
			return err
		}
		if waited > 0 {
			busy++
		}
		longest = max(longest, waited)
	}
	f.deferred(busy, times, longest)
	return nil
}

func (f *Finding) deferred(busy, times int, longest time.Duration) {
	f.number(int((longest+time.Millisecond-1)/time.Millisecond), "ms")
	f.found(busy > 0, fmt.Sprintf("in use %d of %d times", busy, times))
}

// reopen closes a socket, binds another one to its queue at once, and returns how long that had to be tried; 0: not again.
func (p *pair) reopen(ctx context.Context, region *umem.Region) (waited time.Duration, err error) {
	first, err := p.open(ctx, region, afxdp.Config{})
	if err != nil {
		return 0, err
	}
	if err := first.Close(); err != nil {
		return 0, err
	}
	begin := time.Now()
	second, err := p.open(ctx, region, afxdp.Config{BindTimeout: time.Nanosecond})
	if errors.Is(err, afxdp.ErrQueueBusy) {
		if second, err = p.open(ctx, region, afxdp.Config{}); err == nil {
			waited = time.Since(begin)
		}
	}
	if err != nil {
		return 0, err
	}
	return waited, second.Close()
}
