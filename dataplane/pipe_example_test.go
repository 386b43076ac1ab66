package dataplane_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/xsend/xsend/dataplane"
)

// overMemory prints what a peer gets of what send writes. Streams come from
// session.Conn, or from Poller.Dial, elsewhere.
func overMemory(send func(context.Context, *dataplane.Writer, *dataplane.Stream)) {
	got, _ := dataplane.OverMemory(dataplane.Memory{}, send)
	fmt.Printf("the peer got %q\n", got)
}

// Whatever writes to an io.Writer writes to a stream. Flush returns when all of it is
// ACKed and out of the NIC.
func ExamplePipe() {
	overMemory(func(ctx context.Context, w *dataplane.Writer, s *dataplane.Stream) {
		p := w.Pipe(s)
		fmt.Fprintf(p, "%d bottles, ", 99)
		if _, err := io.Copy(p, strings.NewReader("and a reader")); err != nil {
			fmt.Println(err)
		}
		fmt.Println("flushed:", p.Flush(ctx), p.Outstanding())
	})
	// Output:
	// flushed: <nil> 0
	// the peer got "99 bottles, and a reader"
}

// Frames are filled in place and sent from there. Each one is told of, with the
// cookie it was given, when nothing will read it any more: it could be filled again.
func ExamplePipe_Send() {
	overMemory(func(ctx context.Context, w *dataplane.Writer, s *dataplane.Stream) {
		p := w.Pipe(s)
		done := func(r dataplane.Release, payload []byte) {
			fmt.Printf("record %d, bytes %d to %d: %v\n", r.Cookie, r.Start, r.End, r.Reason)
			clear(payload) // nobody sees that
		}
		for record := range uint64(3) {
			b, err := p.Reserve(ctx)
			if err != nil {
				fmt.Println(err)
				return
			}
			p.Send(b, copy(b.Bytes, fmt.Sprintf("record %d;", record)), record, done)
			if err := p.Flush(ctx); err != nil { // in order, for this example's output
				fmt.Println(err)
			}
		}
	})
	// Output:
	// record 0, bytes 0 to 9: acked
	// record 1, bytes 9 to 18: acked
	// record 2, bytes 18 to 27: acked
	// the peer got "record 0;record 1;record 2;"
}

// A part of a file, which may be changed as soon as SendFile has returned.
func ExamplePipe_SendFile() {
	f, err := os.CreateTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	fmt.Fprint(f, "the quick brown fox")

	overMemory(func(ctx context.Context, w *dataplane.Writer, s *dataplane.Stream) {
		p := w.Pipe(s)
		n, err := p.SendFile(f, 4, 11)
		_, _ = f.WriteAt([]byte("slick"), 4)
		fmt.Println(n, err, p.Flush(ctx))
	})
	// Output:
	// 11 <nil> <nil>
	// the peer got "quick brown"
}

// Other goroutines wait for places in the stream, while the writer's waits for what it
// is to write and for news of the poller's at the same time.
func ExamplePipe_Mark() {
	type job struct {
		text string
		sent chan *dataplane.Mark
	}
	jobs := make(chan job)
	go func() {
		defer close(jobs)
		for _, text := range []string{"one ", "two "} {
			j := job{text, make(chan *dataplane.Mark)}
			jobs <- j
			err := (<-j.sent).Wait(context.Background())
			fmt.Printf("%q has arrived: %v\n", text, err)
		}
	}()

	overMemory(func(ctx context.Context, w *dataplane.Writer, s *dataplane.Stream) {
		for p := w.Pipe(s); ; {
			select {
			case j, more := <-jobs:
				if !more {
					return
				}
				_, _ = io.WriteString(p, j.text) // a Mark behind what failed says so
				j.sent <- p.Mark()
			case <-w.News():
				w.Poll() // closes the marks that were reached
			}
		}
	})
	// Output:
	// "one " has arrived: <nil>
	// "two " has arrived: <nil>
	// the peer got "one two "
}
