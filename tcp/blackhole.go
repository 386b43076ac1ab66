package tcp

// pathState is the path MTU as routers, or their silence, let us know it.
type pathState struct {
	link    int  // what the interface or the route carries: the last SetMTU
	raiseAt Time // when a path MTU that was learnt is forgotten; 0 = none was
}

const (
	// blackHoleTries is how many timeouts in a row make a packet's size suspect
	// (https://www.rfc-editor.org/rfc/rfc4821#section-7.7; Linux takes about as many). Routers that say nothing drop
	// all that is too big, however often it comes.
	blackHoleTries = 4
	// pathMTUAge is how long a lower path MTU is believed without being heard again
	// (https://www.rfc-editor.org/rfc/rfc1191#section-6.3, https://www.rfc-editor.org/rfc/rfc8201#section-4).
	pathMTUAge = 600 * Second
)

// pathSizes are those that paths have: Ethernet's, the least of IPv6, the least of
// IPv4.
var pathSizes = [...]int{1500, 1280, minPathMTU4}

// suspectBlackHole follows a timeout: where a large packet was sent in vain so often, the
// next one is smaller. Everything else that a timeout means remains: the network may as
// well be down.
func (c *Conn) suspectBlackHole(now Time) {
	if c.retries < blackHoleTries || c.cfg.NoBlackHole {
		return
	}
	size := int(c.q.slots[c.q.head].length) + c.headers()
	for _, mtu := range pathSizes {
		if mtu < size && mtu >= c.leastMTU() {
			c.stats.BlackHoles++
			c.lowerPath(now, mtu)
			return
		}
	}
}

// lowerPath takes a path MTU that is less than the link's.
func (c *Conn) lowerPath(now Time, mtu int) {
	c.stats.PathMTU = mtu
	c.mtu = mtu
	c.path.raiseAt = now + pathMTUAge
	c.setMSS()
}

// raisePath tries the link's MTU again. There is no probe of its own: where the path is as
// narrow as before, a router says so, or four timeouts do.
func (c *Conn) raisePath(now Time) {
	if c.path.raiseAt > 0 && now >= c.path.raiseAt {
		c.path.raiseAt = 0
		c.mtu = c.path.link
		c.setMSS()
	}
}
