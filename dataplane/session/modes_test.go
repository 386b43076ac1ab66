package session_test

import (
	"bytes"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/umem"
)

// lossy is 4 MB under 1 % loss, in rounds of 4 frames, compared byte by byte at the
// receiver.
func lossy(mode dataplane.ReleaseMode) trial {
	p := payload(0, 4<<20)
	return trial{
		lab: lab.Config{Loss: 1, LossSeed: 5}, session: session.Config{Release: mode}, bytes: len(p), round: 4,
		sink: func(c *sink.Config) { c.Expect = bytes.NewReader(p) },
	}
}

// ways are a trial over both bindings, and in both layouts of the one that has them.
func ways(tr trial) map[string]trial {
	other := tr
	other.session.Binding = session.BindingAsavie
	return map[string]trial{"native": tr, "asavie": other, "scattered": tr.scattered()}
}

// A writer that is told too early, and rewrites, spoils what is sent again. The
// connection itself must not suffer: a stall, or a checksum that drops the packet,
// would hide it.
func TestWrongModesCorrupt(t *testing.T) {
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseCompletion, dataplane.ReleaseSubmit} {
		for way, tr := range ways(lossy(mode)) {
			t.Run(mode.String()+"/"+way, func(t *testing.T) {
				t.Parallel()
				o := tr.run(t)
				res, wrong := o.results[0], o.results[0].Compared
				if res.Err != "" || res.Bytes != int64(tr.bytes) || wrong == nil || wrong.WrongBytes < 1000 || res.SHA256 == o.wants[0] {
					t.Errorf("the receiver has %d bytes, error %q, %+v: the control has no power", res.Bytes, res.Err, wrong)
				}
				books(t, o.session)
				if o.session.Counters.LentWhileHeld == 0 {
					t.Errorf("%+v", o.session.Counters)
				}
				t.Logf("%+v of %d; %d lent while held; %.1f s", wrong, res.Bytes, o.session.Counters.LentWhileHeld, o.seconds)
			})
		}
	}
}

// ReleaseAck under the same loss: right. ReleaseAcked too, because veth has copied a
// packet before it can be ACKed.
func TestRightModesDoNot(t *testing.T) {
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseAck, dataplane.ReleaseAcked} {
		for way, tr := range ways(lossy(mode)) {
			t.Run(mode.String()+"/"+way, func(t *testing.T) {
				t.Parallel()
				o := tr.run(t)
				o.right(t, tr)
				if wrong := o.results[0].Compared; wrong == nil || wrong.WrongBytes != 0 {
					t.Errorf("%+v", wrong)
				}
			})
		}
	}
}

// forgetful is the mutant that ignores the kernel count: it tells the poller that a
// descriptor is completed as soon as it was submitted.
type forgetful struct {
	dataplane.Port
	told  []uint64
	addrs [256]uint64
}

// Tx implements dataplane.Port.
func (f *forgetful) Tx(descs []umem.Desc) {
	for _, d := range descs {
		f.told = append(f.told, d.Addr)
	}
	f.Port.Tx(descs)
}

// Reap implements dataplane.Port.
func (f *forgetful) Reap(addrs []uint64) int {
	f.Port.Reap(f.addrs[:])
	n := copy(addrs, f.told)
	f.told = append(f.told[:0], f.told[n:]...)
	return n
}

// With late completions, a writer that is told at the ACK alone writes where the
// kernel has descriptors, and the late port sees it; so does the witness, which the
// program has. The receiver's stream is right all the same.
func TestMutantsAreCaught(t *testing.T) {
	for way, tr := range ways(lossy(dataplane.ReleaseAcked).lately()) {
		t.Run("release acked/"+way, func(t *testing.T) {
			t.Parallel()
			o := tr.run(t)
			caught(t, &o)
			if o.session.RewrittenInFlight == 0 || o.session.Counters.LentWhileHeld == 0 {
				t.Errorf("the session saw nothing: %+v", o.session)
			}
		})
	}
	for way, tr := range ways(lossy(dataplane.ReleaseAck).lately()) {
		t.Run("kernel count ignored/"+way, func(t *testing.T) {
			t.Parallel()
			tr.wrap = func(p dataplane.Port) dataplane.Port { return &forgetful{Port: p} }
			o := tr.run(t)
			caught(t, &o)
		})
	}
}

func caught(t *testing.T, o *outcome) {
	t.Helper()
	if o.late.Rewritten == 0 || o.late.Bytes == 0 {
		t.Errorf("nothing was rewritten in flight: %+v", o.late)
	}
	if res := o.results[0]; res.SHA256 != o.wants[0] || res.Err != "" {
		t.Errorf("the receiver's stream is wrong: %+v", res)
	}
	t.Logf("%d of %d descriptors, %d bytes; %.1f s", o.late.Rewritten, o.late.HandedOn, o.late.Bytes, o.seconds)
}
