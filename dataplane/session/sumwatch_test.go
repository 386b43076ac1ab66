package session_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/sumprobe"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/tcp"
)

// counting stands in for the kernel's kprobe: what it counts of the controls, in turn, and of a flow.
type counting struct {
	controls  [2]sumprobe.Control
	calls     sumprobe.Calls
	anonymous bool // flows are not told apart
	openErr   error
	ctlErr    error
	callsErr  error

	opened, closed atomic.Int64
	mu             sync.Mutex
	asked          []sumprobe.Flow
	turn           int
}

func (p *counting) open() (session.SumProbe, error) {
	if p.openErr != nil {
		return nil, p.openErr
	}
	p.opened.Add(1)
	return p, nil
}

func (p *counting) Control() (sumprobe.Control, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.controls[p.turn%2]
	p.turn++
	return c, p.ctlErr
}

func (p *counting) Calls(f sumprobe.Flow) (sumprobe.Calls, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, f)
	return p.calls, p.callsErr
}

func (p *counting) Attributes() bool { return !p.anonymous }

func (p *counting) Close() error {
	p.closed.Add(1)
	return nil
}

// noKprobes is a kernel without.
func noKprobes() (session.SumProbe, error) { return nil, errors.New("this kernel has none") }

func claimsDevice(on bool) func(hw.Interface) (hw.TxChecksum, error) {
	return func(hw.Interface) (hw.TxChecksum, error) { return hw.TxChecksum{Device: on}, nil }
}

var (
	hits   = sumprobe.Control{Sent: 3, Counted: 3}
	misses = sumprobe.Control{Sent: 3}
)

// In copy mode the NIC is named only where the canary is proved, nothing was counted of its connection, and the
// controls around it were. A probe that cannot hit names nobody.
func TestWhoComputesInCopyMode(t *testing.T) {
	t.Parallel()
	computed, unchecked := newRig(t, lab.Config{}), newRig(t, lab.Config{TxChecksum: true})
	for name, c := range map[string]struct {
		probe     *counting
		unchecked bool // the link does not check
		off       bool // tx-checksumming is off by the features
		where     string
		evidence  string
	}{
		"by the NIC":                {probe: &counting{controls: [2]sumprobe.Control{hits, hits}}, where: "nic", evidence: "0 calls for the canary's connection, control 3 of 3 before and 3 of 3 after"},
		"by the kernel":             {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, calls: sumprobe.Calls{Flow: 9}}, where: "kernel", evidence: "9 calls for the canary's connection"},
		"by the kernel, features":   {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, calls: sumprobe.Calls{Flow: 9}}, off: true, where: "kernel", evidence: "9 calls"},
		"cannot hit":                {probe: &counting{controls: [2]sumprobe.Control{misses, misses}}, where: "nic-or-kernel", evidence: "0 calls for the canary's connection, control 0 of 3 before and 0 of 3 after: it proves nothing"},
		"no control":                {probe: &counting{}, where: "nic-or-kernel", evidence: "control 0 of 0"},
		"hits no more":              {probe: &counting{controls: [2]sumprobe.Control{hits, misses}}, where: "nic-or-kernel", evidence: "0 of 3 after: it proves nothing"},
		"hits too late":             {probe: &counting{controls: [2]sumprobe.Control{misses, hits}}, where: "nic-or-kernel", evidence: "0 of 3 before"},
		"hits everything":           {probe: &counting{controls: [2]sumprobe.Control{{Sent: 3, Counted: 3, Plain: 3}, hits}}, where: "nic-or-kernel", evidence: "it proves nothing"},
		"of nobody knows whom":      {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, calls: sumprobe.Calls{Unknown: 1}}, where: "nic-or-kernel", evidence: "1 calls of which nobody knows whose they are"},
		"not told apart, none":      {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, anonymous: true}, where: "nic", evidence: "0 by anybody during the canary"},
		"not told apart, some":      {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, anonymous: true, calls: sumprobe.Calls{Unknown: 9}}, where: "nic-or-kernel", evidence: "9 by anybody during the canary"},
		"no kprobes":                {probe: &counting{openErr: errors.New("this kernel has none")}, where: "nic-or-kernel", evidence: "copy mode: nobody tells which of them it is: this kernel has none"},
		"no kprobes, features":      {probe: &counting{openErr: errors.New("this kernel has none")}, off: true, where: "kernel", evidence: "copy mode, and tx-checksumming is off on veth-a"},
		"control fails":             {probe: &counting{ctlErr: errors.New("no veth")}, where: "nic-or-kernel", evidence: "no veth"},
		"counts cannot be read":     {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, callsErr: errors.New("no map")}, where: "nic-or-kernel", evidence: "no map"},
		"against the features":      {probe: &counting{controls: [2]sumprobe.Control{hits, hits}}, off: true, where: "nic-or-kernel", evidence: "3 of 3 after; but tx-checksumming is off on veth-a"},
		"by nobody":                 {probe: &counting{controls: [2]sumprobe.Control{hits, hits}}, unchecked: true, where: "nic-or-kernel", evidence: "nobody knows whether at all"},
		"by nobody, it cannot hit":  {probe: &counting{}, unchecked: true, where: "nic-or-kernel", evidence: "it proves nothing"},
		"unchecked, but the kernel": {probe: &counting{controls: [2]sumprobe.Control{hits, hits}, calls: sumprobe.Calls{Flow: 2}}, unchecked: true, where: "kernel", evidence: "2 calls"},
	} {
		t.Run(name, func(t *testing.T) {
			r := computed
			says := ""
			if c.unchecked {
				r, says = unchecked, "unproved: the link does not check"
			}
			(&checksumCase{asked: "hw", active: "hw", where: c.where, proved: !c.unchecked, evidence: c.evidence, says: says,
				edit: func(cfg *session.Config) {
					cfg.Claims(claimsDevice(!c.off))
					cfg.SumProbe(c.probe.open)
				}}).transfers(t, r)
			c.probe.wantRemoved(t)
		})
	}
}

// wantRemoved looks that the probe was attached once, for the first of the connections, and removed.
func (p *counting) wantRemoved(t *testing.T) {
	t.Helper()
	want := int64(1)
	if p.openErr != nil {
		want = 0
	}
	if o, c := p.opened.Load(), p.closed.Load(); o != want || c != want {
		t.Errorf("attached %d times, removed %d times, want %d", o, c, want)
	}
}

// What is counted is asked for by the connection's own port and remote address.
func TestSumProbeIsAskedForTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	p := &counting{controls: [2]sumprobe.Control{hits, hits}}
	cfg := session.Config{Checksum: session.ChecksumHardware}
	cfg.SumProbe(p.open)
	s := r.open(cfg)
	rc := r.receive(nil)
	conn := dial(t, s, rc.addr)
	if want := (sumprobe.Flow{Local: conn.LocalAddr().Port(), Remote: rc.addr}); len(p.asked) != 1 || p.asked[0] != want {
		t.Errorf("asked for %v, want %v", p.asked, want)
	}
	p.wantRemoved(t) // while the connection lasts
	conn.Close()
}

// A connection that fails before the verdict takes its probe along.
func TestSumProbeIsRemovedAfterAFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	p := &counting{controls: [2]sumprobe.Control{hits, hits}}
	cfg := session.Config{Checksum: session.ChecksumHardware}
	cfg.SumProbe(p.open)
	s := r.open(cfg)
	nobody := netip.AddrPortFrom(r.there(), 9)
	if _, err := s.Dial(within(t), session.DialConfig{Remote: nobody}); !errors.Is(err, tcp.ErrRefused) {
		t.Errorf("%v", err)
	}
	p.wantRemoved(t)
	if len(p.asked) != 0 {
		t.Errorf("asked for %v", p.asked)
	}
	if k := knob(t, s, "checksum"); k.Where != "" || k.Evidence != "nothing was sent" {
		t.Errorf("%+v", k)
	}
}

// Where it is known who computes, the kernel is not watched.
func TestSumProbeIsNotAttachedForNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	for name, edit := range map[string]func(*session.Config){
		"sw":     func(c *session.Config) { c.Checksum = session.ChecksumSoftware },
		"kernel": func(c *session.Config) { c.Checksum = session.ChecksumKernel },
		"zero-copy": func(c *session.Config) {
			c.Checksum = session.ChecksumHardware
			c.Wrap(zeroCopy)
			c.Claims(func(hw.Interface) (hw.TxChecksum, error) { return hw.TxChecksum{ZeroCopy: true}, nil })
		},
	} {
		p := &counting{}
		var cfg session.Config
		edit(&cfg)
		cfg.SumProbe(p.open)
		s := r.open(cfg)
		sendThrough(t, s, r.receive(nil), 10_000)
		if n := p.opened.Load(); n != 0 {
			t.Errorf("%s: attached %d times", name, n)
		}
		if k := knob(t, s, "checksum"); strings.Contains(k.Evidence, "kprobe") {
			t.Errorf("%s: %+v", name, k)
		}
		if _, err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Queues whose checksums are computed in different places are together what either is.
func TestQueuesComputedInDifferentPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 2})
	probes := []*counting{
		{controls: [2]sumprobe.Control{hits, hits}},
		{controls: [2]sumprobe.Control{hits, hits}, calls: sumprobe.Calls{Flow: 9}},
	}
	var next atomic.Int64
	cfg := session.Config{Checksum: session.ChecksumHardware, Writers: 2}
	cfg.Claims(claimsDevice(true))
	cfg.SumProbe(func() (session.SumProbe, error) { return probes[next.Add(1)-1].open() })
	s := r.open(cfg)
	for i, want := range []string{"nic", "nic-or-kernel"} {
		sendThrough(t, s, r.receive(nil), 10_000)
		if k := knob(t, s, "checksum"); k.Where != want || !k.Proved {
			t.Errorf("after %d queues: %+v", i+1, k)
		}
	}
	if k := knob(t, s, "checksum"); !strings.Contains(k.Evidence, ": 0 calls") || !strings.Contains(k.Evidence, ": 9 calls") {
		t.Errorf("%+v", k)
	}
}
