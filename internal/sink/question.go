package sink

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// begun is a connection whose first bytes have been read to see what it is.
type begun struct {
	net.Conn
	head []byte
	err  error // what ended the reading; it is returned behind head, once
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.head) > 0 {
		n := copy(p, b.head)
		b.head = b.head[n:]
		return n, nil
	}
	if err := b.err; err != nil {
		b.err = nil
		return 0, err
	}
	return b.Conn.Read(p)
}

// begin reads as much as tells a question from anything else. Who begins like a question and then says nothing is no
// question.
func begin(ctx context.Context, conn net.Conn) (b *begun, question bool) {
	unhook := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer unhook()
	b = &begun{Conn: conn}
	buf := make([]byte, len(greeting))
	for len(b.head) < len(greeting) && strings.HasPrefix(greeting, string(b.head)) && b.err == nil {
		var n int
		n, b.err = conn.Read(buf[:len(greeting)-len(b.head)])
		if n > 0 && len(b.head) == 0 && ctx.Err() == nil {
			conn.SetReadDeadline(time.Now().Add(questionTime))
		}
		b.head = append(b.head, buf[:n]...)
	}
	if errors.Is(b.err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		b.err = nil
	}
	if ctx.Err() == nil {
		conn.SetReadDeadline(time.Time{})
	}
	return b, string(b.head) == greeting
}

// sort answers a question, and receives anything else.
func (r *run) sort(ctx context.Context, conn net.Conn, accepted time.Time) {
	b, question := begin(r.sorting, conn)
	if question {
		r.answer(conn)
		return
	}
	res, ok := r.enter(conn, accepted)
	if !ok { // it is one too many
		conn.Close()
		return
	}
	r.finish(r.cfg.receive(ctx, b, res))
}

// answer reads the rest of a question and answers it.
func (r *run) answer(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(questionTime))
	v := Verdicts{Schema: VerdictSchema, Connections: []Verdict{}}
	asked, err := readQuestion(conn)
	if err != nil {
		v.Err = err.Error()
	}
	for _, q := range asked {
		v.Connections = append(v.Connections, r.verdict(q))
	}
	_ = json.NewEncoder(conn).Encode(v) // who asked may be gone
	if err == nil {
		return
	}
	// What was not read would make the kernel reset the connection, and the answer could get lost.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, conn, maxQuestion)
}

// verdict is that of the latest connection from an address.
func (r *run) verdict(q Query) Verdict {
	of := q.Remote
	v := Verdict{Remote: of, State: StateUnknown, Comparison: Comparison{FirstWrong: -1}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.results) - 1; i >= 0; i-- {
		res := &r.results[i]
		if remote, err := netip.ParseAddrPort(res.Remote); err != nil || !sameAddress(remote, of) {
			continue
		}
		v.State = StateOpen
		if !res.ended {
			return v
		}
		v.State, v.Bytes, v.Err = StateEnded, res.Bytes, res.Err
		v.Seconds = res.LastByte.Sub(res.FirstByte).Seconds()
		if res.Compared != nil {
			v.Comparison = *res.Compared
			v.addRounds(q.Round, res.Bytes, res.damage)
		}
		return v
	}
	return v
}
