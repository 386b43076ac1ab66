package simnet

import (
	"errors"
	"math/bits"
	"net/netip"
	"slices"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func (w *World) pass(d tcp.Duration) {
	end := w.now + d
	for w.agenda.next() <= end {
		w.now = max(w.now, w.agenda.next())
		w.happen()
	}
	w.now = end
}

func TestThingsHappenInOrder(t *testing.T) {
	w := New(1)
	var got []int
	for i, at := range []tcp.Time{5, 3, 5, 1, 3, 4} {
		w.After(at, func() { got = append(got, i) })
	}
	w.After(4, func() { w.After(0, func() { got = append(got, 99) }) })
	w.pass(10)
	if want := []int{3, 1, 4, 5, 99, 0, 2}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

// idleStepper never has anything to do, or always.
type idleStepper struct {
	work int
	next tcp.Time
}

func (s idleStepper) Step(tcp.Time) int          { return s.work }
func (s idleStepper) Next(now tcp.Time) tcp.Time { return max(s.next, now) }
func (s idleStepper) Check() error               { return nil }
func never() bool                                { return false }
func wantErr(t *testing.T, got, want error)      { t.Helper(); checkErr(t, got, want) }
func checkErr(t *testing.T, got error, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

// A run that cannot end says so.
func TestRunThatCannotEnd(t *testing.T) {
	wantErr(t, New(1).Run(idleStepper{next: tcp.Never}, tcp.Second, never), ErrStuck)
	wantErr(t, New(1).Run(idleStepper{}, ms, never), ErrLate)
	wantErr(t, New(1).Run(idleStepper{work: 1}, tcp.Second, never), ErrLivelock)
}

func TestLinkTakesItsTime(t *testing.T) {
	w := New(1)
	var at []tcp.Time
	l := w.NewLink(LinkConfig{Rate: 1_000_000, Delay: 5 * ms, Queue: 2}, func([]byte) { at = append(at, w.Now()-tcp.Second) })
	for range 4 {
		l.Send(make([]byte, 1000)) // 1 ms each
	}
	w.pass(tcp.Second)
	if want := []tcp.Time{6 * ms, 7 * ms}; !slices.Equal(at, want) || l.Stats().Overflow != 2 {
		t.Fatalf("%v, want %v; %+v", at, want, l.Stats())
	}
}

func TestLinkDropsByList(t *testing.T) {
	w := New(1)
	var got []byte
	l := w.NewLink(LinkConfig{Drop: []int{0, 3}}, func(b []byte) { got = append(got, b[0]) })
	for i := range byte(5) {
		l.Send([]byte{i, 14: 0})
	}
	w.pass(ms)
	if !slices.Equal(got, []byte{1, 2, 4}) {
		t.Fatalf("%v", got)
	}
}

// Corruption is one bit, so that no checksum misses it.
func TestLinkFlipsOneBit(t *testing.T) {
	w := New(1)
	n := 0
	l := w.NewLink(LinkConfig{Corrupt: 1}, func(b []byte) {
		for _, x := range b {
			n += bits.OnesCount8(x)
		}
	})
	for range 100 {
		l.Send(make([]byte, 60))
	}
	w.pass(ms)
	if n != 100 || l.Stats().Corrupted != 100 {
		t.Fatalf("%d bits in %d packets", n, l.Stats().Corrupted)
	}
}

// What a router says of a packet that is too big is what the engine's parser reads.
func TestTooBigIsUnderstood(t *testing.T) {
	for _, tc := range []struct {
		local, remote string
		vlan          uint16
	}{{"10.0.0.1:4000", "10.0.0.2:80", 0}, {"[fd00::1]:4000", "[fd00::2]:80", 0}, {"10.0.0.1:4000", "10.0.0.2:80", 7}} {
		flow := wire.FlowOf(addrPort(tc.local), addrPort(tc.remote))
		var tmpl wire.Template
		tmpl.Init(flow, wire.Path{Tagged: tc.vlan != 0, VLAN: tc.vlan})
		frame := make([]byte, tmpl.HeaderLen(0)+1000)
		h := wire.Header{Seq: 0x01020304, Flags: wire.FlagACK}
		tmpl.Put(frame[:tmpl.HeaderLen(0)], &h, 1000, 0)
		var e wire.ICMPError
		if err := wire.ParseICMP(TooBig(frame, 1280), true, &e); err != nil {
			t.Fatalf("%+v: %v", tc, err)
		}
		if e.Flow != flow || e.Seq != h.Seq || e.MTU != 1280 {
			t.Fatalf("%+v: %+v", tc, e)
		}
	}
}

// nicRig is a kernel alone, with a test in place of the poller.
type nicRig struct {
	t      *testing.T
	w      *World
	k      *Kernel
	region *umem.Region
	wire   [][]byte
}

func newNICRig(t *testing.T, cfg KernelConfig) *nicRig {
	t.Helper()
	region, err := umem.Map(umem.Config{Frames: 64, ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = region.Close() })
	r := &nicRig{t: t, w: New(3), region: region}
	r.k = r.w.NewKernel(cfg, region, r.w.NewLink(LinkConfig{}, func(b []byte) { r.wire = append(r.wire, b) }))
	return r
}

func (r *nicRig) tx(frames ...umem.Frame) {
	for _, f := range frames {
		r.k.Tx([]umem.Desc{{Addr: r.region.Addr(f) + 256, Len: 100}})
	}
}

func (r *nicRig) reap() (frames []int) {
	var addrs [64]uint64
	for _, a := range addrs[:r.k.Reap(addrs[:])] {
		frames = append(frames, int(a/2048))
	}
	return frames
}

// Nothing leaves before a kick; the NIC reads later, and sees what was written until then.
func TestNICReadsBetweenSubmitAndCompletion(t *testing.T) {
	r := newNICRig(t, KernelConfig{Read: [2]tcp.Duration{ms, ms}, Complete: [2]tcp.Duration{ms, ms}})
	r.tx(1, 2)
	r.w.pass(10 * ms)
	if len(r.wire) != 0 || r.k.TxUnsent() != 2 {
		t.Fatal("something left without a kick")
	}
	r.k.Kick()
	r.region.Bytes(1)[300] = 7
	r.w.pass(ms)
	if len(r.wire) != 2 || r.wire[0][44] != 7 || r.k.Stats().RewrittenInFlight != 1 || len(r.reap()) != 0 {
		t.Fatalf("%d packets, %+v", len(r.wire), r.k.Stats())
	}
	r.region.Bytes(2)[256] = 9 // after the read, before the completion
	r.w.pass(ms)
	if got := r.reap(); !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("completed: %v", got)
	}
	if st := r.k.Stats(); st.RewrittenInFlight != 1 || st.RewrittenHeld != 2 || r.k.Out() != 0 {
		t.Fatalf("%+v", st)
	}
	r.region.Bytes(2)[256] = 1 // ours again
	r.w.pass(ms)
	if st := r.k.Stats(); st.RewrittenHeld != 2 {
		t.Fatalf("%+v", st)
	}
}

// A budget, a full completion ring and the states of the interface show as the errno
// table has them.
func TestKickAnswers(t *testing.T) {
	r := newNICRig(t, KernelConfig{Ring: 4, Budget: 3, Down: []Span{{tcp.Second + ms, tcp.Second + 2*ms}}, DiesAt: tcp.Second + 3*ms, DiesLoudly: true})
	r.tx(1, 2, 3, 4)
	want := func(what string, got, want dataplane.Kick) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	want("budget", r.k.Kick(), dataplane.KickAgain)
	want("the rest", r.k.Kick(), dataplane.KickOK)
	r.w.pass(0)
	r.tx(5)
	want("no room for a completion", r.k.Kick(), dataplane.KickAgain)
	r.reap()
	want("room again", r.k.Kick(), dataplane.KickOK)
	r.w.pass(ms)
	r.tx(6)
	want("down", r.k.Kick(), dataplane.KickDown)
	if r.k.TxUnsent() != 1 {
		t.Fatal("consumed while down")
	}
	r.w.pass(ms)
	want("up", r.k.Kick(), dataplane.KickOK)
	r.w.pass(ms)
	want("dead", r.k.Kick(), dataplane.KickDead)
}

// Lies are always such that the ledger can know: twice only when nothing of the frame
// is out any more, invented only where nothing is out.
func TestLiesCanBeTold(t *testing.T) {
	r := newNICRig(t, KernelConfig{Twice: 1, Invent: 1, AnyOrder: true, Complete: [2]tcp.Duration{0, ms}})
	pool, err := umem.NewPool(r.region, 0, 64, 2)
	if err != nil {
		t.Fatal(err)
	}
	out := map[umem.Frame]int{}
	faults := 0
	for range 500 {
		for range 4 {
			if f, ok := pool.Alloc(); ok {
				pool.Submit(f)
				out[f]++
				r.tx(f)
			}
		}
		r.k.Kick()
		r.w.pass(300 * us)
		var addrs [64]uint64
		for _, a := range addrs[:r.k.Reap(addrs[:])] {
			f, fault := pool.Complete(a)
			if fault != umem.FaultNone {
				faults++
			} else if out[f]--; out[f] < 0 {
				t.Fatalf("frame %d completed more often than submitted", f)
			}
		}
	}
	if st := r.k.Stats(); faults == 0 || uint64(faults) != st.Twice+st.Invented {
		t.Fatalf("%d faults, %+v", faults, st)
	}
}

// What no kernel takes is counted, and comes back as it is.
func TestKernelFindsInvalidDescriptors(t *testing.T) {
	r := newNICRig(t, KernelConfig{})
	r.k.Tx([]umem.Desc{{Addr: 1 << 30, Len: 60}})
	r.k.Tx([]umem.Desc{{Addr: 2048 - 10, Len: 60}})
	r.k.Tx([]umem.Desc{{Addr: 4096, Len: 0}})
	r.k.Fill([]uint64{2048, 2048, 1 << 40})
	r.k.Kick()
	r.w.pass(ms)
	if st := r.k.Stats(); st.Invalid != 5 || len(r.wire) != 0 {
		t.Fatalf("%+v", st)
	}
	if got := r.reap(); !slices.Equal(got, []int{1 << 19, 0, 2}) {
		t.Fatalf("completed: %v", got)
	}
}

// A closed socket reads nothing more, and completes nothing.
func TestClosedKernelLetsGo(t *testing.T) {
	r := newNICRig(t, KernelConfig{Read: [2]tcp.Duration{ms, ms}})
	r.tx(1, 2)
	r.k.Kick()
	r.tx(3)
	if err := r.k.Close(); err != nil {
		t.Fatal(err)
	}
	r.w.pass(tcp.Second)
	if len(r.wire) != 0 || len(r.reap()) != 0 || r.k.Stats().Abandoned != 3 || r.k.Kick() != dataplane.KickDead {
		t.Fatalf("%d packets, %+v", len(r.wire), r.k.Stats())
	}
}

func TestPatternKnowsItsBytes(t *testing.T) {
	p := Pattern(42)
	whole := make([]byte, 1000)
	p.Fill(whole, 5)
	for _, cut := range []int{0, 1, 7, 8, 9, 500} {
		if n := p.Wrong(whole[cut:], uint64(5+cut)); n != 0 {
			t.Fatalf("%d wrong from %d on", n, cut)
		}
	}
	whole[3]++
	if p.Wrong(whole, 5) != 1 || Pattern(43).Wrong(whole, 5) < 900 || p.Wrong(whole, 6) < 900 {
		t.Fatal("wrong bytes are not found")
	}
}
