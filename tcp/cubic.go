package tcp

import "math"

// cubic is https://www.rfc-editor.org/rfc/rfc9438 in integers. Windows are bytes, times
// milliseconds from the beginning of the epoch; C is 0.4 segments per second cubed,
// beta 0.7.
type cubic struct {
	mss   int
	saved cubicState
	cubicState
}

// cubicState is what a needless reduction must not change
// (https://www.rfc-editor.org/rfc/rfc9438#section-4.9.1).
type cubicState struct {
	cwnd     int
	ssthresh int
	hy       hystart

	wMax   int  // window before the last reduction, less where that came early (section 4.7)
	prior  int  // cwndPrior: window before the last reduction
	epoch  Time // when congestion avoidance began; 0 = it has not
	k      int64
	origin int  // window at which the curve is flat
	wEst   int  // what Reno would have
	rest   int  // growth of cwnd that is less than a byte, times cwnd
	restW  int  // growth of wEst, likewise
	last   Time // when something new was ACKed last, or what came after was taken for a pause
}

const (
	betaNum, betaDen = 7, 10   // what a loss leaves of the window
	markNum, markDen = 85, 100 // and what a mark does
	// alpha of section 4.3: 3 (1 - beta) / (1 + beta).
	alphaNum, alphaDen = 9, 17
	// cubicSpan bounds times, so that their cubes fit: a curve of a quarter of an hour
	// leads past every window.
	cubicSpan = 1_000_000
)

func (c *cubic) start(_ Time, mss, segments int) {
	*c = cubic{mss: mss, cubicState: cubicState{cwnd: mss * segments, ssthresh: math.MaxInt}}
}

func (c *cubic) setMSS(mss int)       { c.mss = mss }
func (c *cubic) window() int          { return c.cwnd }
func (c *cubic) memory() int          { return 2 * c.cwnd }
func (c *cubic) threshold() int       { return c.ssthresh }
func (c *cubic) proportional() bool   { return true }
func (c *cubic) setWindow(bytes int)  { c.cwnd = max(bytes, c.mss) }
func (c *cubic) onRecovered(now Time) { c.cwnd = max(c.ssthresh, c.mss) }

func (c *cubic) pacing(srtt Duration) uint64 { return windowRate(c.cwnd, srtt) }

func (c *cubic) onAck(a *sample) {
	c.lull(a)
	acked := a.grow
	if c.cwnd < c.ssthresh {
		// What leads past the threshold counts in congestion avoidance.
		n := min(acked, c.ssthresh-c.cwnd)
		grow, leave := c.hy.grow(a, n)
		c.cwnd = min(c.cwnd+grow, maxCwnd)
		acked -= n
		if leave {
			c.ssthresh = c.cwnd
		}
	}
	if acked > 0 {
		c.avoid(a.now, a.srtt, acked)
	}
}

// lull takes out of the epoch the time since the last ACK, if it was the writer who kept the
// window from growing (https://www.rfc-editor.org/rfc/rfc9438#section-5.8).
func (c *cubic) lull(a *sample) {
	if a.acked == 0 {
		return
	}
	if a.grow == 0 {
		c.pause(a.now)
	}
	c.last = a.now
}

// avoid is congestion avoidance.
func (c *cubic) avoid(now Time, rtt Duration, acked int) {
	if c.epoch == 0 {
		c.begin(now)
	}
	c.estimate(acked)
	t := int64((now - c.epoch) / Millisecond)
	if c.at(t) < c.wEst { // https://www.rfc-editor.org/rfc/rfc9438#section-4.3
		c.cwnd = min(max(c.cwnd, c.wEst), maxCwnd)
		return
	}
	// https://www.rfc-editor.org/rfc/rfc9438#section-4.2: where the curve will be in a round trip, but
	// no more than half a window away.
	target := min(max(c.at(t+int64(rtt/Millisecond)), c.cwnd), c.cwnd+c.cwnd/2)
	c.rest += (target - c.cwnd) * acked
	grow := c.rest / c.cwnd
	c.rest -= grow * c.cwnd
	c.cwnd = min(c.cwnd+grow, maxCwnd)
}

// begin starts an epoch (https://www.rfc-editor.org/rfc/rfc9438#section-4.2, figure 2).
func (c *cubic) begin(now Time) {
	c.epoch, c.rest, c.restW = now, 0, 0
	c.wEst = c.cwnd
	c.origin, c.k = c.cwnd, 0
	if c.cwnd < c.wMax {
		c.origin = c.wMax
		// K^3 = (wMax - cwnd) / C: in ms^3 that is 2.5 * 10^9 for each segment.
		c.k = cubeRoot(uint64(c.wMax-c.cwnd) * 2_500_000_000 / uint64(c.mss))
	}
}

// at is W_cubic at t ms from the beginning of the epoch.
func (c *cubic) at(t int64) int {
	d := min(max(t-c.k, -cubicSpan), cubicSpan)
	return c.origin + int(d*d*d/1_000_000*int64(4*c.mss)/10_000)
}

// estimate is what Reno would have with the same mean window: alpha segments per
// window, and one when it has reached the window before the reduction
// (https://www.rfc-editor.org/rfc/rfc9438#section-4.3).
func (c *cubic) estimate(acked int) {
	n := acked * c.mss
	if c.wEst < c.prior {
		n = n * alphaNum / alphaDen
	}
	c.restW += n
	grow := c.restW / c.cwnd
	c.restW -= grow * c.cwnd
	c.wEst += grow
}

func (c *cubic) onLoss(_ Time, flight int) { c.reduce(flight, betaNum, betaDen) }

// onCE leaves the 0.85 that CUBIC was found to do well with (https://www.rfc-editor.org/rfc/rfc8511#section-3.1; the 0.8 of
// section 3 is for NewReno): who marks keeps its queue short, and what a loss takes would leave it empty. In slow start the
// window may be twice what the path carries, mark or loss.
func (c *cubic) onCE(_ Time, flight int) {
	if c.cwnd < c.ssthresh {
		c.reduce(flight, betaNum, betaDen)
		return
	}
	c.reduce(flight, markNum, markDen)
}

// reduce is https://www.rfc-editor.org/rfc/rfc9438#section-4.6, with the fast convergence of 4.7.
func (c *cubic) reduce(flight, num, den int) {
	last := c.wMax
	c.prior, c.wMax, c.epoch = c.cwnd, c.cwnd, 0
	if c.cwnd < last {
		c.wMax = c.cwnd * (den + num) / (2 * den)
	}
	c.ssthresh = max(flight*num/den, 2*c.mss)
	c.hy.done = true
}

// onTimeout is https://www.rfc-editor.org/rfc/rfc9438#section-4.8: one segment, and the next
// epoch begins where congestion avoidance does.
func (c *cubic) onTimeout(now Time, flight int, first bool) {
	if first {
		c.onLoss(now, flight)
	}
	c.wMax, c.prior, c.epoch = 0, 0, 0
	c.cwnd = c.mss
}

func (c *cubic) save() { c.saved = c.cubicState }

func (c *cubic) undo(Time) {
	cwnd, last := c.cwnd, c.last
	c.cubicState = c.saved
	c.cwnd, c.last = max(cwnd, c.cwnd), last
}

// onRestart takes a pause out of the epoch (https://www.rfc-editor.org/rfc/rfc9438#section-5.8).
func (c *cubic) onRestart(now Time) bool {
	c.pause(now)
	return false
}

// onIdle goes back to the restart window.
func (c *cubic) onIdle(now Time, restart int) {
	c.pause(now)
	if c.cwnd > restart {
		c.ssthresh = max(c.ssthresh, c.cwnd/4*3) // https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3
		c.cwnd = restart
	}
}

// pause takes out of the epoch what went by since the last ACK, or the last pause.
func (c *cubic) pause(now Time) {
	if c.epoch > 0 {
		c.epoch += now - max(c.last, c.epoch)
	}
	c.last = now
}

// cubeRoot is the greatest number whose cube is at most x.
func cubeRoot(x uint64) int64 {
	var r uint64
	for s := 63; s >= 0; s -= 3 {
		r *= 2
		// (r+1)^3 - r^3
		if d := 3*r*(r+1) + 1; x>>s >= d {
			x -= d << s
			r++
		}
	}
	return int64(r)
}
