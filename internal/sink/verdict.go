package sink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// VerdictSchema names the shape of Verdicts.
const VerdictSchema = "xsend.verdict/1"

// greeting begins a question; it is no beginning of the pattern.
const greeting = "xsend-verdict/1\n"

// Bounds of a question.
const (
	maxAsked     = 256             // connections
	maxQuestion  = 16 << 10        // bytes behind the greeting
	questionTime = 5 * time.Second // from its first byte to the last one of the answer
)

// States of a connection that was asked for.
const (
	StateEnded   = "ended"   // it has a verdict
	StateOpen    = "open"    // bytes may still come
	StateUnknown = "unknown" // nothing came from that address
)

// Verdict is what a receiver with Config.Verify says of one connection. Its JSON names are stable.
type Verdict struct {
	Remote  netip.AddrPort `json:"remote"` // of the sender, as it was asked for
	State   string         `json:"state"`
	Bytes   int64          `json:"bytes"`   // received and compared; 0 unless it has ended, like all below
	Seconds float64        `json:"seconds"` // from the first read that brought bytes to the last one
	Comparison
	Rounds *Rounds `json:"rounds,omitempty"` // where it was asked for them
	Err    string  `json:"error,omitempty"`  // why it ended other than by the sender's FIN
}

// Verdicts answers a question. Its JSON names are stable.
type Verdicts struct {
	Schema      string    `json:"schema"`
	Connections []Verdict `json:"connections"`     // in the order in which they were asked for
	Err         string    `json:"error,omitempty"` // what is wrong with the question; there are no connections then
}

// Query is a question about one connection.
type Query struct {
	Remote netip.AddrPort // of the sender
	// Round asks how many rounds of so many bytes, from offset 0 on, have wrong bytes: a multiple of RoundGrain; 0 does not ask.
	Round int64
}

// RoundGrain is what rounds are multiples of, in bytes.
const RoundGrain = 1024

// writeQuestion asks for connections by their senders' addresses: a line each, and an empty one.
func writeQuestion(w io.Writer, asked []Query) error {
	var b strings.Builder
	b.WriteString(greeting)
	for _, q := range asked {
		fmt.Fprint(&b, q.Remote)
		if q.Round != 0 {
			fmt.Fprintf(&b, " %d", q.Round)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// readQuestion reads what is behind the greeting.
func readQuestion(r io.Reader) (asked []Query, err error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxQuestion))
	for lines.Scan() {
		if lines.Text() == "" {
			return asked, nil
		}
		if len(asked) == maxAsked {
			return nil, fmt.Errorf("more than %d connections: ask again for the others", maxAsked)
		}
		q, err := readQuery(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(asked)+2, err)
		}
		asked = append(asked, q)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("it has no empty line at its end, or is too long")
}

// sameAddress compares without what differs between two hosts: zones, and IPv4 spelled as IPv6.
func sameAddress(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap().WithZone("") == b.Addr().Unmap().WithZone("")
}

// readQuery reads a line of a question.
func readQuery(line string) (q Query, err error) {
	addr, round, rounds := strings.Cut(line, " ")
	if q.Remote, err = netip.ParseAddrPort(addr); err != nil {
		return q, fmt.Errorf("%w: give ADDRESS:PORT", err)
	}
	if !rounds {
		return q, nil
	}
	if q.Round, err = strconv.ParseInt(round, 10, 64); err != nil || q.Round < RoundGrain || q.Round%RoundGrain != 0 {
		return q, fmt.Errorf("rounds of %q bytes: give a multiple of %d", round, RoundGrain)
	}
	return q, nil
}
