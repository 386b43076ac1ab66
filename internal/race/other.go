package race

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// OtherCommand is the name of the hidden subcommand of "xsend race" that RunOther is.
const OtherCommand = "other"

// other is another process that writes the file. The lock that both take goes through two pipes: it writes a buffer after
// sendfile() has returned, and the sender goes on after it has written.
type other struct {
	cmd    *exec.Cmd
	ask    *os.File
	answer *os.File
}

func startOther(self string, m *memory) (o *other, err error) {
	var ends []*os.File
	defer func() {
		for _, f := range ends {
			f.Close()
		}
	}()
	theirs, ask, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	answer, ours, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), theirs.Close(), ask.Close())
	}
	ends = append(ends, theirs, ours)
	fd, err := unix.FcntlInt(uintptr(m.file), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("duplicate the file: %w", err), ask.Close(), answer.Close())
	}
	file := os.NewFile(uintptr(fd), "xsend-race")
	ends = append(ends, file)
	o = &other{cmd: exec.Command(self, "race", OtherCommand, strconv.Itoa(m.round)), ask: ask, answer: answer}
	o.cmd.Stdin, o.cmd.Stdout, o.cmd.Stderr = theirs, ours, os.Stderr
	o.cmd.ExtraFiles = []*os.File{file}
	if err := o.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the other process: %w", err), ask.Close(), answer.Close())
	}
	return o, nil
}

// rewrite has the other process write the marker over a buffer, and waits until it has.
func (o *other) rewrite(slot int) error {
	if err := binary.Write(o.ask, binary.NativeEndian, uint32(slot)); err != nil {
		return err
	}
	var said uint32
	if err := binary.Read(o.answer, binary.NativeEndian, &said); err != nil {
		return fmt.Errorf("the other process: %w", err)
	}
	if said != uint32(slot) {
		return fmt.Errorf("the other process has written buffer %d instead of %d", said, slot)
	}
	return nil
}

func (o *other) stop() error {
	err := o.ask.Close()
	return errors.Join(err, o.cmd.Wait(), o.answer.Close())
}

// otherFile is the descriptor that the other process finds the file at.
const otherFile = 3

// RunOther is the other process's part: each buffer that it is asked for gets the marker, with pwrite(2).
func RunOther(round int, ask io.Reader, answer io.Writer) error {
	if round < pageSize || round > mostRound {
		return fmt.Errorf("buffers of %d bytes", round)
	}
	mine := make([]byte, round)
	mark(mine)
	for {
		var slot uint32
		if err := binary.Read(ask, binary.NativeEndian, &slot); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := all(round, func(done int) (int, error) {
			return unix.Pwrite(otherFile, mine[done:], int64(slot)*int64(round)+int64(done))
		}); err != nil {
			return fmt.Errorf("write the file: %w", err)
		}
		if err := binary.Write(answer, binary.NativeEndian, slot); err != nil {
			return err
		}
	}
}
