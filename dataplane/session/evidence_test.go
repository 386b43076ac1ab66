package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/umem"
)

// layouts are a configuration in packets of one descriptor, and of several.
func layouts(c session.Config) map[string]session.Config {
	scattered := c
	scattered.SG = session.SGOn
	return map[string]session.Config{"linear": c, "scattered": scattered}
}

// committed is a frame that a writer which misbehaves has committed.
type committed struct {
	buf   dataplane.Buf
	start uint64
}

// commits commits n full frames of payload on c.
func commits(ctx context.Context, t *testing.T, c *session.Conn, n int) (all []committed) {
	t.Helper()
	p, at := payload(9, 1<<20), uint64(0)
	for range n {
		b, err := c.Writer().ReserveWait(ctx, c.Stream())
		if err != nil {
			t.Fatal(err)
		}
		k := copy(b.Bytes, p[at:])
		c.Writer().Commit(c.Stream(), b, k, at)
		all = append(all, committed{b, at})
		at += uint64(k)
	}
	return all
}

// misbehave changes byte k of a frame that is not the writer's, and says what an audit has to find.
func (m committed) misbehave(c *session.Conn, k int, when dataplane.Moment) dataplane.Changed {
	was := m.buf.Bytes[k]
	m.buf.Bytes[k] ^= 0x81
	return dataplane.Changed{
		Local: c.LocalAddr(), Remote: c.RemoteAddr(), Frame: m.buf.Frame, Position: m.start + uint64(k), When: when, Was: was, Is: was ^ 0x81, Known: true, Bytes: 1,
	}
}

// changed wants the session to end with that difference.
func changed(t *testing.T, s *session.Session, c *session.Conn, want dataplane.Changed) {
	t.Helper()
	if !eventually(patience, c.Stream().Ended) {
		t.Fatal("the connection lives on")
	}
	var stream, end *dataplane.Changed
	if !errors.As(c.Err(), &stream) {
		t.Errorf("the connection ended with %v", c.Err())
	}
	rep, err := s.Close()
	if !errors.As(err, &end) || !errors.Is(err, dataplane.ErrChanged) || rep.Audit == nil || rep.Audit.First != end {
		t.Fatalf("the session ended with %v: %+v", err, rep.Audit)
	}
	want.Offset, want.Compared = end.Offset, end.Compared // by layout
	if *end != want {
		t.Errorf("%+v\nwant %+v", *end, want)
	}
	t.Log(err)
	books(t, rep)
}

// On a real link: a writer that changes what it has committed is found in each of three windows.
func TestAuditOnVeth(t *testing.T) {
	for layout, cfg := range layouts(session.Config{Audit: true, Frames: smallFrames}) {
		// Beyond the initial window nothing leaves until the peer answers, which it cannot.
		for name, frame := range map[string]int{"first transmission": 25, "retransmission": 1} {
			t.Run(layout+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Config{})
				rc := r.receive(nil)
				s := r.open(cfg)
				c := dial(t, s, rc.addr)
				if err := r.lab.SetLink(lab.Receiver, false); err != nil {
					t.Fatal(err)
				}
				all := commits(within(t), t, c, 30)
				if !eventually(patience, func() bool {
					st, err := c.Stats(t.Context())
					return err == nil && st.BytesSent >= 10*1448 && st.BytesSent < all[20].start
				}) {
					t.Fatal("not what was to be sent was sent")
				}
				when := dataplane.AtAgain
				if frame > 20 {
					when = dataplane.AtFirst
				}
				want := all[frame].misbehave(c, 700, when)
				if err := r.lab.SetLink(lab.Receiver, true); err != nil {
					t.Fatal(err)
				}
				changed(t, s, c, want)
			})
		}
		t.Run(layout+"/release", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			var late lateness
			cfg := cfg
			cfg.Wrap(func(_ int, p dataplane.Port, region *umem.Region) dataplane.Port { return late.around(p, region) })
			s := r.open(cfg)
			c := dial(t, s, rc.addr)
			for { // a completion may come at once
				m := commits(within(t), t, c, 1)[0]
				end := uint64(0)
				if !eventually(patience, func() bool {
					st, err := c.Stats(t.Context())
					end = st.BytesAcked
					return err == nil && st.BytesAcked == st.BytesSent && st.BytesSent > 0
				}) {
					t.Fatal("no ACK")
				}
				if m.start = end - uint64(len(m.buf.Bytes)); c.Writer().Held(c.Stream()) == 1 && s.Counters().Releases < s.Counters().Commits {
					changed(t, s, c, m.misbehave(c, 700, dataplane.AtRelease))
					return
				}
				c.Writer().Poll()
			}
		})
	}
}

// A writer that believes a wrong mode is found on a lossy link, and the session ends with the difference.
func TestAuditOfWrongModes(t *testing.T) {
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseCompletion, dataplane.ReleaseSubmit} {
		for layout, cfg := range layouts(session.Config{Audit: true, Frames: smallFrames, Release: mode}) {
			t.Run(mode.String()+"/"+layout, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Config{Loss: 1, LossSeed: 5})
				rc := r.receive(nil)
				s := r.open(cfg)
				c := dial(t, s, rc.addr)
				if err := fillRounds(within(t), c, payload(0, 8<<20), 4); !errors.Is(err, dataplane.ErrChanged) {
					t.Errorf("the writer was told: %v", err)
				}
				rep, err := s.Close()
				if !errors.Is(err, dataplane.ErrChanged) || rep.Audit.First.When != dataplane.AtAgain || rep.Audit.First.Is == rep.Audit.First.Was && rep.Audit.First.Known {
					t.Errorf("%v: %+v", err, rep.Audit)
				}
			})
		}
	}
}

// A good writer, which rewrites everything that is handed back at once: no difference, no fault, and the right bytes.
func TestTrapAndAuditOfAGoodWriter(t *testing.T) {
	tr := lossy(dataplane.ReleaseAck)
	tr.session.Audit, tr.session.Trap = true, true
	tr.bytes = 1 << 20 // each frame takes four system calls, which interrupt the other processor
	late := tr.lately()
	late.round = 0 // each would take as long as the latest completion
	for layout, tr := range map[string]trial{"linear": tr, "scattered": tr.scattered(), "late": late} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			o := tr.run(t)
			o.right(t, tr)
			a, k := o.session.Audit, o.session.Counters
			if a == nil || a.First != nil || a.Commits != k.Commits || a.Releases != k.Commits || a.Transmissions <= k.Commits {
				t.Errorf("audit: %+v of %d commits", a, k.Commits)
			}
			if o.session.TrapCalls < 4*k.Commits || o.session.TrapCalls > 4*k.Commits+2*smallFrames {
				t.Errorf("%d calls of mprotect for %d commits", o.session.TrapCalls, k.Commits)
			}
			t.Logf("%+v, %d calls of mprotect, %.1f s", *a, o.session.TrapCalls, o.seconds)
		})
	}
}

// What cannot be protected is refused with the numbers, before anything is touched.
func TestTrapRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	for name, c := range map[string]struct {
		cfg  session.Config
		says string
	}{
		"small chunks":    {session.Config{Trap: true, Chunk: 2048}, "frames have 2048 bytes, a page has 4096, and protection goes by the page: use a chunk of 4096"},
		"huge pages":      {session.Config{Trap: true, HugePages: true}, "leave one of them out"},
		"too many frames": {session.Config{Trap: true, Frames: 1 << 20}, "half of vm.max_map_count"},
		"asavie":          {session.Config{Trap: true, Binding: session.BindingAsavie}, "use --binding native"},
		"all of them":     {session.Config{Trap: true, HugePages: true, AllowFallback: true}, "leave one of them out"},
	} {
		s, err := r.tryOpen(c.cfg)
		if err == nil {
			_, _ = s.Close()
			t.Fatalf("%s: opened", name)
		}
		if !errors.Is(err, session.ErrConfig) || !errors.Is(err, umem.ErrProtect) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v\nwant %q", name, err, c.says)
		}
		t.Log(err)
	}
	if id := r.program(); id != 0 {
		t.Errorf("program %d stayed attached", id)
	}
	r.works(t)
}
