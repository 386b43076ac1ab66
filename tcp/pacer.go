package tcp

// pacer spreads transmissions so that they do not exceed a rate. There is no
// timer per packet: what the rate allows within the burst goes at once.
type pacer struct {
	rate   uint64 // payload bytes per second; 0 = no limit
	next   Time   // when the next byte may go
	waited bool   // since something had to wait for next, the pacer was never idle
	rest   uint64 // what next lacks of it, in nanoseconds / rate: at 100 Gbit/s they make a percent
}

const (
	// paceBurst is how much credit may be saved up while nothing is there to be sent.
	paceBurst = Millisecond
	// paceLate is how much of the time that a packet had to wait for its turn, and then
	// for whoever calls us, is made up: a late wakeup must not lower the mean rate.
	paceLate = 50 * Millisecond
)

func (p *pacer) ready(now Time) bool { return p.rate == 0 || p.next <= now }

func (p *pacer) sent(now Time, n int) {
	if p.rate == 0 {
		return
	}
	credit := Duration(paceBurst)
	if p.waited {
		credit = paceLate
	}
	p.next = max(p.next, now-credit)
	p.rest += uint64(n) * uint64(Second) // n is at most a packet: far below 2^63
	p.next += Time(p.rest / p.rate)
	p.rest %= p.rate
}
