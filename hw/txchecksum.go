package hw

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/internal/ethtool"
)

// TxChecksum is what kernel and driver claim about checksums that AF_XDP asks for with TX metadata.
type TxChecksum struct {
	// ZeroCopy: the driver reads the request in zero-copy mode (xsk-features of the netdev family has
	// tx-checksum). All others skip it without a word.
	ZeroCopy bool
	// Device: a transmit checksum feature is on. In copy mode the device may compute what is asked for; where
	// it is off the kernel does, in software.
	Device bool
}

// ReadTxChecksum asks, in the network namespace of the calling thread. A kernel without the netdev family (before
// Linux 6.3) has no zero-copy driver that does it.
func ReadTxChecksum(i Interface) (t TxChecksum, err error) {
	claims, err := ReadXDPClaims(i.Index)
	if err != nil && !errors.Is(err, ErrNoClaims) {
		return t, fmt.Errorf("interface %s: ask for its xsk-features: %w", i.Name, err)
	}
	t.ZeroCopy = claims.XSK&XSKTxChecksum != 0
	if t.Device, err = ethtool.TxChecksum.Read(i.Name); err != nil {
		return t, fmt.Errorf("ask whether tx-checksumming is on: %w", err)
	}
	return t, nil
}
