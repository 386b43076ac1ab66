package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
)

// With late completions of the session's own, a writer that is told at the ACK alone writes where the kernel has
// descriptors, and the witness sees it; one that is told rightly doesn't. Both send the right bytes.
func TestLate(t *testing.T) {
	for mode, power := range map[dataplane.ReleaseMode]bool{dataplane.ReleaseAcked: true, dataplane.ReleaseAck: false} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			tr := trial{
				lab: lab.Config{Loss: 1, LossSeed: 5}, bytes: 2 << 20,
				session: session.Config{Release: mode, Witness: true, Late: 20 * time.Millisecond},
			}
			o := tr.run(t)
			if res := o.results[0]; res.Err != "" || res.SHA256 != o.wants[0] {
				t.Errorf("the receiver's stream is wrong: %+v", res)
			}
			if n := o.session.RewrittenInFlight; (n > 0) != power {
				t.Errorf("%d descriptors rewritten in flight", n)
			}
		})
	}
}

func TestLateIsBounded(t *testing.T) {
	r := newRig(t, lab.Config{})
	for _, late := range []time.Duration{-1, time.Second + 1} {
		if _, err := r.tryOpen(session.Config{Late: late}); !errors.Is(err, session.ErrConfig) {
			t.Errorf("%v: %v", late, err)
		}
	}
}
