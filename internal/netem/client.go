package netem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoWire is returned when no wire runs in the thread's network namespace.
var ErrNoWire = errors.New("no wire runs here")

// Read returns what the wire of the thread's network namespace does and has counted.
func Read() (Status, error) {
	a, err := ask(question{Ask: askStatus})
	if err != nil {
		return Status{}, err
	}
	if a.Status == nil {
		return Status{}, errors.New("wire: an answer without status")
	}
	return *a.Status, nil
}

// Set changes what the wire of the thread's network namespace does, from the next packet on; it numbers
// packets from 1 again and counts from zero.
func Set(cfg Config) error {
	_, err := ask(question{Ask: askSet, Config: &cfg})
	return err
}

// Stop ends the wire of the thread's network namespace and returns when its process is gone: asked first,
// killed when it doesn't answer. ErrNoWire means that there was none.
func Stop() error {
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	// The descriptor stands for the process that listens, so that no other one can be hit, even if that
	// process ends and its number is used again.
	pid, pidfd, err := processBehind(conn)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	_, refused := exchange(conn, question{Ask: askStop})
	if pid == os.Getpid() {
		return refused // Run is in this very process: its caller sees it return
	}
	if refused == nil && ended(pidfd) == nil {
		return nil
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("wire: kill: %w", err)
	}
	return ended(pidfd)
}

func dial() (net.Conn, error) {
	conn, err := net.Dial("unix", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoWire
	}
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return conn, nil
}

func ask(q question) (answer, error) {
	conn, err := dial()
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	return exchange(conn, q)
}

func exchange(conn net.Conn, q question) (a answer, err error) {
	_ = conn.SetDeadline(time.Now().Add(patience)) // can't fail on an open socket
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return a, fmt.Errorf("wire: ask %s: %w", q.Ask, err)
	}
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return a, fmt.Errorf("wire: ask %s: no answer: %w", q.Ask, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// processBehind returns the number, and a descriptor, of the process that listens at the other end.
func processBehind(conn net.Conn) (pid, pidfd int, err error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, -1, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pidfd, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		}
	}); cerr != nil {
		return 0, -1, cerr
	}
	if err != nil {
		return 0, -1, fmt.Errorf("wire: find its process: %w", err)
	}
	return int(cred.Pid), pidfd, nil
}

// ended waits until a process is gone.
func ended(pidfd int) error {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); ; {
		left := time.Until(end)
		if left <= 0 {
			return errors.New("wire: its process doesn't end")
		}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wire: wait for its end: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}
