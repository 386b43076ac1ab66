package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// interruption turns the signals that ask a program to end into the ends of two contexts: the first signal
// asks politely, the second one at once.
type interruption struct {
	polite, atOnce context.Context
	first          atomic.Int32            // number of the first signal; 0 without one
	end            context.CancelCauseFunc // polite's
}

// errInterrupted is the cause of both contexts' end.
var errInterrupted = errors.New("interrupted")

// catch starts to listen; the returned function ends it and gives the signals their old meaning back.
func catch(ctx context.Context) (*interruption, func()) {
	polite, endPolite := context.WithCancelCause(ctx)
	atOnce, endAtOnce := context.WithCancelCause(ctx)
	in := &interruption{polite: polite, atOnce: atOnce, end: endPolite}
	signals := make(chan os.Signal, 4)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup means it
			signal.Notify(signals, s)
		}
	}
	quit := make(chan struct{})
	go func() {
		ends := []context.CancelCauseFunc{endPolite, endAtOnce}
		for _, end := range ends {
			select {
			case s := <-signals:
				n := s.(syscall.Signal)
				in.first.CompareAndSwap(0, int32(n))
				end(fmt.Errorf("%w: %v", errInterrupted, n))
			case <-quit:
				return
			}
		}
		<-quit
	}()
	return in, func() {
		signal.Stop(signals)
		close(quit)
		endPolite(nil)
		endAtOnce(nil)
	}
}

// unread asks politely where nobody reads any more what the program prints. SIGPIPE is for that, but would end it at
// once and leave the peer waiting.
func (in *interruption) unread(err error) {
	in.first.CompareAndSwap(0, int32(syscall.SIGPIPE))
	in.end(fmt.Errorf("%w: %w", errInterrupted, err))
}

// code is the exit code that the first signal asks for, 0 without one.
func (in *interruption) code() int {
	if n := in.first.Load(); n != 0 {
		return exitSignal + int(n)
	}
	return 0
}
