package tcp

import "testing"

// Audit must find whatever is wrong with the books: each of these breaks one of them.
func TestAuditFindsWhatIsBroken(t *testing.T) {
	for name, broken := range map[string]func(c *Conn){
		"sndNxt before sndUna":      func(c *Conn) { c.sndNxt = c.sndUna - 1 },
		"sndEnd before sndNxt":      func(c *Conn) { c.sndEnd = c.sndNxt - 1 },
		"a hole":                    func(c *Conn) { c.q.slots[c.q.slots[c.q.head].next].seq++ },
		"head behind sndUna":        func(c *Conn) { c.sndUna-- },
		"head before sndUna":        func(c *Conn) { c.sndUna += mss },
		"flight bytes":              func(c *Conn) { c.rack.flight.bytes++ },
		"lost bytes":                func(c *Conn) { c.rack.lost.bytes-- },
		"flight segments":           func(c *Conn) { c.rack.flight.segments++ },
		"sacked":                    func(c *Conn) { c.rack.sacked++ },
		"free slots":                func(c *Conn) { c.q.nfree-- },
		"end of the queue":          func(c *Conn) { c.sndEnd++ },
		"no timer":                  func(c *Conn) { c.timers.rto = Never },
		"sent, and nowhere":         func(c *Conn) { c.leaveFlight(c.q.slots[c.q.head].next) },
		"two things at once":        func(c *Conn) { c.q.slots[c.q.head].flags |= slotSACKed | slotFlight | slotLost },
		"never sent, but counted":   func(c *Conn) { c.q.slots[c.q.last].xmits = 1 },
		"sent, but not counted":     func(c *Conn) { c.q.slots[c.q.head].xmits = 0 },
		"more out than sent":        func(c *Conn) { c.q.slots[c.q.head].out = 9 },
		"spans":                     func(c *Conn) { c.q.slots[c.q.head].spans[0].length-- },
		"a frame that nobody holds": func(c *Conn) { c.q.slots[c.q.head].spans[0].frame = 500 },
		"a link of the flight":      func(c *Conn) { c.q.slots[c.rack.flight.newest].older = none },
		"order of the flight":       func(c *Conn) { c.q.slots[c.rack.flight.newest].sent = 0 },
		"the end of a list":         func(c *Conn) { c.rack.flight.newest = c.rack.flight.oldest },
		"a list of another":         func(c *Conn) { c.q.slots[c.rack.lost.oldest].flags ^= slotLost | slotFlight },
		"a ring":                    func(c *Conn) { c.q.slots[c.rack.flight.newest].newer = c.rack.flight.oldest },
	} {
		h := flightOf(t, 8, func(c *Config, h *harness) { c.InitialCwnd = 8; h.hold = true })
		h.write(2 * mss)
		h.ack(0, [2]int{2 * mss, 5 * mss}) // two lost and held, three SACKed, three in flight, two waiting
		h.out = nil
		if err := h.c.Audit(); err != nil || h.c.rack.lost.segments == 0 || h.c.rack.flight.segments < 3 || h.c.q.fresh == none {
			t.Fatalf("before: %v, lost %d, flight %d", err, h.c.rack.lost.segments, h.c.rack.flight.segments)
		}
		broken(h.c)
		if h.c.Audit() == nil {
			t.Errorf("%s: not found", name)
		}
	}
}
