package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Knob is what became of a setting of xsend's. Its JSON names are stable.
type Knob struct {
	Name      string `json:"name"`
	Requested text   `json:"requested"`
	Accepted  text   `json:"accepted"`
	Active    text   `json:"active"`
	Evidence  text   `json:"evidence"`
}

// text is a string, or whatever else stands in its place in a report.
type text string

// UnmarshalJSON takes anything.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil: // null is "" too
		*t = text(s)
	default:
		*t = text(b)
	}
	return nil
}

// report is what a run reads of a sender's JSON: "xsend send --json", or Baseline.
type report struct {
	Seconds     float64 `json:"seconds"`
	Bytes       int64   `json:"bytes"` // ACKed
	Segments    uint64  `json:"segments"`
	Retransmits uint64  `json:"retransmits"`
	MTU         int     `json:"mtu"`
	MSS         int     `json:"mss"`
	Mode        string  `json:"mode"`
	Attach      string  `json:"attach"`
	Checksum    string  `json:"checksum"`
	SG          string  `json:"sg"`
	CPU         struct {
		User   float64 `json:"host_user"`
		System float64 `json:"host_system"`
	} `json:"cpu_utilization"` // percent of one processor
	Kicks struct {
		OK      uint64 `json:"ok"`
		Again   uint64 `json:"again"`
		Dropped uint64 `json:"dropped"`
		Down    uint64 `json:"down"`
		Dead    uint64 `json:"dead"`
	} `json:"kicks"`
	Streams []LocalStream `json:"streams"`
	Offload []Knob        `json:"offload"` // older versions have none
}

// Bytes of a packet that are not payload.
const (
	headers4   = 20 + 20
	headers6   = 40 + 20
	timestamps = 12 // https://www.rfc-editor.org/rfc/rfc7323#section-3.2, padded
)

// limited says why segments carry less than the row's MTU allows; "" where they don't.
func (r *report) limited(cell Cell) string {
	if len(r.Streams) == 0 || r.MSS == 0 {
		return ""
	}
	s := r.Streams[0]
	most := cell.MTU - headers4 - timestamps
	if s.Local.Addr().Unmap().Is6() {
		most = cell.MTU - headers6 - timestamps
	}
	if r.MSS >= most {
		return ""
	}
	why := fmt.Sprintf("peer's MSS %d, with timestamps", r.MSS+timestamps)
	if s.PathMTU > 0 && s.PathMTU < cell.MTU {
		why = fmt.Sprintf("path MTU %d", s.PathMTU)
	}
	return fmt.Sprintf("segments carry %d of %d bytes: %s", r.MSS, most, why)
}

func (r *report) kicks() uint64 {
	k := r.Kicks
	return k.OK + k.Again + k.Dropped + k.Down + k.Dead
}

// arguments are those of the program that runs a cell: nothing that a user couldn't give. mtu is the interface's.
func (c *Config) arguments(cell Cell, to netip.AddrPort, mtu int) []string {
	seconds := strconv.FormatFloat(c.Time.Seconds(), 'f', -1, 64)
	if cell.Sender == Linux {
		return []string{"bench", "baseline", cell.Call, to.String(), c.Interface, seconds}
	}
	args := []string{"send", "--json", "-i", "0", "--pattern", "-t", seconds, "-I", c.Interface, "--sg", cell.SG, "--mode", cell.Mode, "--attach", cell.Attach}
	if cell.Checksum != "sw" || c.Knows("checksum") { // without the flag there is nothing but sw
		args = append(args, "--checksum", cell.Checksum)
	}
	if cell.MTU != mtu {
		args = append(args, "--mtu", strconv.Itoa(cell.MTU))
	}
	if c.Force {
		args = append(args, "--force")
	}
	return append(args, to.String())
}

// reason is what a child said, in one line, without its name.
func (e *ended) reason() string {
	var said []string
	for line := range strings.Lines(string(bytes.TrimSpace(e.errors))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "See \"") { // where the help is
			continue
		}
		for _, name := range []string{"xsend send: ", "xsend bench baseline: "} {
			line = strings.TrimPrefix(line, name)
		}
		if line != "" {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return fmt.Sprintf("exit code %d without a word", e.code)
	}
	return strings.Join(said, "; ")
}

// knobs are what the report says of each setting; without a list, as much as its other names say.
func (r *report) knobs(cell Cell) []Knob {
	if cell.Sender == Linux {
		return r.Offload
	}
	list := r.Offload
	for _, k := range []struct{ name, requested, active string }{
		{"checksum", cell.Checksum, r.Checksum}, {"sg", cell.SG, r.SG}, {"mode", cell.Mode, r.Mode}, {"attach", cell.Attach, r.Attach},
		{"mtu", strconv.Itoa(cell.MTU), strconv.Itoa(r.MTU)},
	} {
		known := false
		for _, have := range r.Offload {
			known = known || have.Name == k.name
		}
		if !known {
			list = append(list, Knob{Name: k.name, Requested: text(k.requested), Active: text(k.active)})
		}
	}
	return list
}

// other says what was something else than asked for, "" if nothing was. Where a checksum is computed is said by its evidence.
func (r *report) other(cell Cell) string {
	if cell.Sender == Linux {
		return ""
	}
	for _, k := range []struct{ name, want, got string }{
		{"sg", cell.SG, r.SG}, {"mode", cell.Mode, r.Mode}, {"attach", cell.Attach, r.Attach}, {"mtu", strconv.Itoa(cell.MTU), strconv.Itoa(r.MTU)},
	} {
		if k.want != k.got {
			return fmt.Sprintf("%s was %s instead of %s", k.name, k.got, k.want)
		}
	}
	return ""
}
