package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// pipelineDepth is the number of buffers that go round between reading and consuming.
const pipelineDepth = 4

// errStopped is in the Cause of a connection that was cut because Run's context ended.
var errStopped = errors.New("stopped")

// receive reads one connection to its end, closes it and completes its result.
func (c Config) receive(ctx context.Context, conn net.Conn, res Result) Result {
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A deadline in the past ends the read that is under way.
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()

	use, err := c.newConsumer(res.Conn)
	if err == nil {
		res, err = c.pump(ctx, cancel, conn, use, res)
		err = errors.Join(err, use.finish(&res))
	}
	res.Seconds = time.Since(res.Accepted).Seconds()
	res.BitsPerSecond = bitRate(res.Bytes, res.Seconds)
	if err != nil {
		res.Err, res.Cause = err.Error(), err
	}
	return res
}

// pump moves bytes from the connection to the consumer, through a ring of buffers if the consumer has work
// to do with them.
func (c Config) pump(ctx context.Context, cancel context.CancelCauseFunc, conn net.Conn, use *consumer, res Result) (Result, error) {
	if use.idle() {
		buf := make([]byte, c.ReadSize)
		return c.read(ctx, conn, res, func() []byte { return buf }, func([]byte) {})
	}
	free := make(chan []byte, pipelineDepth)
	full := make(chan []byte, pipelineDepth)
	for range pipelineDepth {
		free <- make([]byte, c.ReadSize)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			if err := use.consume(b); err != nil {
				cancel(err) // the reader stops; what it still passes on is drained
			}
			free <- b[:cap(b)]
		}
	}()
	res, err := c.read(ctx, conn, res, func() []byte { return <-free }, func(b []byte) { full <- b })
	close(full)
	<-done
	return res, err
}

// read reads until the sender's FIN, an error, or the end of ctx. It takes each buffer with next and hands
// it on, even an empty one, with put.
func (c Config) read(ctx context.Context, conn net.Conn, res Result, next func() []byte, put func([]byte)) (Result, error) {
	for {
		if err := c.hold(ctx, res); err != nil {
			return res, readError(ctx, err)
		}
		buf := next()
		n, err := conn.Read(buf)
		if n > 0 {
			res.LastByte = time.Now()
			if res.Bytes == 0 {
				res.FirstByte = res.LastByte
			}
			res.Bytes += int64(n)
		}
		put(buf[:n])
		if err == io.EOF {
			return res, nil
		}
		if err != nil {
			return res, readError(ctx, err)
		}
	}
}

// hold keeps the next read back as long as Config asks for.
func (c Config) hold(ctx context.Context, res Result) error {
	if c.BeforeRead != nil {
		c.BeforeRead(ctx, res.Conn, res.Bytes)
	}
	if c.BytesPerSecond > 0 {
		due := time.Duration(float64(res.Bytes) / float64(c.BytesPerSecond) * float64(time.Second))
		if wait := due - time.Since(res.Accepted); wait > 0 {
			return pause(ctx, wait)
		}
	}
	return nil
}

// readError says why a connection ended: we ended it (the output failed, or the run was stopped), or the
// network did.
func readError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.As(cause, new(*outputError)) {
			return nil // reported by the consumer
		}
		return fmt.Errorf("%w: %w", errStopped, cause)
	}
	return bare(err)
}

// bare is an error of the network without the addresses, which are known.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return fmt.Errorf("%s: %w", call.Syscall, call.Err)
	}
	return err
}
