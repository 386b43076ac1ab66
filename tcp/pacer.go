package tcp

// pacer spreads transmissions so that they do not exceed a rate: that of congestion
// control, and the cap of the configuration. There is no timer per packet: a quantum of
// a millisecond goes at once.
type pacer struct {
	limit  uint64 // Config.Rate, payload bytes per second; 0 = no cap
	rate   uint64 // in force; 0 = not paced
	free   int    // bytes of the initial window, which goes at once (https://www.rfc-editor.org/rfc/rfc6928#section-2)
	next   Time   // when all that was sent is paid for
	wake   Time   // when the next quantum may go
	waited bool   // since something had to wait for its turn, the pacer was never idle
	rest   uint64 // what next lacks of it, in nanoseconds / rate: at 100 Gbit/s they make a percent
}

const (
	// paceQuantum is how far ahead of the rate packets go at once, and maxQuantum how many bytes.
	paceQuantum = Millisecond
	maxQuantum  = 64 << 10
	// paceLate is how much of the time that a packet had to wait for its turn, and then
	// for whoever calls us, is made up: a late wakeup must not lower the mean rate.
	paceLate = 50 * Millisecond
)

// set takes the rate that congestion control asks for; 0 = any.
func (p *pacer) set(rate uint64) {
	p.rate = rate
	if p.limit > 0 && (rate == 0 || p.limit < rate) {
		p.rate = p.limit
	}
	p.rest = min(p.rest, p.rate) // a nanosecond at most, whatever the rate was
}

func (p *pacer) ready(now Time) bool { return p.rate == 0 || p.wake <= now }

func (p *pacer) sent(now Time, n int) {
	if p.limit == 0 && p.free > 0 {
		p.free -= n
		return
	}
	if p.rate == 0 {
		return
	}
	credit := Duration(0)
	if p.waited {
		credit = paceLate
	}
	p.next = max(p.next, now-credit)
	p.rest += uint64(n) * uint64(Second) // n is at most a packet: far below 2^63
	took := Time(p.rest / p.rate)
	p.next += took
	p.rest %= p.rate
	if p.next > now+p.quantum(took) {
		p.wake = p.next
	}
}

// quantum is how far ahead of the rate packets may go, of which the last took so long. Two go
// together in any case unless the cap is what holds them up: a receiver that ACKs every
// second one would wait for it.
func (p *pacer) quantum(took Duration) Duration {
	q := min(paceQuantum, Duration(maxQuantum*uint64(Second)/p.rate))
	if p.rate != p.limit {
		q = max(q, took)
	}
	return q
}

// windowRate is the rate that spreads a window over half a round trip: bursts get shorter,
// and the window remains what limits. Less costs goodput under loss: with a fifth more than a
// window per round trip, as Linux has it with sch_fq, 4 % of it at 1 % loss.
func windowRate(cwnd int, srtt Duration) uint64 {
	if srtt <= 0 {
		return 0
	}
	return max(1, 2*uint64(cwnd)*uint64(Second)/uint64(srtt))
}

// setPace follows the congestion control.
func (c *Conn) setPace() {
	if !c.cfg.NoPacing {
		c.pace.set(c.cc.pacing(c.rtt.srtt))
	}
}
