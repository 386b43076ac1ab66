package transfer

import (
	"net/netip"
	"time"

	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/tcp"
)

// Schema names the shape of Report; a change that breaks readers changes it.
const Schema = "xsend.send/1"

// Exit codes of Report.ExitCode; 128 + n stands for signal n.
const (
	ExitDone       = 0
	ExitFailed     = 1
	ExitNotStarted = 2
	ExitWrongMode  = 3
)

// Report is what a run did. Its JSON names are stable.
type Report struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Title   string `json:"title,omitempty"`
	Start   Start  `json:"start"`

	Bytes          uint64  `json:"bytes"`           // payload that the peers ACKed, over all streams
	Seconds        float64 `json:"seconds"`         // from the first connection to the last byte's and FIN's ACK
	BitsPerSecond  float64 `json:"bits_per_second"` // of payload, without what was omitted
	OmittedBytes   uint64  `json:"omitted_bytes,omitempty"`
	OmittedSeconds float64 `json:"omitted_seconds,omitempty"`
	Segments       uint64  `json:"segments"`    // sent, those without payload included
	Retransmits    uint64  `json:"retransmits"` // segments sent again

	Release  string `json:"release"`
	Binding  string `json:"binding"`
	Attach   string `json:"attach"`   // as it was in fact: native, generic
	Mode     string `json:"mode"`     // as it was in fact: copy, zerocopy
	Checksum string `json:"checksum"` // who was to compute it, as it was in fact: sw, hw, kernel
	SG       string `json:"sg"`       // packets of several descriptors: on, off
	MTU      int    `json:"mtu"`      // the interface's, bytes
	MSS      int    `json:"mss"`      // payload bytes of a full segment, of the first stream
	CPU      CPU    `json:"cpu_utilization"`

	Settings      []settings.Setting `json:"settings,omitempty"` // of the NIC, for the time of the run; what was asked for first
	Restored      *settings.Restored `json:"restored,omitempty"` // how they were put back; nil where none was asked for
	ChecksumWhere string             `json:"checksum_where"`     // engine, nic, kernel, nic-or-kernel; "" where nothing was sent
	Offload       []Knob             `json:"offload"`

	Streams   []StreamReport `json:"streams"`
	Intervals []Interval     `json:"intervals"`
	Frames    Frames         `json:"frames"`
	Descs     Descriptors    `json:"descriptors"`
	Kicks     Kicks          `json:"kicks"`
	Rx        Rx             `json:"rx"`

	BytesWritten      uint64 `json:"bytes_written"`       // committed
	BytesReleased     uint64 `json:"bytes_released"`      // handed back because they were ACKed (or too early, in a wrong mode)
	BytesDemoted      uint64 `json:"bytes_demoted"`       // handed back before their ACK, because they were copied to the arena
	BytesAborted      uint64 `json:"bytes_aborted"`       // handed back because their connection ended
	LentWhileHeld     uint64 `json:"lent_while_held"`     // bytes handed back while the frame was held: 0 with ack
	RewrittenInFlight uint64 `json:"rewritten_in_flight"` // descriptors whose bytes changed between submission and completion
	Hold              Hold   `json:"hold"`
	Witnessed         bool   `json:"witnessed"` // rewritten_in_flight was looked for

	Ledger Ledger  `json:"ledger"`
	Memory *Memory `json:"memory,omitempty"` // nil without Config.Books

	Audit  *Audit        `json:"audit,omitempty"`  // with Config.Audit
	Trap   *Trap         `json:"trap,omitempty"`   // with Config.Trap
	SHA256 string        `json:"sha256,omitempty"` // of what was sent, where all streams sent the same
	Pcap   *PcapSummary  `json:"pcap,omitempty"`
	Trace  *TraceSummary `json:"trace,omitempty"`

	Interrupted bool   `json:"interrupted"`
	Failed      int    `json:"failed"`          // streams with an error
	Error       string `json:"error,omitempty"` // the first reason for an exit code other than 0
	ExitCode    int    `json:"exit_code"`

	Err     error `json:"-"` // the same as Error, for errors.Is
	Started bool  `json:"-"` // a SYN may have left
}

// Knob is a setting that device, driver or kernel may take otherwise than asked.
type Knob struct {
	Name      string `json:"name"`
	Requested string `json:"requested"`
	Accepted  string `json:"accepted"` // what was tried
	Active    string `json:"active"`   // what was in force
	Where     string `json:"where,omitempty"`
	Proved    bool   `json:"proved"`
	Evidence  string `json:"evidence"`
}

// Start is what was known before the first byte.
type Start struct {
	Time       time.Time         `json:"time"`
	Kernel     string            `json:"kernel"`
	Interface  string            `json:"interface"`
	Driver     string            `json:"driver"`
	Queues     int               `json:"queues"`
	Target     string            `json:"target"` // as asked
	Remote     netip.AddrPort    `json:"remote"`
	Source     string            `json:"source"` // file, standard input or pattern
	Parameters map[string]string `json:"parameters"`
	Connected  []Connected       `json:"connected"` // in order of ID
}

// Connected is a connection that stands.
type Connected struct {
	ID         int    `json:"id"`     // from 1
	Socket     int    `json:"socket"` // the same, by iperf3's name
	LocalHost  string `json:"local_host"`
	LocalPort  uint16 `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort uint16 `json:"remote_port"`
	MSS        int    `json:"mss"` // bytes
}

// CPU is the process's use of processors in percent of one, as iperf3 counts it.
type CPU struct {
	Total  float64 `json:"host_total"`
	User   float64 `json:"host_user"`
	System float64 `json:"host_system"`
}

// Frames are counted when everything has stopped.
type Frames struct {
	Total       int `json:"total"`
	Free        int `json:"free"`
	Leaked      int `json:"leaked"`
	Quarantined int `json:"quarantined"` // a dead queue never gave them back
}

// Descriptors add up: submitted = completed + quarantined.
type Descriptors struct {
	Submitted   uint64 `json:"submitted"`
	Completed   uint64 `json:"completed"`
	Quarantined uint64 `json:"quarantined"`
	Spurious    uint64 `json:"spurious"`     // completions of frames that the kernel did not hold, those that came twice included
	OutOfRange  uint64 `json:"out_of_range"` // completions of addresses that are none of ours
}

// Kicks are the doorbell's answers.
type Kicks struct {
	OK       uint64 `json:"ok"`
	Again    uint64 `json:"again"`
	Dropped  uint64 `json:"dropped"`
	Down     uint64 `json:"down"`
	Dead     uint64 `json:"dead"`
	Rebuilds uint64 `json:"rebuilds"` // times a queue was opened again
}

// Rx is what came back, in packets.
type Rx struct {
	Packets  uint64 `json:"packets"`
	TCP      uint64 `json:"tcp"`
	ICMP     uint64 `json:"icmp"`
	Unknown  uint64 `json:"unknown"`
	Checksum uint64 `json:"checksum"`
	Bad      uint64 `json:"bad"`
}

// PcapSummary is about the capture that was written.
type PcapSummary struct {
	File    string `json:"file"`
	Packets uint64 `json:"packets"`
	Lost    uint64 `json:"lost"` // packets that the writer was too slow for
}

// StreamReport is one connection. Times are in microseconds.
type StreamReport struct {
	ID            int     `json:"id"` // from 1
	Local         string  `json:"local"`
	Remote        string  `json:"remote"`
	Bytes         uint64  `json:"bytes"` // payload that the peer ACKed
	Seconds       float64 `json:"seconds"`
	BitsPerSecond float64 `json:"bits_per_second"`
	BytesWritten  uint64  `json:"bytes_written"`
	BytesReleased uint64  `json:"bytes_released"`
	BytesDemoted  uint64  `json:"bytes_demoted"`
	BytesAborted  uint64  `json:"bytes_aborted"`
	BytesReceived uint64  `json:"bytes_received"` // payload from the peer, thrown away
	Commits       uint64  `json:"commits"`
	Releases      uint64  `json:"releases"`
	Early         uint64  `json:"releases_early"`
	HoldMean      float64 `json:"hold_mean_us"` // from a frame's submission to its release
	HoldMax       float64 `json:"hold_max_us"`

	Segments    uint64 `json:"segments"`
	Retransmits uint64 `json:"retransmits"`
	Losses
	Probes     uint64 `json:"probes"`     // of a zero window
	KeepAlives uint64 `json:"keepalives"` // probes of a peer that was silent
	Splits     uint64 `json:"splits"`     // tails copied because they can't be sent in place
	Reneged    uint64 `json:"reneged"`
	Demotions  uint64 `json:"demotions"` // times that what the peer held was copied to the arena
	Moment

	SHA256 string `json:"sha256,omitempty"`
	Error  string `json:"error,omitempty"`

	Err error `json:"-"` // the same as Error, for errors.Is
}

// tcpStats takes over what the engine counted.
func (r *StreamReport) tcpStats(st tcp.Stats) {
	r.Bytes, r.BytesReceived = st.BytesAcked, st.BytesReceived
	r.Segments, r.Retransmits = st.SegmentsOut, st.Retransmits
	r.Probes, r.KeepAlives, r.Splits, r.Reneged = st.Probes, st.KeepAlives, st.Splits, st.Reneged
	r.Demotions = st.Demotions
	r.Losses, r.Moment = lossesOf(&st), momentOf(&st)
}

// Sum is the run as one Span, without what was omitted.
func (r *Report) Sum() Span {
	omitted := min(r.Bytes, r.OmittedBytes)
	return Span{
		Start: r.OmittedSeconds, End: r.Seconds, Seconds: r.Seconds - r.OmittedSeconds, Bytes: int64(r.Bytes - omitted),
		BitsPerSecond: r.BitsPerSecond, Retransmits: r.Retransmits, Sender: true,
	}
}

// tallied takes over what the pump counted.
func (r *StreamReport) tallied(t *tally) {
	r.BytesWritten, r.BytesReleased, r.BytesDemoted, r.BytesAborted = t.written, t.released, t.demoted, t.aborted
	r.Commits, r.Releases, r.Early = t.commits, t.releases, t.early
	r.HoldMean = float64(t.holdMean()) / float64(time.Microsecond)
	r.HoldMax = float64(t.holdMax) / float64(tcp.Microsecond)
}

func bitRate(bytes uint64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(bytes) * 8 / seconds
}
