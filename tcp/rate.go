package tcp

// rateState counts what was delivered, so that a delivery rate can be taken from any
// segment that arrives: https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr-04#section-4.1.
type rateState struct {
	delivered     uint64 // bytes that the peer has, by ACK or SACK
	deliveredTime Time   // when that last grew
	firstSent     Time   // when the segment was sent that was delivered last
	appLimited    uint64 // delivered at which the last lull of the writer is behind us; 0 = there was none
	best          uint64 // bytes per second: the last sample that says something about the path
	losses        lossState
}

// rateStamp is rateState as it was when a segment was sent.
type rateStamp struct {
	delivered     uint64
	deliveredTime Time
	firstSent     Time
	lost          uint64
	inFlight      int // with this segment
	appLimited    bool
}

// rateSample is a delivery rate: bytes delivered between the transmission of a
// segment and now.
type rateSample struct {
	delivered      int
	interval       Duration // 0: the sample says nothing
	priorDelivered uint64   // delivered when the segment was sent
	total          uint64   // delivered now
	lost           int      // marked lost between then and now
	txInFlight     int      // in flight when it was sent, itself included
	appLimited     bool     // it was sent while the writer had nothing more
	rtt            Duration // of that segment; 0 = it was sent more than once

	sent      Time // of the segment that the sample is of: the one sent last
	end       Seq
	priorTime Time
	priorLost uint64
	elapsed   Duration // from firstSent to sent
}

// perSecond is the rate in bytes per second.
func (s *rateSample) perSecond() uint64 {
	if s.interval <= 0 {
		return 0
	}
	return uint64(s.delivered) * uint64(Second) / uint64(s.interval)
}

// stamp notes the state of things in a segment that is being sent; idle says that
// nothing else is in flight.
func (r *rateState) stamp(now Time, st *rateStamp, inFlight int, idle bool) {
	if idle {
		r.firstSent, r.deliveredTime = now, now
	}
	*st = rateStamp{delivered: r.delivered, deliveredTime: r.deliveredTime, firstSent: r.firstSent,
		lost: r.losses.lost, inFlight: inFlight, appLimited: r.appLimited != 0}
}

// arrived counts slot s as delivered. The sample is that of the segment sent last.
func (r *rateState) arrived(now Time, s *slot, sm *rateSample) {
	r.delivered += uint64(s.seqLen())
	r.deliveredTime = now
	if s.sent < sm.sent || s.sent == sm.sent && s.end().AtMost(sm.end) {
		return
	}
	st := &s.rate
	sm.sent, sm.end = s.sent, s.end()
	sm.priorDelivered, sm.priorTime, sm.priorLost = st.delivered, st.deliveredTime, st.lost
	sm.txInFlight, sm.appLimited = st.inFlight, st.appLimited
	sm.elapsed = s.sent - st.firstSent
	sm.rtt = 0
	if s.xmits == 1 && !s.has(slotReneged) {
		sm.rtt = max(now-s.sent, 1)
	}
	r.firstSent = s.sent
}

// finish completes the sample of an ACK. One that is shorter than any round trip is
// of a segment whose earlier transmission arrived.
func (r *rateState) finish(sm *rateSample, minRTT Duration) {
	if r.appLimited != 0 && r.delivered > r.appLimited {
		r.appLimited = 0
	}
	sm.total = r.delivered
	if sm.sent == 0 {
		return
	}
	sm.delivered = int(r.delivered - sm.priorDelivered)
	sm.lost = int(r.losses.lost - sm.priorLost)
	sm.interval = max(sm.elapsed, r.deliveredTime-sm.priorTime)
	if sm.interval < minRTT {
		sm.interval = 0
		return
	}
	if rate := sm.perSecond(); !sm.appLimited || rate > r.best {
		r.best = rate
	}
}
