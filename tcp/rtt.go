package tcp

// rttState is the smoothed round-trip time, https://www.rfc-editor.org/rfc/rfc6298#section-2.
type rttState struct {
	srtt   Duration
	rttvar Duration
	rto    Duration
	floor  Duration
	last   Duration // the last sample
	have   bool
}

func (r *rttState) init(floor Duration) { *r = rttState{rto: max(initialRTO, floor), floor: floor} }

// sample takes one measurement. As in Linux the variance term has a floor of its
// own, so that the timeout is never below srtt plus the floor: delayed ACKs of 40 ms
// and more are ordinary and must not look like loss.
func (r *rttState) sample(d Duration) {
	d = max(d, 1)
	r.last = d
	if !r.have {
		r.have = true
		r.srtt, r.rttvar = d, d/2
	} else {
		diff := r.srtt - d
		if diff < 0 {
			diff = -diff
		}
		r.rttvar += (diff - r.rttvar) / 4
		r.srtt += (d - r.srtt) / 8
	}
	r.rto = min(r.srtt+max(4*r.rttvar, r.floor, clockGranular), maxRTO)
}
