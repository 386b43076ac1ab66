package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// A segment that is ACKed in part and then has to be cut must not leave a piece in
// front that is ACKed already: with a window of one segment that piece would be sent
// for ever, and what the peer lacks never.
func TestCutAfterPartialAck(t *testing.T) {
	h := established(t, nil)
	h.write(2 * mss)
	h.wantData(0, 2*mss)
	h.ack(600)
	h.pathMTU(minMTU) // 524 bytes fit
	h.want(601, 524, wire.FlagACK)
	h.want(1125, mss-1124, wire.FlagACK)
	h.want(mss+1, 524, wire.FlagACK)
	h.want(mss+525, 524, wire.FlagACK)
	h.want(mss+1049, mss-1048, wire.FlagACK)
	h.advance(250 * Millisecond)
	h.want(601, 524, wire.FlagACK)
	h.ack(2 * mss)
	if len(h.done) != 2 {
		t.Fatalf("%d frames back", len(h.done))
	}
}
