package tcp

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/xsend/xsend/umem"
)

// layoutVariable is the environment variable that says how many descriptors the packets of this
// package's tests have.
const layoutVariable = "XSEND_TEST_SEGMENTS"

var (
	testSegs, _ = strconv.Atoi(os.Getenv(layoutVariable))
	payloadAt   = PayloadOffset(testSegs, false)
)

// linearOnly skips a test of what only one descriptor has.
func linearOnly(t *testing.T) {
	t.Helper()
	if testSegs > 1 {
		t.Skip("it is about the linear layout")
	}
}

// packet is the bytes that a Tx stands for, one range after the other as the NIC gathers them.
func packet(r *umem.Region, tx *Tx) []byte {
	b := r.Memory()[tx.Addr : tx.Addr+uint64(tx.Len)]
	if tx.Parts == 0 {
		return b
	}
	b = append(make([]byte, 0, tx.Bytes()), b...)
	for _, p := range tx.Rest[:tx.Parts] {
		if p.Len == 0 {
			panic("a descriptor of nothing: no kernel takes it")
		}
		b = append(b, r.Memory()[p.Addr:p.Addr+uint64(p.Len)]...)
	}
	return b
}

// covered is what nobody may write while the kernel holds a packet: its bytes, and the request before them.
func covered(r *umem.Region, tx *Tx) []byte {
	if !tx.Metadata {
		return packet(r, tx)
	}
	return append(slices.Clone(r.Memory()[tx.Addr-MetadataLen:tx.Addr]), packet(r, tx)...)
}

// completeAll completes every descriptor of a packet, the last first: only their number counts.
func completeAll(p *umem.Pool, c *Conn, now Time, tx *Tx) umem.Fault {
	for k := tx.Parts - 1; k >= 0; k-- {
		if _, fault := p.Complete(tx.Rest[k].Addr); fault != umem.FaultNone {
			return fault
		}
		c.Completed(now, tx.Ref)
	}
	_, fault := p.Complete(tx.Addr)
	if fault == umem.FaultNone {
		c.Completed(now, tx.Ref)
	}
	return fault
}
