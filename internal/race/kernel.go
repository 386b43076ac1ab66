package race

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/xsend/xsend/internal/kerneltcp"
	"github.com/xsend/xsend/internal/pattern"
	"golang.org/x/sys/unix"
)

// congestion is set explicitly: the machine's default may be anything. xsend's is the same.
const congestion = "cubic"

// patience is how long a writer waits for its peer, or for a notification.
const patience = 20 * time.Second

// errLacking says that this kernel hasn't got what a row is about.
var errLacking = errors.New("this kernel hasn't got it")

// api is a way of the kernel's TCP to send a buffer, with a writer's idea of when it has that back.
type api interface {
	// send hands the buffer over and returns as the call does.
	send(slot int) error
	// back returns the buffers that are the writer's again since it was last asked; it waits for one if asked to.
	back(wait bool) ([]int, error)
	close() error
}

// kernel is a writer of the kernel's TCP.
type kernel struct {
	api
	mem     *memory
	book    *book
	rewrite func(slot int) error
	round   []int // that is in each buffer, -1: it is the writer's
}

// runKernel is a run over the kernel's TCP.
func runKernel(cfg *WriterConfig, r *WriterReport) (err error) {
	runtime.LockOSThread() // as package uring wants it
	defer runtime.UnlockOSThread()
	mem, err := newMemory(cfg.Buffers, cfg.Round)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mem.close()) }()
	fd, err := kerneltcp.Connect(cfg.Target, congestion, cfg.Interface)
	if err != nil {
		return fmt.Errorf("%v: %w", cfg.Target, err)
	}
	defer unix.Close(fd)
	k := &kernel{mem: mem, round: make([]int, cfg.Buffers)}
	for i := range k.round {
		k.round[i] = -1
	}
	if err := k.open(cfg, fd, r); err != nil {
		if errors.Is(err, errLacking) {
			r.Lacking, err = err.Error(), nil
		}
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	k.book = newBook(r, cfg.Rounds)
	if err := k.write(cfg.Rounds); err != nil {
		return err
	}
	if err := kerneltcp.Finish(fd, patience); err != nil {
		return err
	}
	k.book.end()
	r.Bytes = int64(cfg.Rounds) * int64(cfg.Round)
	if r.Local, err = kerneltcp.Local(fd); err != nil {
		return err
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("read TCP_INFO: %w", err)
	}
	r.Retransmits = uint64(info.Total_retrans)
	return nil
}

// open makes the row's API and its way to rewrite.
func (k *kernel) open(cfg *WriterConfig, fd int, r *WriterReport) (err error) {
	k.rewrite = func(slot int) error { mark(k.mem.slot(slot)); return nil }
	switch cfg.Sender {
	case Send:
		k.api = &returning{call: func(slot int) error { return sendAll(fd, k.mem.slot(slot)) }}
	case Sendfile:
		k.api = &returning{call: func(slot int) error { return sendfileAll(fd, k.mem, slot) }}
	case SendfileOther:
		other, oerr := startOther(cfg.Self, k.mem)
		if oerr != nil {
			return oerr
		}
		k.rewrite = other.rewrite
		k.api = &returning{call: func(slot int) error { return sendfileAll(fd, k.mem, slot) }, end: other.stop}
	case Splice:
		k.api, err = newSplicer(fd, k.mem)
	case ZerocopyReturn, ZerocopyNotified:
		k.api, err = newZerocopy(fd, k.mem, cfg, r)
	case SendZCReturn, SendZCNotified:
		k.api, err = newSendZC(fd, k.mem, cfg, r)
	default:
		err = fmt.Errorf("no such call: %s", cfg.Sender)
	}
	return err
}

// write sends the rounds, and waits until every buffer is the writer's again.
func (k *kernel) write(rounds int) error {
	for round := range rounds {
		slot := round % len(k.round)
		for k.round[slot] >= 0 {
			if err := k.take(true); err != nil {
				return err
			}
		}
		pattern.At(k.mem.slot(slot), int64(round)*int64(k.mem.round))
		k.round[slot] = round
		k.book.report.Rounds[round].Handed = k.book.now()
		if err := k.send(slot); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := k.take(false); err != nil {
			return err
		}
	}
	for slot := range k.round {
		for k.round[slot] >= 0 {
			if err := k.take(true); err != nil {
				return err
			}
		}
	}
	return nil
}

// take rewrites the buffers that are the writer's again.
func (k *kernel) take(wait bool) error {
	slots, err := k.back(wait)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		m := &k.book.report.Rounds[k.round[slot]]
		m.Back = k.book.now()
		if err := k.rewrite(slot); err != nil {
			return fmt.Errorf("rewrite: %w", err)
		}
		m.Rewritten = k.book.now()
		k.round[slot] = -1
	}
	return nil
}

// returning is an API whose writer takes its return for "yours again".
type returning struct {
	call func(slot int) error
	end  func() error // nil: nothing to close
	done []int
}

func (r *returning) send(slot int) error {
	r.done = append(r.done, slot)
	return r.call(slot)
}

func (r *returning) back(bool) ([]int, error) {
	done := r.done
	r.done = nil
	return done, nil
}

func (r *returning) close() error {
	if r.end == nil {
		return nil
	}
	return r.end()
}

// all calls some until all n bytes are gone.
func all(n int, some func(done int) (int, error)) error {
	for done := 0; done < n; {
		m, err := some(done)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case m <= 0:
			return errors.New("the socket takes nothing")
		}
		done += m
	}
	return nil
}

func sendAll(fd int, b []byte) error {
	return all(len(b), func(done int) (int, error) { return unix.SendmsgN(fd, b[done:], nil, nil, unix.MSG_NOSIGNAL) })
}

func sendfileAll(fd int, m *memory, slot int) error {
	return all(m.round, func(done int) (int, error) {
		offset := int64(slot*m.round + done)
		return unix.Sendfile(fd, m.file, &offset, m.round-done)
	})
}
