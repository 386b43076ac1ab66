package simnet

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// voyage is one stream on a path of 20 Mbit/s, looked at each millisecond for some time.
type voyage struct {
	goodputRow
	queue int          // quarters of the bandwidth-delay product
	span  tcp.Duration // how long
	edit  func(*Trial) // of the path; nil = none
	log   []sight
}

// sight is what was seen at a moment.
type sight struct {
	at      tcp.Duration
	stats   tcp.Stats
	waiting int // packets in the queue
	got     int64
}

func (v *voyage) sail(t *testing.T) *Run {
	t.Helper()
	trial := v.trial(v.queue)
	trial.Bytes, trial.Frames = 1<<30, 4096
	if v.edit != nil {
		v.edit(&trial)
	}
	var look func(r *Run)
	look = func(r *Run) {
		s := sight{r.World.Now() - tcp.Second, r.Streams[0].StatsNow(), r.Forward.waiting, r.received()}
		v.log = append(v.log, s)
		if s.at < v.span {
			r.World.After(ms, func() { look(r) })
			return
		}
		r.Poller.Abort(r.World.Now(), r.Streams[0].Stream)
	}
	trial.At = append(trial.At, Action{ms, look})
	r, err := trial.Do()
	if err == nil {
		err = r.Clean()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rate is kbit/s of what arrived between two moments.
func (v *voyage) rate(from, to tcp.Duration) int {
	a, b := v.at(from), v.at(to)
	return int((b.got - a.got) * 8 * int64(ms) / int64(b.at-a.at))
}

func (v *voyage) at(d tcp.Duration) *sight {
	i, _ := slices.BinarySearchFunc(v.log, d, func(s sight, d tcp.Duration) int { return int(s.at - d) })
	return &v.log[min(i, len(v.log)-1)]
}

// mean is that of the packets in the queue from a moment on.
func (v *voyage) mean(from tcp.Duration) int {
	sum, n := 0, 0
	for _, s := range v.log {
		if s.at >= from {
			sum, n = sum+s.waiting, n+1
		}
	}
	return sum / n
}

// states are those of congestion control, in order, and when each was first seen.
func (v *voyage) states() (names []string, since []tcp.Duration) {
	for _, s := range v.log {
		if name := s.stats.CongestionState; len(names) == 0 || names[len(names)-1] != name {
			names, since = append(names, name), append(since, s.at)
		}
	}
	return names, since
}

// payloadRate is what 20 Mbit/s make in payload, in kbit/s.
const payloadRate = 20_000 * 1448 / 1514

func bbrVoyage(rtt, queue int, span tcp.Duration) *voyage {
	return &voyage{goodputRow: goodputRow{congestion: tcp.BBR, rtt: rtt}, queue: queue, span: span}
}

// The states come in the order of https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.1.1, and startup is over when
// the pipe is full. Five seconds after the least round trip was seen probe_rtt looks for a lower one, with half of what the
// path holds in flight, and goes back to cruising.
func TestBBRStates(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(20, 4, 8*tcp.Second)
	v.sail(t)
	names, since := v.states()
	want := []string{"startup", "drain", "probe_bw:cruise", "probe_bw:refill", "probe_bw:up", "probe_bw:down", "probe_bw:cruise"}
	if len(names) < len(want) || !slices.Equal(names[:len(want)], want) || since[1] > 300*ms {
		t.Errorf("%v at %v", names, since)
	}
	var dips []tcp.Duration
	for i, name := range names {
		if name != "probe_rtt" {
			continue
		}
		dips = append(dips, since[i])
		if i+1 < len(names) {
			if took := since[i+1] - since[i]; took < 200*ms || took > 300*ms || names[i+1] != "probe_bw:cruise" {
				t.Errorf("probe_rtt for %d ms, then %s", took/ms, names[i+1])
			}
			if st := v.at(since[i+1] - ms).stats; st.InFlight > goodputRate/1000*20/2+1448 {
				t.Errorf("%d bytes in flight in probe_rtt", st.InFlight)
			}
		}
	}
	if len(dips) != 1 || dips[0] < 5*tcp.Second || dips[0] > 5300*ms {
		t.Errorf("probe_rtt at %v ns", dips)
	}
	if rate := v.rate(tcp.Second, 8*tcp.Second); rate < payloadRate*95/100 {
		t.Errorf("%d of %d kbit/s", rate, payloadRate)
	}
}

// A path that gets shorter by itself needs no probe_rtt.
func TestBBRNoProbeRTTWhileTheRoundTripFalls(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(40, 4, 8*tcp.Second)
	v.edit = func(t *Trial) {
		for i := range 8 {
			t.At = append(t.At, Action{tcp.Duration(i) * tcp.Second, func(r *Run) { r.Forward.SetDelay(20*ms - tcp.Duration(i)*ms) }})
		}
	}
	v.sail(t)
	if names, since := v.states(); slices.Contains(names, "probe_rtt") {
		t.Errorf("%v at %v", names, since)
	}
}

// The queue stays short however long it may get; CUBIC, the control, fills it.
func TestBBRQueue(t *testing.T) {
	t.Parallel()
	const bdp = int(goodputRate) * 20 / 1000 / 1500
	v := bbrVoyage(20, 32, 12*tcp.Second)
	v.sail(t)
	if q := v.mean(2 * tcp.Second); q > bdp/2 {
		t.Errorf("%d packets in the queue on average, the path holds %d", q, bdp)
	}
	for _, s := range v.log {
		if s.waiting > bdp*3/2 {
			t.Fatalf("%d packets in the queue at %d ms", s.waiting, s.at/ms)
		}
	}
	if rate := v.rate(2*tcp.Second, 12*tcp.Second); rate < payloadRate*95/100 {
		t.Errorf("%d of %d kbit/s", rate, payloadRate)
	}
	c := &voyage{goodputRow: goodputRow{congestion: tcp.Cubic, rtt: 20}, queue: 32, span: 12 * tcp.Second}
	c.sail(t)
	if q := c.mean(2 * tcp.Second); q < 4*bdp {
		t.Errorf("cubic: %d packets in the queue on average: this test sees nothing", q)
	}
}

// Random loss is no congestion as long as it is below 2 % of what is in flight. Where that is a few dozen
// segments one of them is more already, and each round trip with a loss costs a percent or more until the next
// probe. CUBIC is the control.
func TestBBRRandomLoss(t *testing.T) {
	t.Parallel()
	lossy := func(t *Trial) { t.Forward.Loss = 0.01 }
	for rtt, least := range map[int]int{5: 90, 20: 55, 80: 75} {
		v := bbrVoyage(rtt, 4, 12*tcp.Second)
		v.edit = lossy
		v.sail(t)
		if rate := v.rate(2*tcp.Second, 12*tcp.Second); rate < payloadRate*least/100 {
			t.Errorf("RTT %d ms: %d of %d kbit/s", rtt, rate, payloadRate)
		}
	}
	v := &voyage{goodputRow: goodputRow{congestion: tcp.Cubic, rtt: 80}, queue: 4, span: 12 * tcp.Second, edit: lossy}
	v.sail(t)
	if rate := v.rate(2*tcp.Second, 12*tcp.Second); rate > payloadRate*15/100 {
		t.Errorf("cubic makes %d of %d kbit/s: this test sees nothing", rate, payloadRate)
	}
}

// A path that gets ten times as fast is used after a few probes; that one got ten times slower is believed when two
// cycles have shown it, which take longer on a slow path.
func TestBBRPathChanges(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(20, 16, 24*tcp.Second)
	v.edit = func(t *Trial) {
		t.Forward.Rate = goodputRate / 10
		t.At = append(t.At, Action{4 * tcp.Second, func(r *Run) { r.Forward.SetRate(goodputRate) }},
			Action{12 * tcp.Second, func(r *Run) { r.Forward.SetRate(goodputRate / 10) }})
	}
	v.sail(t)
	for _, c := range []struct {
		from        tcp.Duration
		rate, least int
	}{{3 * tcp.Second, payloadRate / 10, 90}, {9 * tcp.Second, payloadRate, 90}, {22 * tcp.Second, payloadRate / 10, 85}} {
		if rate := v.rate(c.from, c.from+tcp.Second); rate < c.rate*c.least/100 {
			t.Errorf("%d of %d kbit/s at %d s", rate, c.rate, c.from/tcp.Second)
		}
	}
	if pace := int(v.at(23*tcp.Second).stats.PacingRate * 8 / 1000); pace > payloadRate/10*3/2 {
		t.Errorf("a pace of %d kbit/s, and the path has %d", pace, payloadRate/10)
	}
}

// ACKs that come together every 30 ms, half as long again as the round trip, leave no pauses: the window allows for them
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.9).
func TestBBRAggregation(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(20, 16, 12*tcp.Second)
	v.edit = func(t *Trial) { t.Back.Gather = 30 * ms }
	v.sail(t)
	if rate := v.rate(2*tcp.Second, 12*tcp.Second); rate < payloadRate*9/10 {
		t.Errorf("%d of %d kbit/s", rate, payloadRate)
	}
}

// A policer without a queue is obeyed: little is lost, and most of its rate is used.
func TestBBRPolicer(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(20, 16, 20*tcp.Second)
	v.edit = func(t *Trial) {
		t.Forward.Rate, t.Forward.Police, t.Forward.Allow = 10*goodputRate, goodputRate, 30_000
	}
	r := v.sail(t)
	if rate := v.rate(4*tcp.Second, 20*tcp.Second); rate < payloadRate*75/100 {
		t.Errorf("%d of %d kbit/s", rate, payloadRate)
	}
	if st := r.Forward.Stats(); st.Policed*100 > st.Sent*5 {
		t.Errorf("%d of %d packets lost", st.Policed, st.Sent)
	}
}

// A path that holds less than a packet is used too: four segments are in flight, however few it holds.
func TestBBRTinyPath(t *testing.T) {
	t.Parallel()
	v := bbrVoyage(1, 16, 60*tcp.Second)
	v.edit = func(t *Trial) { t.Forward.Rate, t.Forward.Queue = 64_000/8, 100 }
	v.sail(t)
	if rate := v.rate(20*tcp.Second, 60*tcp.Second); rate < 64*1448/1514*9/10 {
		t.Errorf("%d kbit/s", rate)
	}
	if st := v.at(50 * tcp.Second).stats; st.Cwnd > 16*1448 || st.Cwnd < 4*1448 {
		t.Errorf("a window of %d bytes", st.Cwnd)
	}
}

// Beside CUBIC neither starves, in a queue of one bandwidth-delay product.
func TestBBRBesideCubic(t *testing.T) {
	if testing.Short() {
		t.Skip("transfers of 75 MB: not with -short")
	}
	for _, c := range []contest{
		{first: tcp.BBR, second: tcp.Cubic, rtt: 20},
		{first: tcp.BBR, second: tcp.Cubic, rtt: 80},
		{first: tcp.Cubic, second: tcp.BBR, rtt: 20, late: 10 * tcp.Second},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			for seed := *first; seed < *first+2; seed++ {
				percent, rate := c.share(t, seed)
				t.Logf("seed %d: %d:%d of %d kbit/s", seed, percent, 100-percent, rate)
				if percent < 15 || percent > 85 || rate < 16_000 {
					t.Errorf("seed %d: %d:%d of %d kbit/s", seed, percent, 100-percent, rate)
				}
			}
		})
	}
}
