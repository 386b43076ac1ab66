package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// txPort changes descriptors on their way to a real port, and what the port says of itself.
type txPort struct {
	dataplane.Port
	change func(d *umem.Desc)
	caps   func(*dataplane.Caps)
}

// Tx implements dataplane.Port.
func (p *txPort) Tx(descs []umem.Desc) {
	for i := range descs {
		p.change(&descs[i])
	}
	p.Port.Tx(descs)
}

// Caps implements dataplane.Port.
func (p *txPort) Caps() dataplane.Caps {
	c := p.Port.Caps()
	if p.caps != nil {
		p.caps(&c)
	}
	return c
}

// deaf drops the request for a checksum, as some drivers do, and counts them.
func deaf(dropped *atomic.Int64) func(int, dataplane.Port, *umem.Region) dataplane.Port {
	return func(_ int, port dataplane.Port, _ *umem.Region) dataplane.Port {
		return &txPort{Port: port, change: func(d *umem.Desc) {
			if d.Options&dataplane.TxMetadata != 0 {
				d.Options &^= dataplane.TxMetadata
				dropped.Add(1)
			}
		}}
	}
}

// warnings keeps what a session says.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) add(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, s)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

// knob is a session's setting by its name.
func knob(t *testing.T, s *session.Session, name string) session.Knob {
	t.Helper()
	for _, k := range s.Knobs() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no knob %s", name)
	return session.Knob{}
}

// checksumCase is a setting of the sender's checksums, and what must become of it.
type checksumCase struct {
	asked    session.Checksum
	edit     func(*session.Config)
	active   string
	where    string
	proved   bool
	evidence string
	says     string // the warning, "" = none
}

// transfers opens, sends from one connection after the other, and looks at the knob.
func (c *checksumCase) transfers(t *testing.T, r *rig) {
	t.Helper()
	var said warnings
	cfg := session.Config{Checksum: c.asked, Witness: true, Warn: said.add}
	if c.edit != nil {
		c.edit(&cfg)
	}
	s := r.open(cfg)
	for range 2 {
		rc := r.receive(nil)
		sendThrough(t, s, rc, 200_000)
	}
	k := knob(t, s, "checksum")
	if k.Requested != string(c.asked) || k.Active != c.active || k.Where != c.where || k.Proved != c.proved || !strings.Contains(k.Evidence, c.evidence) {
		t.Errorf("%+v", k)
	}
	if k.Proved && strings.Contains(k.Evidence, "unproved") {
		t.Errorf("it is proved, and its evidence says that it isn't: %+v", k)
	}
	if got := said.String(); !strings.Contains(got, c.says) || c.says == "" && got != "" {
		t.Errorf("it said %q", got)
	}
	rep, err := s.Close()
	if err != nil || rep.RewrittenInFlight != 0 {
		t.Errorf("%d rewritten in flight, %v", rep.RewrittenInFlight, err)
	}
	t.Logf("%s: %+v", c.asked, k)
}

// sendThrough sends bytes over a new connection, which the receiver must get.
func sendThrough(t *testing.T, s *session.Session, rc *receiver, n int) tcp.Stats {
	t.Helper()
	conn := dial(t, s, rc.addr)
	w := conn.Writer()
	w.OnRelease = func(dataplane.Release, []byte) {}
	for left := n; left > 0; {
		b, err := w.ReserveWait(within(t), conn.Stream())
		if err != nil {
			t.Fatal(err)
		}
		k := min(left, len(b.Bytes), conn.Stream().MSS())
		w.Commit(conn.Stream(), b, k, 0)
		left -= k
	}
	conn.CloseWrite()
	if err := conn.WaitSent(within(t)); err != nil {
		t.Fatal(err)
	}
	st, err := conn.Stats(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if res := <-rc.results; res.Bytes != int64(n) {
		t.Errorf("%d of %d bytes arrived: %v", res.Bytes, n, res.Err)
	}
	conn.Close()
	return st
}

// Checksums on a veth whose tx-checksum is off, so that somebody has to compute them: the
// engine, the kernel in place of the device, the kernel because it was told to.
func TestChecksumsComputed(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	for name, c := range map[string]checksumCase{
		"sw":     {asked: "sw", active: "sw", where: "engine", proved: true, evidence: "summed"},
		"hw":     {asked: "hw", active: "hw", where: "kernel", proved: true, evidence: "canary proved"},
		"kernel": {asked: "kernel", active: "kernel", where: "kernel", proved: true, evidence: "XDP_UMEM_TX_SW_CSUM"},
		"auto":   {asked: "auto", active: "sw", where: "engine", proved: true, evidence: "tx-checksumming is off on veth-a", says: "the engine computes them"},
		"auto, asavie": {asked: "auto", edit: func(c *session.Config) { c.Binding = session.BindingAsavie },
			active: "sw", where: "engine", proved: true, evidence: "without TX metadata", says: "the engine computes them"},
		"auto, proved": {asked: "auto", edit: func(c *session.Config) {
			c.Claims(func(hw.Interface) (hw.TxChecksum, error) { return hw.TxChecksum{Device: true}, nil })
			c.SumProbe(noKprobes)
		}, active: "hw", where: "nic-or-kernel", proved: true, evidence: "canary proved"},
	} {
		t.Run(name, func(t *testing.T) { c.transfers(t, r) })
	}
}

// Every byte arrives, from writers that overwrite each frame the moment it is handed back, and
// no descriptor, metadata included, changes under the kernel: with late completions and loss too.
func TestTransferWithOffload(t *testing.T) {
	for name, tr := range map[string]trial{
		"hw":       {session: session.Config{Checksum: session.ChecksumHardware}, bytes: 8 << 20},
		"kernel":   {session: session.Config{Checksum: session.ChecksumKernel}, bytes: 8 << 20},
		"IPv6, 4":  {session: session.Config{Checksum: session.ChecksumHardware}, v6: true, conns: 4, bytes: 1 << 20},
		"generic":  {session: session.Config{Checksum: session.ChecksumHardware, Attach: 2}, bytes: 1 << 20},
		"5 % lost": {session: session.Config{Checksum: session.ChecksumHardware}, lab: lab.Config{Loss: 5, LossSeed: 3}, bytes: 1 << 20},
		"tx on":    {session: session.Config{Checksum: session.ChecksumHardware}, lab: lab.Config{TxChecksum: true}, bytes: 1 << 20},
	} {
		for way, tr := range map[string]trial{"now": tr, "late": tr.lately()} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				tr.succeeds(t)
			})
		}
	}
}

// With tx-checksum on, nobody computes what is asked for, and the peer does not look: hw runs,
// unproved; auto does not take it; the kernel does it if it is told to.
func TestChecksumsUnchecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{TxChecksum: true})
	for name, c := range map[string]checksumCase{
		"hw":     {asked: "hw", active: "hw", where: "nic-or-kernel", evidence: "the link does not check", says: "unproved: the link does not check"},
		"auto":   {asked: "auto", active: "sw", where: "engine", proved: true, evidence: "the link does not check", says: "the engine computes them"},
		"kernel": {asked: "kernel", active: "kernel", where: "kernel", proved: true, evidence: "canary proved"},
	} {
		t.Run(name, func(t *testing.T) { c.transfers(t, r) })
	}
}

// A device that drops the request: the canary finds it. hw is refused, for every connection and
// without waiting again; auto and --allow-fallback go on with the engine's sums.
func TestChecksumRequestsDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	t.Run("refused", func(t *testing.T) {
		var dropped atomic.Int64
		cfg := session.Config{Checksum: session.ChecksumHardware}
		cfg.Wrap(deaf(&dropped))
		s := r.open(cfg)
		ln, addr := r.listen()
		defer ln.Close()
		var probes int64
		for i := range 2 {
			_, err := s.Dial(within(t), session.DialConfig{Remote: addr})
			if !errors.Is(err, session.ErrChecksum) || !strings.Contains(err.Error(), "nobody computes it: use --checksum sw") {
				t.Errorf("%v", err)
			}
			if i == 0 {
				probes = dropped.Load()
			}
		}
		if n := dropped.Load(); n == 0 || n != probes {
			t.Errorf("%d requests were dropped, %d by the first connection", n, probes)
		}
		if _, err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]checksumCase{
		"auto": {asked: "auto", active: "sw", where: "engine", proved: true, evidence: "requests are dropped", says: "nobody computes it"},
		"hw":   {asked: "hw", active: "sw", where: "engine", proved: true, evidence: "requests are dropped", says: "nobody computes it"},
	} {
		t.Run(name+", fallback", func(t *testing.T) {
			var dropped atomic.Int64
			c.edit = func(cfg *session.Config) {
				cfg.AllowFallback = true
				cfg.Claims(func(hw.Interface) (hw.TxChecksum, error) { return hw.TxChecksum{Device: true}, nil })
				cfg.Wrap(deaf(&dropped))
			}
			c.transfers(t, r)
			if n := dropped.Load(); n == 0 || n > 20 {
				t.Errorf("%d requests were dropped", n)
			}
		})
	}
}

// zeroCopy says of a port in copy mode that it is in zero-copy, for what depends on it alone.
func zeroCopy(_ int, port dataplane.Port, _ *umem.Region) dataplane.Port {
	return &txPort{Port: port, change: func(*umem.Desc) {}, caps: func(c *dataplane.Caps) { c.ZeroCopy = true }}
}

// In zero-copy what the driver's xsk-features do not name is refused before anything is sent;
// what they name, and the canary proves, the NIC does.
func TestChecksumsInZeroCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	claim := func(c hw.TxChecksum, err error) func(*session.Config) {
		return func(cfg *session.Config) {
			cfg.Wrap(zeroCopy)
			cfg.Claims(func(hw.Interface) (hw.TxChecksum, error) { return c, err })
		}
	}
	with := claim(hw.TxChecksum{ZeroCopy: true}, nil)
	without := claim(hw.TxChecksum{Device: true}, nil)
	for name, c := range map[string]checksumCase{
		"named":             {asked: "hw", edit: with, active: "hw", where: "nic", proved: true, evidence: "xsk-features have tx-checksum"},
		"named, auto":       {asked: "auto", edit: with, active: "hw", where: "nic", proved: true, evidence: "canary proved"},
		"not named, auto":   {asked: "auto", edit: without, active: "sw", where: "engine", proved: true, evidence: "without a word", says: "the engine computes them"},
		"unreadable, auto":  {asked: "auto", edit: claim(hw.TxChecksum{}, errors.New("no such family")), active: "sw", where: "engine", proved: true, evidence: "no such family", says: "no such family"},
		"not named, labels": {asked: "hw", edit: func(c *session.Config) { without(c); c.AllowFallback = true }, active: "sw", where: "engine", proved: true, evidence: "fell back: driver veth drops", says: "drops"},
	} {
		t.Run(name, func(t *testing.T) { c.transfers(t, r) })
	}
	for name, c := range map[string]struct {
		edit func(*session.Config)
		says string
	}{
		"not named":         {func(c *session.Config) { c.Checksum = "hw"; without(c) }, "drops the request in zero-copy mode without a word (its xsk-features have no tx-checksum): use --mode copy"},
		"unreadable":        {func(c *session.Config) { c.Checksum = "hw"; claim(hw.TxChecksum{}, errors.New("no such family"))(c) }, "no such family"},
		"asavie":            {func(c *session.Config) { c.Checksum = "hw"; c.Binding = session.BindingAsavie }, "use the native binding"},
		"kernel, asavie":    {func(c *session.Config) { c.Checksum = "kernel"; c.Binding = session.BindingAsavie }, "use the native binding"},
		"kernel, zero-copy": {func(c *session.Config) { c.Checksum = "kernel"; c.Mode = afxdp.ModeZeroCopy }, "use --mode copy"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			var cfg session.Config
			c.edit(&cfg)
			s, err := r.tryOpen(cfg)
			if err == nil {
				_, _ = s.Close()
			}
			if !errors.Is(err, session.ErrChecksum) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, cfg := range []session.Config{{Checksum: "gpu"}, {RXChecksum: "maybe"}} {
		if _, err := r.tryOpen(cfg); !errors.Is(err, session.ErrConfig) {
			t.Errorf("%v", err)
		}
	}
}

// emptied makes probes that carry no byte of those that carry one.
func emptied(n *atomic.Int64) func(int, dataplane.Port, *umem.Region) dataplane.Port {
	return func(_ int, port dataplane.Port, region *umem.Region) dataplane.Port {
		var seg wire.Segment
		return &txPort{Port: port, change: func(d *umem.Desc) {
			b := region.Memory()[d.Addr : d.Addr+uint64(d.Len)]
			if wire.Parse(b, false, &seg) != nil || seg.PayloadLen != 1 {
				return
			}
			n.Add(1)
			d.Len--
			ip := b[14:]
			binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)-1))
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^uint16(wire.Sum(ip[:20], 0)))
			seed := ip[36:38]
			binary.BigEndian.PutUint16(seed, binary.BigEndian.Uint16(seed)-1) // of the length
		}}
	}
}

// Probes without payload, of which Linux answers one in 500 ms, prove nothing of a link that
// is right: the byte matters.
func TestCanaryWithEmptyProbesProvesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	var n atomic.Int64
	c := checksumCase{asked: "hw", active: "hw", where: "kernel", evidence: "unproved", says: "unproved", // for lack of answers, or, on a busy machine, because Linux has answered all of them
		edit: func(cfg *session.Config) {
			cfg.Witness = false // it would see the probes change
			cfg.Wrap(emptied(&n))
		}}
	c.transfers(t, r)
	if n.Load() < 3 {
		t.Errorf("%d probes were emptied", n.Load())
	}
}

// Many connections at once, on several queues: one canary for each queue, and the others go by
// what it found.
func TestCanaryOncePerQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 2})
	s := r.open(session.Config{Checksum: session.ChecksumHardware, Writers: 6})
	var canaries atomic.Int32
	var wait sync.WaitGroup
	for i := range 6 {
		rc := r.receive(nil)
		wait.Go(func() {
			c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr})
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			st, _ := c.Stats(within(t))
			if st.CanaryProbes > 0 {
				canaries.Add(1)
			}
			if want := st.CanaryProbes > 0; want != (st.Canary == tcp.CanaryProved) {
				t.Errorf("connection %d: %d probes, %v", i, st.CanaryProbes, st.Canary)
			}
		})
	}
	wait.Wait()
	if k := knob(t, s, "checksum"); canaries.Load() != 2 || !k.Proved || !strings.Contains(k.Evidence, "queue 1: canary proved") {
		t.Errorf("%d canaries: %+v", canaries.Load(), k)
	}
}

// A connection that fails before the verdict leaves the canary to the next.
func TestCanaryAfterAFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	s := r.open(session.Config{Checksum: session.ChecksumHardware})
	nobody := netip.AddrPortFrom(r.there(), 9)
	if _, err := s.Dial(within(t), session.DialConfig{Remote: nobody}); !errors.Is(err, tcp.ErrRefused) {
		t.Errorf("%v", err)
	}
	if k := knob(t, s, "checksum"); k.Proved || k.Evidence != "nothing was sent" {
		t.Errorf("%+v", k)
	}
	st := sendThrough(t, s, r.receive(nil), 10_000)
	if st.Canary != tcp.CanaryProved {
		t.Error(st.Canary)
	}
}

// Received checksums: a peer that leaves them to its veth sends wrong ones. Whoever verifies
// drops them, says so, and has no connection; whoever trusts does not look. A peer that fills
// them in suits both.
func TestRXChecksums(t *testing.T) {
	t.Parallel()
	for _, filled := range []bool{true, false} {
		r := newRig(t, lab.Config{TxChecksum: !filled})
		for asked, want := range map[session.RXChecksum]string{"": "trust", "auto": "trust", "trust": "trust", "verify": "verify"} {
			t.Run(fmt.Sprintf("filled %v, %q", filled, asked), func(t *testing.T) {
				s := r.open(session.Config{RXChecksum: asked})
				if got := s.Info().RxChecksum; got != want {
					t.Fatalf("%q", got)
				}
				rc := r.receive(nil)
				if want == "verify" && !filled {
					wantWrongAnswers(t, s, rc.addr)
					return
				}
				sendThrough(t, s, rc, 100_000)
				k := knob(t, s, "rx-checksum")
				rep, err := s.Close()
				if err != nil || rep.Counters.RxChecksum != 0 || k.Active != want {
					t.Errorf("%+v, %d wrong, %v", k, rep.Counters.RxChecksum, err)
				}
				t.Logf("%+v", k)
			})
		}
	}
}

// short is a context for what cannot succeed.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// wantWrongAnswers dials where every answer has a wrong checksum.
func wantWrongAnswers(t *testing.T, s *session.Session, to netip.AddrPort) {
	t.Helper()
	_, err := s.Dial(short(t), session.DialConfig{Remote: to})
	if !errors.Is(err, tcp.ErrTimeout) || !strings.Contains(err.Error(), "--rx-checksum trust") {
		t.Errorf("%v", err)
	}
	rep, cerr := s.Close()
	if k := knob(t, s, "rx-checksum"); cerr != nil || rep.Counters.RxChecksum == 0 || strings.Contains(k.Evidence, " 0 had a wrong one") {
		t.Errorf("%d wrong, %v: %+v", rep.Counters.RxChecksum, cerr, k)
	}
}
