package dataplane_test

import (
	"context"
	"fmt"
	"io"

	"github.com/xsend/xsend/dataplane"
)

// A writer in a goroutine of its own copies a reader into frames and waits until the
// peer has everything. Programs that produce their bytes in place write into
// Buf.Bytes instead.
func ExampleWriter() {
	send := func(ctx context.Context, w *dataplane.Writer, s *dataplane.Stream, from io.Reader) error {
		unanswered := 0
		w.OnRelease = func(dataplane.Release, []byte) { unanswered-- }
		for cookie := uint64(0); ; cookie++ {
			b, err := w.ReserveWait(ctx, s)
			if err != nil {
				return err
			}
			n, err := io.ReadFull(from, b.Bytes)
			if n == 0 {
				w.Abandon(s, b)
			} else {
				w.Commit(s, b, n, cookie)
				unanswered++
			}
			if err != nil { // io.EOF, io.ErrUnexpectedEOF
				break
			}
		}
		w.CloseWrite(s)
		for unanswered > 0 {
			if w.Poll() == 0 {
				if err := w.Wait(ctx); err != nil {
					return err
				}
			}
		}
		return s.WaitSendClosed(ctx)
	}
	_ = send
}

// The modes that xsend send --release takes.
func ExampleParseReleaseMode() {
	m, err := dataplane.ParseReleaseMode("completion")
	fmt.Println(m, err)
	_, err = dataplane.ParseReleaseMode("sent")
	fmt.Println(err)
	// Output:
	// completion <nil>
	// dataplane: bad configuration: release mode "sent": must be one of [ack completion submit acked]
}
