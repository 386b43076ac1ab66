package trap

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/umem"
)

// StrayWrite is a store to a frame that was not its writer's. Nothing was written.
type StrayWrite struct {
	Addr   uintptr // in the writers' view
	Frame  umem.Frame
	Offset int    // in the frame
	Holder string // who held it, as far as another goroutine can tell
	Last   Last
	Stack  []byte // of the store; of the call of Explain where a system call made it
	Err    error  // the system call's; nil where it was a store
}

// Error names frame, offset, holder, and who wrote there last.
func (s *StrayWrite) Error() string {
	what := "stray write"
	if s.Err != nil {
		what = "stray write by a system call (" + s.Err.Error() + ")"
	}
	return fmt.Sprintf("%s: frame %d, offset %d: held by %s; %v", what, s.Frame, s.Offset, s.Holder, s.Last)
}

// Unwrap is the system call's error, if it was one.
func (s *StrayWrite) Unwrap() error { return s.Err }

// Guard runs f, and turns a stray store that f makes in this goroutine into a *StrayWrite: f ends there, as by a panic. An
// error of f's is passed on, and so is any other panic.
func (t *Trap) Guard(f func() error) (err error) {
	if t == nil {
		return f()
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		stray := t.caught(cause)
		if stray == nil {
			panic(cause)
		}
		err = stray
	}()
	return f()
}

// caught is the stray store that a panic is about; nil where it is about anything else.
func (t *Trap) caught(cause any) *StrayWrite {
	fault, ok := cause.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return nil
	}
	f, offset, ok := t.table.find(fault.Addr())
	if !ok {
		return nil
	}
	return t.stray(f, offset, nil)
}

// Explain is about a system call that was to write to bufs: where its error is EFAULT, and one of them lies in a frame that
// may not be written, it is a *StrayWrite that wraps that. Any other error is passed on.
func (t *Trap) Explain(err error, bufs ...[]byte) error {
	if t == nil || !errors.Is(err, unix.EFAULT) {
		return err
	}
	for _, b := range bufs {
		begin := address(b)
		for addr := begin; addr < begin+uintptr(len(b)); {
			f, offset, ok := t.table.find(addr)
			if !ok {
				break
			}
			if t.table.state(f) != writable {
				return t.stray(f, offset, err)
			}
			addr += uintptr(t.table.chunk - offset)
		}
	}
	return err
}

func (t *Trap) stray(f umem.Frame, offset int, err error) *StrayWrite {
	return &StrayWrite{
		Addr: t.table.base + uintptr(f)*uintptr(t.table.chunk) + uintptr(offset), Frame: f, Offset: offset,
		Holder: t.table.holder(f), Last: t.table.last(f), Stack: debug.Stack(), Err: err,
	}
}
