package tcp

// pacer spreads transmissions so that they do not exceed a rate. There is no
// timer per packet: what the rate allows within the burst goes at once.
type pacer struct {
	rate uint64 // payload bytes per second; 0 = no limit
	next Time   // when the next byte may go
}

// paceBurst is how much credit may be saved up while nothing is sent.
const paceBurst = Millisecond

func (p *pacer) ready(now Time) bool { return p.rate == 0 || p.next <= now }

func (p *pacer) sent(now Time, n int) {
	if p.rate == 0 {
		return
	}
	p.next = max(p.next, now-paceBurst)
	// n is at most a packet, so that the product stays far below 2^63.
	p.next += Time(uint64(n) * uint64(Second) / p.rate)
}
