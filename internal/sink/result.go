package sink

import "time"

// Result is what one connection delivered. Its JSON names are stable.
type Result struct {
	Conn          int       `json:"connection"` // from 1, in order of accept; with Config.Verify, of the first byte
	Remote        string    `json:"remote"`     // ADDR:PORT of the sender
	Local         string    `json:"local"`      // ADDR:PORT here
	Bytes         int64     `json:"bytes"`
	Seconds       float64   `json:"seconds"` // from accept to the end of the connection
	BitsPerSecond float64   `json:"bits_per_second"`
	SHA256        string    `json:"sha256,omitempty"` // hexadecimal; empty with SkipHash
	Accepted      time.Time `json:"accepted"`
	FirstByte     time.Time `json:"first_byte,omitzero"` // when the first read that brought bytes returned
	LastByte      time.Time `json:"last_byte,omitzero"`  // when the last one did
	Output        string    `json:"output,omitempty"`    // the file written

	Compared *Comparison `json:"compared,omitempty"` // with Config.Expect or Config.Verify; absent when nothing was compared

	Err   string `json:"error,omitempty"` // why it ended other than by the sender's FIN; bytes and hash cover what came before
	Cause error  `json:"-"`               // the same, for errors.Is: syscall.ECONNRESET, context.Canceled, …

	ended  bool
	damage *damage // nil without wrong bytes
}

// Comparison says how the stream differs from what was expected. A stream that ends early differs in no byte.
type Comparison struct {
	WrongBytes int64 `json:"wrong_bytes"` // bytes that differ, or lie past the end of what was expected
	FirstWrong int64 `json:"first_wrong"` // offset of the first of them, -1 without any
}

// SummarySchema names the shape of Summary; a change that breaks readers changes it.
const SummarySchema = "xsend.sink/1"

// Summary is all connections of one Run together. Its JSON names are stable.
type Summary struct {
	Schema        string   `json:"schema"`
	Listen        string   `json:"listen,omitempty"`
	Bytes         int64    `json:"bytes"`
	Seconds       float64  `json:"seconds"` // from the first accept to the last end
	BitsPerSecond float64  `json:"bits_per_second"`
	Failed        int      `json:"failed"`           // connections with an error
	Wrong         int      `json:"wrong,omitempty"`  // connections that were compared and brought wrong bytes
	SHA256        string   `json:"sha256,omitempty"` // of the one connection, if there was just one
	Streams       []Result `json:"streams"`
}

// Summarize adds results up. listen is the address listened on, "" if it doesn't matter.
func Summarize(listen string, results []Result) Summary {
	s := Summary{Schema: SummarySchema, Listen: listen, Streams: results}
	if results == nil {
		s.Streams = []Result{}
	}
	var first, last time.Time
	for _, r := range results {
		s.Bytes += r.Bytes
		if r.Err != "" {
			s.Failed++
		}
		if r.Compared != nil && r.Compared.WrongBytes > 0 {
			s.Wrong++
		}
		if end := r.Accepted.Add(time.Duration(r.Seconds * float64(time.Second))); end.After(last) {
			last = end
		}
		if first.IsZero() || r.Accepted.Before(first) {
			first = r.Accepted
		}
	}
	if len(results) == 1 {
		s.SHA256 = results[0].SHA256
	}
	s.Seconds = last.Sub(first).Seconds()
	s.BitsPerSecond = bitRate(s.Bytes, s.Seconds)
	return s
}

func bitRate(bytes int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(bytes) * 8 / seconds
}
