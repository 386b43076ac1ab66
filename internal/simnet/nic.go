package simnet

import (
	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Kick implements dataplane.Port: the kernel takes descriptors off the TX ring and
// gives them to the NIC. The answers are those of the errno table.
func (k *Kernel) Kick() dataplane.Kick {
	answer := k.kick()
	k.stats.Kicks[answer]++
	k.w.note('k', uint64(answer))
	return answer
}

func (k *Kernel) kick() dataplane.Kick {
	switch {
	case k.closed, k.dead() && k.cfg.DiesLoudly:
		return dataplane.KickDead
	case k.dead():
		return dataplane.KickOK // sendto() on a queue that no longer exists returns 0
	case k.down():
		return dataplane.KickDown
	}
	budget := k.cfg.Budget
	if chance(k.random, k.cfg.Again) {
		budget = k.random.IntN(budget)
	}
	for range budget {
		if len(k.ringed) == 0 {
			return dataplane.KickOK
		}
		// The kernel takes no descriptor that it could not complete.
		if k.comp.prod.Reserve(k.cfg.Ring) <= len(k.inNIC) {
			return dataplane.KickAgain
		}
		if k.next() {
			return dataplane.KickDropped
		}
	}
	if len(k.ringed) > 0 {
		return dataplane.KickAgain
	}
	return dataplane.KickOK
}

func (k *Kernel) dead() bool { return k.cfg.DiesAt > 0 && k.w.now >= k.cfg.DiesAt }

func (k *Kernel) down() bool {
	for _, s := range k.cfg.Down {
		if s.From <= k.w.now && k.w.now < s.To {
			return true
		}
	}
	return false
}

// next takes one descriptor off the TX ring, and with the last of a packet the packet. It reports that that was dropped.
func (k *Kernel) next() (dropped bool) {
	k.tx.cons.Peek(1)
	d := k.tx.cons.Take()
	k.tx.cons.Release()
	f := k.ringed[0]
	k.ringed = k.ringed[1:]
	k.inNIC = append(k.inNIC, f)
	k.stats.Taken++
	k.taking.legal = k.taking.legal && d == f.desc && len(f.copy) > 0
	k.taking.parts = append(k.taking.parts, f)
	if d.Options&packetContinues != 0 {
		return false // the rest is taken next, with another kick if the budget is used up
	}
	p := k.taking
	k.taking = gathering{legal: true}
	switch {
	case !p.legal || len(p.parts) > max(k.cfg.Segments, 1): // it comes back, addresses verbatim
		k.stats.Refused++
		k.finishAll(p)
		return false
	case chance(k.random, k.cfg.Dropped):
		k.stats.Dropped++
		k.finishAll(p)
		return true
	}
	k.lastRead = max(k.lastRead, k.w.now+between(k.random, k.cfg.Read[0], k.cfg.Read[1]))
	if k.lastRead == k.w.now {
		k.read(p)
	} else {
		k.w.At(k.lastRead, func() { k.read(p) })
	}
	return false
}

// packetContinues is XDP_PKT_CONTD: the next descriptor is of the same packet.
const packetContinues = 1

// gathering is the descriptors of one.
type gathering struct {
	parts []*flight
	legal bool
}

func (k *Kernel) finishAll(p gathering) {
	for _, f := range p.parts {
		k.finish(f)
	}
}

// read is the NIC's DMA: header and payload as they are now.
func (k *Kernel) read(p gathering) {
	if p.parts[0].dead || k.dead() {
		return
	}
	var frame []byte
	for _, f := range p.parts {
		k.w.note('r', f.desc.Addr)
		if !k.same(f) {
			k.stats.RewrittenInFlight++
		}
		frame = append(frame, k.region.Memory()[f.desc.Addr:f.desc.Addr+uint64(f.desc.Len)]...)
	}
	k.stats.Sent++
	k.out.Send(k.completed(p.parts[0].desc, frame))
	for _, f := range p.parts {
		if chance(k.random, k.cfg.Never) {
			k.stats.Forgotten++
			continue
		}
		k.w.At(k.completion(), func() { k.finish(f) })
	}
}

// completion is when a descriptor that was just read is completed.
func (k *Kernel) completion() tcp.Time {
	t := k.w.now + between(k.random, k.cfg.Complete[0], k.cfg.Complete[1])
	if chance(k.random, k.cfg.Late) {
		t += between(k.random, 0, k.cfg.LateBy)
	}
	if !k.cfg.AnyOrder {
		t = max(t, k.lastComp)
		k.lastComp = t
	}
	if b := k.cfg.Batch; b > 0 {
		t = (t + b - 1) / b * b
	}
	return t
}

// finish puts a descriptor on the completion ring: the kernel is done with it.
func (k *Kernel) finish(f *flight) {
	if f.dead || k.dead() {
		return
	}
	for i := range k.inNIC {
		if k.inNIC[i] == f {
			k.inNIC = append(k.inNIC[:i], k.inNIC[i+1:]...)
			break
		}
	}
	k.w.note('f', f.desc.Addr)
	if len(f.copy) > 0 && !k.same(f) {
		k.stats.RewrittenHeld++
	}
	k.stats.Completed++
	if k.newest = max(k.newest, f.nth); k.newest > f.nth {
		k.stats.Overtaken++
	}
	if k.comp.prod.Reserve(1) == 0 {
		panic("simnet: completion ring full: more descriptors taken than it holds")
	}
	k.comp.prod.Put(f.desc.Addr)
	if len(f.copy) > 0 {
		k.held[k.frame(f.desc.Addr)]--
	}
	k.lie(f, k.comp.prod.Reserve(k.cfg.Ring)-len(k.inNIC))
	k.comp.prod.Submit()
	k.spare = append(k.spare, f)
}

// lie adds what no kernel should say: the same completion again, or one of a frame
// that is not out. There is room for so many.
func (k *Kernel) lie(f *flight, room int) {
	if room > 0 && len(f.copy) > 0 && k.held[k.frame(f.desc.Addr)] == 0 && chance(k.random, k.cfg.Twice) {
		k.comp.prod.Put(f.desc.Addr)
		k.stats.Twice++
		room--
	}
	if room > 0 && chance(k.random, k.cfg.Invent) {
		k.comp.prod.Put(k.invented())
		k.stats.Invented++
	}
}

// invented is an address that cannot be of a completion: outside the region, or
// inside a frame that the NIC was not given.
func (k *Kernel) invented() uint64 {
	size := uint64(len(k.region.Memory()))
	switch k.random.IntN(4) {
	case 0:
		return size
	case 1:
		return size + k.random.Uint64N(1<<40)
	case 2:
		return ^uint64(0) - k.random.Uint64N(4096)
	}
	for range 16 {
		if f := umem.Frame(k.random.IntN(k.region.Frames())); k.held[f] == 0 {
			return k.region.Addr(f) + k.random.Uint64N(uint64(k.region.ChunkSize()))
		}
	}
	return size
}

// inventedRX is a descriptor that cannot be of a packet.
func (k *Kernel) inventedRX() umem.Desc {
	size := uint64(len(k.region.Memory()))
	if k.random.IntN(2) == 0 {
		return umem.Desc{Addr: size + k.random.Uint64N(1<<40), Len: 60}
	}
	for range 16 {
		if f := umem.Frame(k.random.IntN(k.region.Frames())); !k.filled[f] {
			return umem.Desc{Addr: k.region.Addr(f) + rxHeadroom, Len: 60}
		}
	}
	return umem.Desc{Addr: size, Len: 60}
}
