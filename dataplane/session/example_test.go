package session_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
)

// A writer fills frames in place, and learns, with the cookie it gave, when each one is
// its own again.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	to := netip.MustParseAddrPort("192.0.2.10:9000")

	s, err := session.Open(ctx, session.Config{Destination: to.Addr()})
	if err != nil {
		log.Fatal(err) // nothing was started
	}
	defer s.Close()
	c, err := s.Dial(ctx, session.DialConfig{Remote: to})
	if err != nil {
		log.Fatal(err)
	}

	w := c.Writer()
	w.OnRelease = func(r dataplane.Release, _ []byte) {
		fmt.Println("record", r.Cookie, r.Reason, "after", time.Duration(r.Acked-r.Submitted))
	}
	for record := range uint64(1000) {
		b, err := w.ReserveWait(ctx, c.Stream())
		if err != nil {
			log.Fatal(err)
		}
		n := copy(b.Bytes, fmt.Sprintf("record %d\n", record))
		w.Commit(c.Stream(), b, n, record)
	}

	c.CloseWrite()
	if err := c.WaitSent(ctx); err != nil {
		log.Fatal(err)
	}
	for w.Held(c.Stream()) > 0 { // the NIC may be later than the peer
		if w.Poll(); w.Wait(ctx) != nil {
			break
		}
	}
	report, err := s.Close()
	fmt.Fprintln(os.Stderr, report.Frames, err)
}

// A file by io.Copy, and the moment when nothing reads the connection's memory any
// more. That the peer's program has the file only its answer would say.
func ExampleConn_Flush() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	to := netip.MustParseAddrPort("192.0.2.10:9000")
	s, err := session.Open(ctx, session.Config{Destination: to.Addr()})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	c, err := s.Dial(ctx, session.DialConfig{Remote: to})
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.Open("big.iso")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	c.Pipe().SetContext(ctx) // a deadline for what waits in Copy
	if _, err := io.Copy(c, f); err != nil {
		log.Fatal(err)
	}
	if err := c.Flush(ctx); err != nil { // ACKed, and out of the NIC
		log.Fatal(err)
	}
	c.CloseWrite()
	if err := c.WaitSent(ctx); err != nil {
		log.Fatal(err)
	}
}

// Several connections over one session; each has a writer of its own.
func ExampleSession_Dial() {
	ctx := context.Background()
	peers := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:9000"), netip.MustParseAddrPort("192.0.2.11:9000")}

	s, err := session.Open(ctx, session.Config{Destination: peers[0].Addr(), Writers: len(peers)})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	var writers sync.WaitGroup
	defer writers.Wait() // no writer may be in use when the session is closed
	for _, peer := range peers {
		wait, cancel := context.WithTimeout(ctx, 5*time.Second)
		c, err := s.Dial(wait, session.DialConfig{Remote: peer})
		cancel()
		if err != nil {
			log.Fatal(err)
		}
		writers.Go(func() {
			defer c.Close() // gives frames back, and the port once the connection is over
			b, err := c.Writer().ReserveWait(ctx, c.Stream())
			if err != nil {
				return
			}
			c.Writer().Commit(c.Stream(), b, copy(b.Bytes, "hello"), 0)
		})
	}
}
