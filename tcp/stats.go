package tcp

// Stats is what a connection counted since New.
type Stats struct {
	SegmentsOut, SegmentsIn uint64
	BytesSent               uint64 // payload, first transmissions
	BytesAcked              uint64 // payload covered by the cumulative ACK
	BytesReceived           uint64 // payload from the peer: ACKed, counted and thrown away
	Retransmits             uint64 // segments sent again
	RetransmitsHeld         uint64 // put off because the kernel held the last transmission
	Lost                    uint64 // segments marked lost
	Recoveries              uint64 // fast recoveries
	SpuriousRecoveries      uint64 // of those, needless and undone
	Timeouts                uint64 // retransmission timeouts
	SpuriousTimeouts        uint64 // of those, needless and undone
	TimeoutsHeld            uint64 // timeouts put off because the kernel held the segment
	Reneged                 uint64 // times the peer took SACKs back
	DSACKs                  uint64
	CWRReductions           uint64 // times that the window was reduced for marks of congestion
	ECEs                    uint64 // ACKs that echoed one
	CEs                     uint64 // segments from the peer that bore one
	Probes                  uint64 // zero-window probes
	KeepAlives              uint64 // keepalive probes
	CanaryProbes            uint64 // probes of whether checksums that are asked for are computed
	BlackHoles              uint64 // times that packets were made smaller because none of the large ones arrived
	TailProbes              uint64 // tail loss probes
	TailProbesHeld          uint64 // put off because the kernel held the segment
	TailLosses              uint64 // losses that a tail loss probe repaired
	Splits                  uint64 // tails copied because they cannot be sent in place
	Cuts                    uint64 // segments cut
	NoFrame                 uint64 // times the reserve was empty
	OutOfWindow             uint64 // segments outside the receive window
	PAWS                    uint64 // segments refused by their timestamp
	NoTimestamp             uint64 // segments dropped that lack the agreed timestamp
	ResetsIn                uint64
	Challenges              uint64 // challenge ACKs
	Refusals                uint64 // resets in answer to ACKs of a former connection, while opening
	Demotions               uint64 // times that the peer stood still for so long that what is queued went to the arena
	BytesDemoted            uint64 // payload that did
	BytesDemotedAcked       uint64 // of it, ACKed since
	BytesDemotedAborted     uint64 // of it, given up with the connection
	ArenaSegments           uint64 // segments sent from the arena
	ArenaWaits              uint64 // times that one waited for a frame to be sent in
	ChallengesLimited       uint64 // challenge ACKs not sent
	ICMPIgnored             uint64 // errors that quote nothing outstanding, or say nothing new
	ICMPSoft                uint64 // errors counted only

	PathMTU    int // learnt from ICMP, or from its absence; 0 = never
	Cwnd       int // bytes
	Ssthresh   int // bytes
	InFlight   int // bytes
	SendWindow int // the peer's window, bytes
	Demoted    int // payload bytes in the arena
	MSS        int
	SRTT       Duration
	RTTVar     Duration
	MinRTT     Duration
	RTO        Duration
	Reordering int    // segments: how far behind others one arrived; 3 = not seen
	Delivered  uint64 // bytes that the peer has, by ACK or SACK
	PacingRate uint64 // payload bytes per second; 0 = not paced
	Rate       uint64 // delivery rate, bytes per second: the last sample that says something about the path
	Phase      string // of loss recovery: open, recovery, loss; or cwr: slowing down for a mark of congestion
	ECN        bool   // agreed upon
	Canary     Verdict
	ECNGivenUp bool // and not used any more: what was marked as capable did not arrive, or every ACK echoed
	State      State
	Congestion Congestion
	// CongestionState is the congestion control's own, for people: slow-start or
	// avoidance, or what it says itself. In fast recovery, which Phase tells, neither is at work.
	CongestionState string
}

// Stats is a snapshot of the counters and of the state beside them.
func (c *Conn) Stats() Stats {
	s := c.stats
	s.Cwnd, s.Ssthresh, s.InFlight = c.cc.window(), c.cc.threshold(), c.inFlight()
	s.SendWindow, s.MSS, s.Demoted = int(c.sndWnd), c.mss, c.hold.bytes
	s.SRTT, s.RTTVar, s.RTO, s.MinRTT = c.rtt.srtt, c.rtt.rttvar, c.rtt.rto, c.rack.minRTT
	s.Reordering = max(dupThresh, c.rack.degree/c.mss)
	s.Delivered, s.Rate, s.PacingRate = c.rate.delivered, c.rate.best, c.pace.rate
	s.Phase, s.State, s.Congestion = c.recovery.phase.String(), c.state, c.cfg.Congestion
	s.ECN, s.Canary = c.ecn.agreed, c.canary.verdict
	s.CongestionState = c.congestionState()
	return s
}

// congestionState asks a congestion control that has other states than slow start and
// congestion avoidance (https://www.rfc-editor.org/rfc/rfc5681#section-3.1).
func (c *Conn) congestionState() string {
	if cc, ok := c.cc.(interface{ state() string }); ok {
		return cc.state()
	}
	if c.cc.window() < c.cc.threshold() {
		return "slow-start"
	}
	return "avoidance"
}
