package matrix

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// columns are those of WriteCSV: the names of the JSON, and what of a row stands there.
var columns = []struct {
	name string
	of   func(*Row) string
}{
	{"row", func(r *Row) string { return strconv.Itoa(r.Number) }},
	{"sender", func(r *Row) string { return r.Sender }},
	{"checksum", func(r *Row) string { return r.Checksum }},
	{"sg", func(r *Row) string { return r.SG }},
	{"mode", func(r *Row) string { return r.Mode }},
	{"attach", func(r *Row) string { return r.Attach }},
	{"call", func(r *Row) string { return r.Call }},
	{"tso", func(r *Row) string { return r.TSO }},
	{"mtu", func(r *Row) string { return strconv.Itoa(r.MTU) }},
	{"outcome", func(r *Row) string { return r.Outcome }},
	{"reason", func(r *Row) string { return r.Reason }},
	{"n", func(r *Row) string { return strconv.Itoa(r.N) }},
	{"refused", func(r *Row) string { return strconv.Itoa(r.Refused) }},
	{"failed", func(r *Row) string { return strconv.Itoa(r.Failed) }},
	{"bits_per_second", func(r *Row) string { return r.number(r.BitsPerSecond.Median) }},
	{"bits_per_second_low", func(r *Row) string { return r.number(r.BitsPerSecond.Low) }},
	{"bits_per_second_high", func(r *Row) string { return r.number(r.BitsPerSecond.High) }},
	{"packets_per_second", func(r *Row) string { return r.number(r.Packets.Median) }},
	{"cpu_user_s_per_gb", func(r *Row) string { return r.number(r.UserPerGB.Median) }},
	{"cpu_system_s_per_gb", func(r *Row) string { return r.number(r.SystemPerGB.Median) }},
	{"kicks_per_packet", func(r *Row) string {
		if r.Kicks == nil {
			return ""
		}
		return r.number(r.Kicks.Median)
	}},
	{"retransmits", func(r *Row) string { return r.number(r.Retransmits.Median) }},
	{"verified_bytes", func(r *Row) string { return strconv.FormatInt(r.Bytes, 10) }},
	{"wrong_bytes", func(r *Row) string { return strconv.FormatInt(r.WrongBytes, 10) }},
	{"first_wrong", func(r *Row) string { return strconv.FormatInt(r.FirstWrong, 10) }},
	{"mss", func(r *Row) string { return strconv.Itoa(r.MSS) }},
	{"limited", func(r *Row) string { return r.Limited }},
	{"knobs", func(r *Row) string {
		var all []string
		for _, k := range r.Knobs {
			all = append(all, k.String())
		}
		return strings.Join(all, "; ")
	}},
}

// number is a figure of a row that has figures, and empty otherwise: 0 would be read as one.
func (r *Row) number(f float64) string {
	if r.N == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'g', 8, 64)
}

// WriteCSV writes a line of names and a line per row.
func (r *Result) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for n := range r.Rows {
		for i, c := range columns {
			line[i] = c.of(&r.Rows[n])
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
