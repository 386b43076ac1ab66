package afxdp

import "fmt"

// Stats is struct xdp_statistics: what the kernel counted for the socket, in packets
// or descriptors since Open.
type Stats struct {
	RxDropped      uint64 // dropped for other reasons than a full RX or an empty fill ring
	RxInvalid      uint64 // invalid addresses in the fill ring
	TxInvalid      uint64 // invalid descriptors in the TX ring; they come back as completed
	RxRingFull     uint64 // received, and dropped because the RX ring was full
	FillRingEmpty  uint64 // times that there was no frame to receive into
	TxRingDepleted uint64 // times that the kernel found the TX ring empty
}

// Stats asks the kernel (XDP_STATISTICS).
func (s *Socket) Stats() (Stats, error) {
	k, err := statistics(s.fd)
	if err != nil {
		return Stats{}, fmt.Errorf("XDP_STATISTICS: %w", err)
	}
	return Stats{
		RxDropped: k.Rx_dropped, RxInvalid: k.Rx_invalid_descs, TxInvalid: k.Tx_invalid_descs,
		RxRingFull: k.Rx_ring_full, FillRingEmpty: k.Rx_fill_ring_empty_descs, TxRingDepleted: k.Tx_ring_empty_descs,
	}, nil
}

// Refused is the number of invalid descriptors, which the kernel gave back as completed and did not send: see
// dataplane.Refused. It asks the kernel.
func (s *Socket) Refused() uint64 {
	st, err := s.Stats()
	if err != nil {
		return 0 // closed: nobody asks then
	}
	return st.TxInvalid
}
