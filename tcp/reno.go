package tcp

import "math"

// reno is slow start and congestion avoidance as in
// https://www.rfc-editor.org/rfc/rfc5681#section-3.1, with appropriate byte counting
// (https://www.rfc-editor.org/rfc/rfc3465).
type reno struct {
	mss      int
	cwnd     int
	ssthresh int
	hy       hystart
	credit   int // bytes ACKed in congestion avoidance, not yet turned into window

	savedCwnd, savedSsthresh int
	savedHy                  hystart
}

func (r *reno) start(_ Time, mss, segments int) {
	*r = reno{mss: mss, cwnd: mss * segments, ssthresh: math.MaxInt}
}

func (r *reno) setMSS(mss int)     { r.mss = mss }
func (r *reno) window() int        { return r.cwnd }
func (r *reno) memory() int        { return 2 * r.cwnd }
func (r *reno) threshold() int     { return r.ssthresh }
func (r *reno) proportional() bool { return true }

func (r *reno) pacing(srtt Duration) uint64 { return windowRate(r.cwnd, srtt) }

func (r *reno) onAck(a *sample) {
	acked := a.grow + a.recovered // the latter as in Linux: it is the first of congestion avoidance
	if r.cwnd < r.ssthresh {
		// Slow start grows by what was ACKed; what leads past the threshold counts below.
		n := min(acked, r.ssthresh-r.cwnd)
		grow, leave := r.hy.grow(a, n)
		r.cwnd += grow
		acked -= n
		if leave {
			r.ssthresh = r.cwnd
		}
	}
	r.credit += acked
	for r.credit >= r.cwnd {
		r.credit -= r.cwnd
		r.cwnd += r.mss
	}
	r.cwnd = min(r.cwnd, maxCwnd)
}

// onLoss halves (https://www.rfc-editor.org/rfc/rfc5681#section-3.2, equation 4), to whole segments:
// half a segment more is never sent, and makes each step of congestion avoidance longer.
func (r *reno) onLoss(_ Time, flight int) {
	r.ssthresh = max(flight/(2*r.mss)*r.mss, 2*r.mss)
	r.hy.done = true
	r.credit = 0
}

// onCE takes a fifth (https://www.rfc-editor.org/rfc/rfc8511#section-3), to whole segments: who marks keeps its queue
// short, and half a window would leave it empty. In slow start the window may be twice what the path carries, mark or
// loss.
func (r *reno) onCE(now Time, flight int) {
	slow := r.cwnd < r.ssthresh
	r.onLoss(now, flight)
	if !slow {
		r.ssthresh = max(flight*4/(5*r.mss)*r.mss, 2*r.mss)
	}
}

// onTimeout goes back to one segment; the threshold falls once per loss event.
func (r *reno) onTimeout(now Time, flight int, first bool) {
	if first {
		r.onLoss(now, flight)
	}
	r.cwnd, r.credit = r.mss, 0
}

func (r *reno) setWindow(bytes int) { r.cwnd = max(bytes, r.mss) }
func (r *reno) onRecovered(Time)    { r.cwnd = max(r.ssthresh, r.mss) }
func (r *reno) onRestart(Time) bool { return false }

func (r *reno) save() { r.savedCwnd, r.savedSsthresh, r.savedHy = r.cwnd, r.ssthresh, r.hy }

// undo is https://www.rfc-editor.org/rfc/rfc4015#section-3.2.
func (r *reno) undo(Time) {
	r.cwnd, r.ssthresh, r.hy = max(r.cwnd, r.savedCwnd), max(r.ssthresh, r.savedSsthresh), r.savedHy
}

// onIdle keeps the threshold near the window that worked, so that slow start leads back to it
// (https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3 has the same three quarters).
func (r *reno) onIdle(_ Time, restart int) {
	if r.cwnd > restart {
		r.ssthresh = max(r.ssthresh, r.cwnd/4*3)
		r.cwnd, r.credit = restart, 0
	}
}
