package dataplane

// Counters is what a poller counted since New. Descriptors add up: Submitted =
// Completed + Quarantined + Out.
type Counters struct {
	Submitted   uint64 // descriptors put on the TX ring
	Completed   uint64 // descriptors that the kernel gave back
	Quarantined uint64 // descriptors that a dead queue never gave back
	Out         uint64 // descriptors that the kernel has now
	Spurious    uint64 // completions of frames that the kernel did not hold: not believed
	Duplicate   uint64 // those of an address that was completed already, see Ledger: not believed
	OutOfRange  uint64 // completions of addresses outside the pool: not believed
	Late        uint64 // completions of payload that was ACKed already
	NotSent     uint64 // descriptors completed and refused, a few milliseconds old at most
	Kept        uint64 // at the end: frames that writers had reserved and not given back
	Untaken     uint64 // at the end: releases that their writer did not take

	Kicks      [KickDead + 1]uint64 // by what the doorbell answered
	Rebuilds   uint64               // times the queue was opened again
	RebuildTry uint64               // attempts at that

	RxPackets    uint64 // descriptors taken from the RX ring
	RxTCP        uint64 // segments handed to a connection
	RxICMP       uint64 // ICMP errors handed to a connection
	RxOtherQueue uint64 // of both: arrived on another poller's queue
	RxStrayLost  uint64 // packets of another poller that the ring to it had no room for
	RxUnknown    uint64 // segments and errors of no connection of ours
	RxChecksum   uint64 // dropped: wrong checksum
	RxBad        uint64 // dropped: short, contradictory, or a fragment
	RxOther      uint64 // dropped: neither TCP nor an ICMP error about it
	RxFault      uint64 // descriptors whose address or length the kernel got wrong
	RxStarved    uint64 // times the fill ring could not be filled up

	Commits       uint64 // commits admitted
	Releases      uint64 // releases given out, one for each commit
	Aborts        uint64 // those among them whose bytes were given up
	BytesWritten  uint64 // payload committed
	BytesReleased uint64 // payload released because it was ACKed, or too early
	BytesAborted  uint64 // payload given up
	BytesDemoted  uint64 // payload released because it is in the arena, before its ACK
	LentWhileHeld uint64 // payload released while the frame was held: 0 with ReleaseAck
	Parked        uint64 // commits that had to wait for room in their connection
	TapLost       uint64 // packets that the tap had no room for

	Demotions    uint64 // times that a stream's peer stood still for so long that what it holds went to the arena
	HoldAborts   uint64 // streams reset because their peer stood still for longer than that, or the arena was full
	ArenaSize    uint64 // bytes
	ArenaUsed    uint64 // bytes, in whole blocks, now
	ArenaPeak    uint64 // the most that ArenaUsed was; over several pollers the sum of theirs
	ArenaCopied  uint64 // payload that went to the arena, from the first segment that was not ACKed on
	ArenaAcked   uint64 // of it, ACKed
	ArenaAborted uint64 // of it, given up; ArenaCopied = ArenaAcked + ArenaAborted + what is there
}

// publish makes the counters visible to other goroutines.
func (p *Poller) publish() {
	p.counters.Out = uint64(p.flights.out)
	p.sums.publish()
	p.noteRefused()
	p.showArena()
	p.shown.mu.Lock()
	p.shown.counters = p.counters
	p.shown.mu.Unlock()
}

// Counters is a snapshot, a few milliseconds old while Run runs and exact after it
// ended. Any goroutine may call it.
func (p *Poller) Counters() Counters {
	p.shown.mu.Lock()
	defer p.shown.mu.Unlock()
	return p.shown.counters
}

// CountersNow is exact; for the poller's goroutine.
func (p *Poller) CountersNow() Counters {
	p.counters.Out = uint64(p.flights.out)
	p.showArena()
	return p.counters
}

// Add adds the counters of another poller.
func (c *Counters) Add(o Counters) {
	for _, f := range []struct {
		sum *uint64
		n   uint64
	}{
		{&c.Submitted, o.Submitted}, {&c.Completed, o.Completed}, {&c.Quarantined, o.Quarantined}, {&c.Out, o.Out},
		{&c.Spurious, o.Spurious}, {&c.Duplicate, o.Duplicate}, {&c.Late, o.Late}, {&c.NotSent, o.NotSent}, {&c.Kept, o.Kept}, {&c.Untaken, o.Untaken}, {&c.OutOfRange, o.OutOfRange}, {&c.Rebuilds, o.Rebuilds}, {&c.RebuildTry, o.RebuildTry},
		{&c.RxPackets, o.RxPackets}, {&c.RxOtherQueue, o.RxOtherQueue}, {&c.RxStrayLost, o.RxStrayLost}, {&c.RxTCP, o.RxTCP}, {&c.RxICMP, o.RxICMP}, {&c.RxUnknown, o.RxUnknown},
		{&c.RxChecksum, o.RxChecksum}, {&c.RxBad, o.RxBad}, {&c.RxOther, o.RxOther}, {&c.RxFault, o.RxFault},
		{&c.RxStarved, o.RxStarved}, {&c.Commits, o.Commits}, {&c.Releases, o.Releases}, {&c.Aborts, o.Aborts},
		{&c.BytesWritten, o.BytesWritten}, {&c.BytesReleased, o.BytesReleased}, {&c.BytesAborted, o.BytesAborted},
		{&c.LentWhileHeld, o.LentWhileHeld}, {&c.Parked, o.Parked}, {&c.TapLost, o.TapLost},
		{&c.BytesDemoted, o.BytesDemoted}, {&c.Demotions, o.Demotions}, {&c.HoldAborts, o.HoldAborts},
		{&c.ArenaSize, o.ArenaSize}, {&c.ArenaUsed, o.ArenaUsed}, {&c.ArenaPeak, o.ArenaPeak},
		{&c.ArenaCopied, o.ArenaCopied}, {&c.ArenaAcked, o.ArenaAcked}, {&c.ArenaAborted, o.ArenaAborted},
	} {
		*f.sum += f.n
	}
	for i, n := range o.Kicks {
		c.Kicks[i] += n
	}
}
