package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/xsend/xsend/internal/pattern"
)

// DefaultListen is the address for an empty Config.Listen: port 9000 on all addresses, IPv4 and IPv6.
const DefaultListen = ":9000"

// DefaultReadSize is how much one read asks for at most, in bytes, unless Config says otherwise.
const DefaultReadSize = 256 << 10

// maxReadSize bounds the buffers of one connection, in bytes.
const maxReadSize = 64 << 20

// Config says what to receive and what to do with it. The zero value listens on DefaultListen for ever and
// hashes what comes.
type Config struct {
	Listen   string       // ADDR:PORT, port 0 lets the kernel choose; "" is DefaultListen
	Listener net.Listener // use this one, made elsewhere, instead of Listen; Run closes it
	Count    int          // connections to accept before the listener closes; 0 is no bound

	OutPath  string      // write the bytes to this file; from the second connection on to OutPath.2, .3, …
	Out      io.Writer   // write the bytes here; needs Count 1
	Expect   io.ReaderAt // compare with these bytes, offset 0 being each connection's first; nil compares nothing
	Verify   bool        // compare with the pattern, and answer who asks for the verdict on a connection (see Ask)
	SkipHash bool        // leave the SHA-256 out

	ReadBuffer     int   // SO_RCVBUF in bytes, of which the kernel makes twice that, at least 2304; 0 leaves it
	WindowClamp    int   // TCP_WINDOW_CLAMP, the largest window to advertise in bytes; the kernel's least is 1152; 0 leaves it
	ReadSize       int   // bytes one read asks for at most, up to 64 MiB; 0 is DefaultReadSize
	BytesPerSecond int64 // read no faster than this; 0 is no bound

	// OnListening is called once, with the address in use.
	OnListening func(net.Addr)
	// OnConn is called when a connection has ended.
	OnConn func(Result)
	// BeforeRead is called before each read of connection number conn, from 1, which has read so many
	// bytes so far. It may wait, and must return when ctx ends. It is called on that connection's own
	// goroutine, several at a time.
	BeforeRead func(ctx context.Context, conn int, read int64)
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.ReadSize == 0 {
		c.ReadSize = DefaultReadSize
	}
	if c.Verify && c.Expect == nil {
		c.Expect = pattern.Stream{}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Count < 0:
		return fmt.Errorf("sink: count %d: choose 0 for no bound, or more", c.Count)
	case c.Out != nil && c.OutPath != "":
		return errors.New("sink: two outputs: choose a file or a writer")
	case c.Out != nil && c.Count != 1:
		return errors.New("sink: one writer can take one connection only: set the count to 1, or write to a file")
	case c.ReadSize < 1 || c.ReadSize > maxReadSize:
		return fmt.Errorf("sink: read size %d: choose 1 to %d bytes", c.ReadSize, maxReadSize)
	case c.ReadBuffer < 0 || c.WindowClamp < 0 || c.BytesPerSecond < 0:
		return errors.New("sink: receive buffer, window clamp and rate can't be negative")
	}
	return nil
}
