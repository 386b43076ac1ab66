package dataplane

// wakeBatch is the frames that are worth waking a writer for, if it owns four times
// as many; fewer wait for the next idle pass.
const wakeBatch = 64

// Notify does what a Step leaves undone, because it needs locks or channels: it
// tells those who wait for a milestone, forgets streams that are over, shares the
// memory out anew, and wakes writers. idle says that the Step found nothing to do,
// so that even a single frame is worth it. It belongs behind every Step.
func (p *Poller) Notify(idle bool) {
	if len(p.changed) > 0 {
		p.announce()
	}
	if p.leaving {
		p.dismiss()
	}
	if p.resharing {
		p.resharing = false
		p.reshare()
	}
	p.publishLanes()
	if p.news {
		p.wakeWriters(idle)
	}
}

// announce closes the channels of the milestones that were reached.
func (p *Poller) announce() {
	for i, s := range p.changed {
		p.changed[i] = nil
		s.changed = false
		for k := range s.news {
			if s.bits&(1<<k) != 0 && s.told&(1<<k) == 0 {
				close(s.news[k])
			}
		}
		s.told = s.bits
		if s.bits&isHome != 0 {
			p.remove(s)
		}
	}
	p.changed = p.changed[:0]
	p.resharing = true
}

// dismiss takes back what writers that left own, and forgets those that own nothing
// and whose streams are over.
func (p *Poller) dismiss() {
	p.leaving = false
	kept := p.lanes[:0]
	for _, l := range p.lanes {
		if l.left {
			p.reclaim(l)
		}
		if l.left && l.owned == 0 && l.streams == 0 {
			continue
		}
		p.leaving = p.leaving || l.left
		kept = append(kept, l)
	}
	clear(p.lanes[len(kept):])
	p.lanes = kept
}

func (p *Poller) wakeWriters(idle bool) {
	p.news = !idle
	for _, l := range p.lanes {
		if !(idle || l.urgent || 4*l.fresh >= min(4*wakeBatch, l.owned)) {
			continue
		}
		l.urgent, l.fresh = false, 0
		if l.writer.waiting.Load() && l.writer.waiting.CompareAndSwap(true, false) {
			select {
			case l.writer.wake <- struct{}{}:
			default:
			}
		}
	}
}
