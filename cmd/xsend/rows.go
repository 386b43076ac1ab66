package main

import (
	"fmt"
	"strings"

	"github.com/xsend/xsend/internal/transfer"
	"github.com/xsend/xsend/internal/units"
)

// rowHead stands above the rows of the first interval.
var rowHead = fmt.Sprintf("[%3s] %-15s  %10s  %12s  %5s  %10s  %10s  %s", "ID", "Interval", "Transfer", "Bitrate", "Retr", "Cwnd", "RTT", "State")

// rows print an interval as iperf3 does: a line for each connection, and their sum where there are several. In detail,
// a second line has what else TCP knows.
func rows(i *transfer.Interval, detail bool) []string {
	var lines []string
	for k := range i.Streams {
		st := &i.Streams[k]
		lines = append(lines, fmt.Sprintf("%s  %10s  %7.3f ms  %s%s", spanRow(fmt.Sprintf("%3d", st.ID), &st.Span),
			units.Bytes(int64(st.Cwnd)), st.RTT/1000, phase(&st.Moment), omitted(&st.Span)))
		if detail {
			lines = append(lines, "      "+moment(&st.Moment)+losses(&st.Losses))
		}
	}
	if len(i.Streams) > 1 {
		lines = append(lines, spanRow("SUM", &i.Span)+omitted(&i.Span))
	}
	return lines
}

func spanRow(id string, s *transfer.Span) string {
	return fmt.Sprintf("[%s] %6.2f-%-6.2f s  %10s  %12s  %5d", id, s.Start, s.End, units.Bytes(s.Bytes), units.BitRate(s.BitsPerSecond), s.Retransmits)
}

func omitted(s *transfer.Span) string {
	if s.Omitted {
		return "  (omitted)"
	}
	return ""
}

// phase is the state of loss recovery where there is something to recover, else that of congestion control.
func phase(m *transfer.Moment) string {
	if m.Recovery != "open" {
		return m.Recovery
	}
	return m.CongestionState
}

// moment is spelled as ss -ti spells it: windows in segments and times in milliseconds, where the JSON has bytes and
// microseconds.
func moment(m *transfer.Moment) string {
	segments := func(bytes int) int { return bytes / max(1, m.MSS) }
	var b strings.Builder
	if m.ECN != "off" && m.ECN != "" {
		b.WriteString("ecn ")
	}
	fmt.Fprintf(&b, "%s rto:%.4g rtt:%.4g/%.4g minrtt:%.4g mss:%d", m.Congestion, m.RTO/1000, m.RTT/1000, m.RTTVar/1000, m.MinRTT/1000, m.MSS)
	if m.PathMTU != 0 {
		fmt.Fprintf(&b, " pmtu:%d", m.PathMTU)
	}
	fmt.Fprintf(&b, " cwnd:%d", segments(m.Cwnd))
	if m.Ssthresh != 0 {
		fmt.Fprintf(&b, " ssthresh:%d", segments(m.Ssthresh))
	}
	fmt.Fprintf(&b, " snd_wnd:%d in_flight:%d bytes_acked:%d", m.SendWindow, m.InFlight, m.BytesAcked)
	if m.PacingRate != 0 {
		fmt.Fprintf(&b, " pacing_rate %s", bps(m.PacingRate))
	}
	fmt.Fprintf(&b, " delivery_rate %s reordering:%d", bps(m.DeliveryRate), m.Reorder)
	return b.String()
}

// losses prints the counts that aren't zero; retransmissions have a column.
func losses(l *transfer.Losses) string {
	var b strings.Builder
	for _, c := range []struct {
		name  string
		count uint64
	}{
		{"lost", l.Lost}, {"recoveries", l.Recoveries}, {"timeouts", l.Timeouts}, {"tail_probes", l.TailProbes}, {"tail_losses", l.TailLosses},
		{"dsacks", l.DSACKs}, {"retransmits_held", l.Held}, {"timeouts_held", l.TimeoutsHeld},
		{"cwrs", l.CWRs}, {"eces", l.ECEs}, {"ces", l.CEs},
	} {
		if c.count != 0 {
			fmt.Fprintf(&b, " %s:%d", c.name, c.count)
		}
	}
	return b.String()
}

// bps is a rate as ss prints it: 9.41Gbps.
func bps(bitsPerSecond float64) string {
	return strings.NewReplacer(" ", "", "bit/s", "bps").Replace(units.BitRate(bitsPerSecond))
}
