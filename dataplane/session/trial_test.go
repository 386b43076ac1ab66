package session_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/latetest"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// trial is bytes over connections, from writers that overwrite every frame the moment
// it is handed back, and what a kernel receiver made of them.
type trial struct {
	lab     lab.Config
	v6      bool
	session session.Config
	dial    session.DialConfig
	sink    func(*sink.Config)
	conns   int // 0 = 1
	bytes   int // of each connection
	round   int // frames in a round of the writer's; 0 = it streams
	late    bool
	wrap    func(dataplane.Port) dataplane.Port // a port around the late one, or the socket
	before  func(*rig)                          // the sink listens
	// during is called once the first connection has sent a tenth; the transfer goes
	// on meanwhile.
	during func(*rig, *session.Session)
	check  func(*testing.T, outcome) // that what was to happen did
}

// outcome is what a trial left.
type outcome struct {
	session session.Report
	late    latetest.Stats
	stats   []tcp.Stats
	results []sink.Result // by connection
	wants   []string      // SHA-256 by connection
	seconds float64
}

// smallFrames is the UMEM of a small trial, for each queue.
const smallFrames = 4096

// lateBytes is what a trial with late completions sends at most.
const lateBytes = 2 << 20

// lately is the same trial with completions up to 200 ms late and 1 % loss.
func (tr trial) lately() trial {
	tr.late = true
	if tr.lab.Loss == 0 {
		tr.lab.Loss, tr.lab.LossSeed = 1, 11
	}
	tr.bytes = min(tr.bytes, lateBytes)
	return tr
}

// scattered is the same trial in packets of several descriptors.
func (tr trial) scattered() trial {
	tr.session.SG = session.SGOn
	return tr
}

// run does the trial; what does not work at all ends the test.
func (tr trial) run(t *testing.T) outcome {
	t.Helper()
	r := newRig(t, tr.lab)
	r.v6 = tr.v6
	tr.conns = max(1, tr.conns)
	if tr.before != nil {
		tr.before(r)
	}
	rc := r.receive(func(c *sink.Config) {
		c.Count = tr.conns
		if tr.sink != nil {
			tr.sink(c)
		}
	})
	tr.session.Witness = true
	tr.session.Writers = tr.conns
	if tr.conns <= 8 && tr.bytes <= 8<<20 {
		tr.session.Frames = smallFrames * max(1, tr.lab.Queues) // most of the time goes into pinning memory
	}
	var late lateness
	tr.session.Wrap(func(_ int, p dataplane.Port, region *umem.Region) dataplane.Port {
		if tr.late {
			p = late.around(p, region)
		}
		if tr.wrap != nil {
			p = tr.wrap(p)
		}
		return p
	})
	s := r.open(tr.session)
	var o outcome
	tr.transfer(t, r, s, rc, &o)
	var err error
	if o.session, err = s.Close(); err != nil {
		t.Error(err)
	}
	o.late = late.stats()
	return o
}

// transfer dials, writes everything, and collects what arrived.
func (tr trial) transfer(t *testing.T, r *rig, s *session.Session, rc *receiver, o *outcome) {
	t.Helper()
	ctx := within(t)
	start := time.Now()
	conns := tr.dialAll(t, s, rc.addr)
	var all sync.WaitGroup
	errs := make([]error, len(conns))
	for i, c := range conns {
		p := payload(uint64(i), tr.bytes)
		o.wants = append(o.wants, sumOf(p))
		all.Go(func() { errs[i] = tr.write(ctx, r, s, c, i, p) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			st, _ := conns[i].Stats(ctx)
			t.Fatalf("connection %d: %v\n%+v\n%+v", i, err, st, s.Counters())
		}
	}
	o.seconds = time.Since(start).Seconds()
	o.results = make([]sink.Result, len(conns))
	for res := range rc.results {
		i := slices.IndexFunc(conns, func(c *session.Conn) bool { return c.LocalAddr().String() == res.Remote })
		o.results[i] = res
	}
	for _, c := range conns {
		st, _ := c.Stats(ctx)
		o.stats = append(o.stats, st)
	}
}

func (tr trial) dialAll(t *testing.T, s *session.Session, to netip.AddrPort) []*session.Conn {
	t.Helper()
	conns := make([]*session.Conn, tr.conns)
	errs := make([]error, tr.conns)
	tr.dial.Remote = to
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() { conns[i], errs[i] = s.Dial(within(t), tr.dial) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return conns
}

// write sends p on connection number i, with whatever the trial wants to happen meanwhile.
func (tr trial) write(ctx context.Context, r *rig, s *session.Session, c *session.Conn, i int, p []byte) error {
	if tr.during != nil && i == 0 {
		k := len(p) / 10
		if err := fill(ctx, c, p[:k]); err != nil {
			return err
		}
		p = p[k:]
		over := make(chan struct{})
		go func() {
			defer close(over)
			tr.during(r, s)
		}()
		defer func() { <-over }()
	}
	return writeRounds(ctx, c, p, tr.round)
}

// right fails the test unless every byte arrived and nothing is missing.
func (o *outcome) right(t *testing.T, tr trial) {
	t.Helper()
	for i, res := range o.results {
		if res.SHA256 != o.wants[i] || res.Bytes != int64(tr.bytes) || res.Err != "" {
			t.Errorf("connection %d: the receiver has %d bytes, SHA-256 %s, error %q; want %d, %s", i, res.Bytes, res.SHA256, res.Err, tr.bytes, o.wants[i])
		}
	}
	books(t, o.session)
	k := &o.session.Counters
	if want := uint64(max(1, tr.conns) * tr.bytes); k.BytesWritten != want || k.BytesReleased+k.BytesDemoted != want || k.ArenaCopied != k.ArenaAcked || k.LentWhileHeld != 0 || o.session.RewrittenInFlight != 0 {
		t.Errorf("want %d bytes written and released, and none too early: %+v", want, o.session)
	}
	if st := o.late; tr.late && (st.Rewritten != 0 || st.Unexpected != 0 || st.HandedOn != k.Completed || st.Submitted != k.Submitted || st.Late < 10*tcp.Millisecond) {
		t.Errorf("late port: %+v", st)
	}
}

// books fails the test unless what a session reports adds up.
func books(t *testing.T, rep session.Report) {
	t.Helper()
	k, f := &rep.Counters, &rep.Frames
	switch {
	case f.Leaked != 0 || f.Free+f.Quarantined != f.Total:
		t.Errorf("frames: %+v", *f)
	case k.Submitted != k.Completed+k.Quarantined || k.Out != 0 || k.Spurious+k.Duplicate != 0 || k.OutOfRange != 0:
		t.Errorf("descriptors: %+v", *k)
	case k.BytesWritten != k.BytesReleased+k.BytesDemoted+k.BytesAborted || k.ArenaCopied != k.ArenaAcked+k.ArenaAborted || k.ArenaUsed != 0 || k.Commits != k.Releases:
		t.Errorf("bytes: %+v", *k)
	}
	if err := rep.Books.Ledger.Settled(); err != nil {
		t.Error(err)
	}
}

// lateness puts a late port around each socket.
type lateness struct {
	mu    sync.Mutex
	ports []*latetest.Port
}

func (l *lateness) around(p dataplane.Port, region *umem.Region) dataplane.Port {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := time.Now()
	late := latetest.Wrap(p, latetest.Config{
		Region: region, Seed: uint64(len(l.ports)) + 1,
		Now: func() tcp.Time { return tcp.Time(time.Since(start)) },
	})
	l.ports = append(l.ports, late)
	return late
}

// stats adds up what all of them saw; once the session is closed.
func (l *lateness) stats() (sum latetest.Stats) {
	for _, p := range l.ports {
		st := p.Stats()
		sum.Submitted += st.Submitted
		sum.HandedOn += st.HandedOn
		sum.Unexpected += st.Unexpected
		sum.Rewritten += st.Rewritten
		sum.Bytes += st.Bytes
		sum.Late = max(sum.Late, st.Late)
	}
	return sum
}
