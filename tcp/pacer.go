package tcp

// pacer spreads transmissions so that they do not exceed a rate. There is no
// timer per packet: what the rate allows within the burst goes at once.
type pacer struct {
	rate uint64 // payload bytes per second; 0 = no limit
	next Time   // when the next byte may go
	rest uint64 // what next lacks of it, in nanoseconds / rate: at 100 Gbit/s they make a percent
}

// paceBurst is how much credit may be saved up while nothing is sent: more than a
// poller sleeps and a busy machine keeps it from running, so that the mean is the rate.
const paceBurst = 10 * Millisecond

func (p *pacer) ready(now Time) bool { return p.rate == 0 || p.next <= now }

func (p *pacer) sent(now Time, n int) {
	if p.rate == 0 {
		return
	}
	p.next = max(p.next, now-paceBurst)
	p.rest += uint64(n) * uint64(Second) // n is at most a packet: far below 2^63
	p.next += Time(p.rest / p.rate)
	p.rest %= p.rate
}
