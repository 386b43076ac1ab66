package main

import (
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/transfer"
)

// TestRows: the columns stand below each other, whatever the figures.
func TestRows(t *testing.T) {
	st := transfer.StreamInterval{
		ID: 1, Span: transfer.Span{Start: 1, End: 2, Bytes: 1_420_000_000, BitsPerSecond: 11.4e9, Retransmits: 24},
		Losses: transfer.Losses{Lost: 24, Recoveries: 2, DSACKs: 1, CWRs: 3, ECEs: 40},
		Moment: transfer.Moment{
			BytesAcked: 123, InFlight: 2896, Cwnd: 14480, Ssthresh: 7240, SendWindow: 65536, MSS: 1448, PathMTU: 1400, RTT: 164.2, RTTVar: 105, MinRTT: 99.94,
			RTO: 200_164, PacingRate: 2e9, DeliveryRate: 9.41e9, Reorder: 5, Congestion: "cubic", CongestionState: "avoidance", Recovery: "open", ECN: "on",
		},
	}
	lost := transfer.StreamInterval{ID: 128, Span: transfer.Span{Start: 100, End: 101, Omitted: true}, Moment: transfer.Moment{Congestion: "reno", Recovery: "recovery"}}
	i := transfer.Interval{Span: transfer.Span{Start: 1, End: 2, Bytes: 1_420_000_000}, Streams: []transfer.StreamInterval{st, lost}}
	got := append([]string{rowHead}, rows(&i, true)...)
	want := []string{
		"[ ID] Interval           Transfer       Bitrate   Retr        Cwnd         RTT  State",
		"[  1]   1.00-2.00   s    1.32 GiB   11.4 Gbit/s     24    14.1 KiB    0.164 ms  avoidance",
		"      ecn cubic rto:200.2 rtt:0.1642/0.105 minrtt:0.09994 mss:1448 pmtu:1400 cwnd:10 ssthresh:5 snd_wnd:65536 in_flight:2896 bytes_acked:123" +
			" pacing_rate 2.00Gbps delivery_rate 9.41Gbps reordering:5 lost:24 recoveries:2 dsacks:1 cwrs:3 eces:40",
		"[128] 100.00-101.00 s         0 B       0 bit/s      0         0 B    0.000 ms  recovery  (omitted)",
		"      reno rto:0 rtt:0/0 minrtt:0 mss:0 cwnd:0 snd_wnd:0 in_flight:0 bytes_acked:0 delivery_rate 0bps reordering:0",
		"[SUM]   1.00-2.00   s    1.32 GiB       0 bit/s      0",
	}
	if text := strings.Join(got, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	if one := rows(&transfer.Interval{Streams: i.Streams[:1]}, false); len(one) != 1 {
		t.Errorf("%q: one stream has no sum", one)
	}
}
