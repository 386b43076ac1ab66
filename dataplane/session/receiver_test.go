package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// Receivers that take little at a time.
func TestSmallReceivers(t *testing.T) {
	everyWay(t, "receive buffer of 2 KiB", trial{
		bytes: 256 << 10, sink: func(c *sink.Config) { c.ReadBuffer = 2 << 10 },
		check: func(t *testing.T, o outcome) {
			if st := o.stats[0]; st.SendWindow > 4<<10 {
				t.Errorf("the window was not small: %+v", st)
			}
		},
	})
	everyWay(t, "receive buffer of 2 KiB, IPv6", trial{
		v6: true, bytes: 64 << 10, sink: func(c *sink.Config) { c.ReadBuffer = 2 << 10 },
	})
	everyWay(t, "window of 500 bytes", trial{
		bytes: 64 << 10, before: func(r *rig) { r.limitWindow(500) },
		check: func(t *testing.T, o outcome) {
			if st := o.stats[0]; st.SendWindow != 500 || st.SegmentsOut < 64<<10/500 {
				t.Errorf("the window was not 500 bytes: %+v", st)
			}
		},
	})
}

// unhurried is slow enough for something to happen meanwhile.
var unhurried = session.DialConfig{Rate: 8 << 20}

// The MTU of both ends falls in mid-run: what is queued is cut anew.
func TestMTUFalls(t *testing.T) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		everyWay(t, name, trial{v6: v6, bytes: 8 << 20, dial: unhurried, during: func(r *rig, _ *session.Session) {
			if err := r.lab.SetMTU(1280); err != nil {
				r.t.Error(err)
			}
		}, check: func(t *testing.T, o outcome) {
			if st := o.stats[0]; st.MSS > 1280-40 || st.Cuts == 0 {
				t.Errorf("nothing was cut: %+v", st)
			}
		}})
	}
}

// A reader that stops shuts its window, and opens it again: probes find out.
func TestZeroWindowOpens(t *testing.T) {
	probed := func(t *testing.T, o outcome) {
		if st := o.stats[0]; st.Probes == 0 || o.seconds < 2 {
			t.Errorf("nothing was probed: %.1f s, %+v", o.seconds, st)
		}
	}
	everyWay(t, "2 s", trial{bytes: 2 << 20, check: probed, sink: func(c *sink.Config) {
		c.ReadBuffer = 64 << 10
		stopped := false
		c.BeforeRead = func(ctx context.Context, _ int, read int64) {
			if stopped || read < 256<<10 {
				return
			}
			stopped = true
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
			}
		}
	}})
}

// Of eight receivers one stops reading: the other seven finish meanwhile, and it does
// too once it reads on.
func TestStoppedReaderStarvesNobody(t *testing.T) {
	for _, b := range bindings {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			const conns, size = 8, 8 << 20
			goOn := make(chan struct{})
			r := newRig(t, lab.Config{})
			rc := r.receive(func(c *sink.Config) {
				c.Count = conns
				c.BeforeRead = func(ctx context.Context, conn int, read int64) {
					if conn != 3 || read < 1<<20 {
						return
					}
					select {
					case <-goOn:
					case <-ctx.Done():
					}
				}
			})
			s := r.open(session.Config{Binding: b, Writers: conns, Frames: 4096, Witness: true})
			p := payload(9, size)
			ended := make(chan error, conns)
			for range conns {
				c := dial(t, s, rc.addr)
				go func() { ended <- write(within(t), c, p) }()
			}
			for i := range conns {
				if i == conns-1 {
					close(goOn) // seven are through
				}
				if err := <-ended; err != nil {
					t.Fatalf("connection %d to end: %v", i, err)
				}
			}
			want := sumOf(p)
			for res := range rc.results {
				if res.SHA256 != want || res.Err != "" {
					t.Errorf("%+v", res)
				}
			}
			rep, err := s.Close()
			if err != nil || rep.RewrittenInFlight != 0 {
				t.Errorf("%v; %+v", err, rep)
			}
			books(t, rep)
		})
	}
}
