package session

import (
	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/umem"
)

// Wrap makes c put a port of the test's around each socket, inside the witness.
func (c *Config) Wrap(f func(queue int, port dataplane.Port, region *umem.Region) dataplane.Port) {
	c.wrap = f
}

// Claims makes f stand in for what kernel and driver say of checksums.
func (c *Config) Claims(f func(hw.Interface) (hw.TxChecksum, error)) { c.claims = f }

// Dialled is the number of connections that the session follows.
func (s *Session) Dialled() int { return len(s.connections()) }
