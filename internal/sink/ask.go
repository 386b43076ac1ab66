package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// ErrNoVerdict is returned by Ask when who listens there answers no questions.
var ErrNoVerdict = errors.New("it answers no questions: start \"xsend sink --verify\" there")

// Ask asks the receiver at ADDR:PORT for its verdicts on connections, which it knows by their senders' addresses. Those
// that are open get none yet.
func Ask(ctx context.Context, addr string, conns []netip.AddrPort) ([]Verdict, error) {
	asked := make([]Query, len(conns))
	for i, c := range conns {
		asked[i].Remote = c
	}
	return AskRounds(ctx, addr, asked)
}

// AskRounds is Ask for verdicts on rounds, too.
func AskRounds(ctx context.Context, addr string, asked []Query) ([]Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	verdicts, err := ask(ctx, addr, asked)
	if errors.Is(err, unix.ECONNREFUSED) {
		err = fmt.Errorf("%w: start \"xsend sink --verify\" there", err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its verdict: %w", addr, err)
	}
	return verdicts, nil
}

func ask(ctx context.Context, addr string, asked []Query) ([]Verdict, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, bare(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if err := writeQuestion(conn, asked); err != nil {
		return nil, bare(err)
	}
	// Who takes this for data shall see its end.
	_ = conn.(*net.TCPConn).CloseWrite()
	text, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	switch {
	case context.Cause(ctx) != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", ErrNoVerdict, bare(err))
	}
	return parseAnswer(text, asked)
}

// parseAnswer reads an answer to a question for connections.
func parseAnswer(text []byte, asked []Query) ([]Verdict, error) {
	var v Verdicts
	if err := json.Unmarshal(text, &v); err != nil || v.Schema != VerdictSchema {
		return nil, ErrNoVerdict
	}
	if v.Err != "" {
		return nil, fmt.Errorf("it refuses: %s", v.Err)
	}
	if len(v.Connections) != len(asked) {
		return nil, fmt.Errorf("it answers for %d connections instead of %d", len(v.Connections), len(asked))
	}
	for i, c := range v.Connections {
		if c.Remote != asked[i].Remote {
			return nil, fmt.Errorf("it answers for %v instead of %v", c.Remote, asked[i].Remote)
		}
		if asked[i].Round != 0 && c.State == StateEnded && c.Rounds == nil && c.Err == "" {
			return nil, errors.New("it says nothing of rounds: it is an older xsend")
		}
	}
	return v.Connections, nil
}
