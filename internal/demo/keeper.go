package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/xsend/xsend/internal/lab"
)

// keepPipe is the keeper's descriptor: a byte from it says that nothing is left to remove, its end without one that the demonstration was killed.
const keepPipe = 3

// keeper is the process that removes the lab of a demonstration that was killed.
type keeper struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// startKeeper starts it before anything is made that it would have to remove. file is the one that was made to be sent; "" = none.
func startKeeper(command []string, name, file string) (*keeper, error) {
	if len(command) == 0 {
		return nil, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], name, file)...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are for the demonstration
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the keeper of the lab: %w", err)
	}
	return &keeper{cmd, ours}, nil
}

// dismiss tells it that there is nothing to do.
func (k *keeper) dismiss() {
	if k == nil {
		return
	}
	_, _ = k.pipe.Write([]byte{0}) // it may be dead
	_ = k.pipe.Close()
	_ = k.cmd.Wait()
}

// Keep is what a keeper does: it waits for the end of the demonstration that started it and, where that was killed, ends what runs in its lab and removes
// lab and file. What it did is told to log.
func Keep(name, file string, log io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // it ends after the demonstration, not with it
	pipe := os.NewFile(keepPipe, "pipe")
	if pipe == nil {
		return errors.New("keeper: its pipe is missing: xsend demo starts it by itself")
	}
	if n, err := pipe.Read(make([]byte, 1)); n == 1 || !errors.Is(err, io.EOF) {
		return err
	}
	endAll(name)
	err := lab.Down(name)
	if file != "" {
		if rerr := os.Remove(file); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err == nil {
		fmt.Fprintf(log, "xsend: the demonstration was killed; removed what it had made\n")
	}
	return err
}

// endAll kills what runs in the namespaces of the lab, which are nobody else's.
func endAll(name string) {
	var spaces []os.FileInfo
	for _, end := range []string{lab.Sender, lab.Receiver} {
		if st, err := os.Stat(filepath.Join("/run/netns", lab.Namespace(name, end))); err == nil {
			spaces = append(spaces, st)
		}
	}
	found, _ := filepath.Glob("/proc/[0-9]*/ns/net") // fails for a bad pattern only
	for _, path := range found {
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		for _, space := range spaces {
			if os.SameFile(st, space) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}
