package settings

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sentinels for [errors.Is]. The error that wraps one names the subject, the cause and the remedy.
var (
	// ErrSyntax means that a text names no change.
	ErrSyntax = errors.New("no such setting")
	// ErrRefused means that the interface hasn't got the setting, or the kernel didn't take the value.
	ErrRefused = errors.New("refused")
	// ErrHeld means that another run has the interface.
	ErrHeld = errors.New("interface is in use by another run")
	// ErrLeftOver means that a run was killed and its changes are still there.
	ErrLeftOver = errors.New("settings of a run that was killed have not been restored")
	// ErrForce means that the change could cut the machine off.
	ErrForce = errors.New("could cut this machine off")
	// ErrJournal means that the journal can't be written or read.
	ErrJournal = errors.New("journal")
	// ErrNotRestored means that some settings are not as they were.
	ErrNotRestored = errors.New("not restored")
)

// flags are how the command line asks for a change, for remedies.
var flags = map[Group]string{
	Feature: "--set", Channels: "--set-channels", Ring: "--set-ring", Coalesce: "--set-coalesce", Pause: "--set-pause", MTU: "--mtu",
}

// errnos are what the kernel's answers mean here, and what one can do.
var errnos = map[unix.Errno][2]string{
	unix.EOPNOTSUPP: {"the driver can't change that", "leave it out"},
	unix.EINVAL:     {"the driver takes no such value", "choose another one"},
	unix.ERANGE:     {"the value is out of the driver's range", "choose another one"},
	unix.EPERM:      {"CAP_NET_ADMIN is missing", "run as root"},
	unix.EACCES:     {"CAP_NET_ADMIN is missing", "run as root"},
	unix.EBUSY:      {"the device is in use, by AF_XDP sockets or a reset", "try again when it is idle"},
	unix.EAGAIN:     {"the device is resetting", "try again"},
	unix.ENODEV:     {"the interface is gone", "\"ip link\" lists those that exist"},
	unix.ENETDOWN:   {"the interface is down", "\"ip link set up\" brings it up"},
	unix.ENOMEM:     {"there is no memory for it", "choose a smaller value"},
	unix.ENOSPC:     {"the device has no room for it", "choose a smaller value"},
	unix.ETIMEDOUT:  {"the device didn't answer", "the kernel's log may say why"},
	unix.EIO:        {"the device failed", "the kernel's log may say why"},
	unix.EROFS:      {"/sys is mounted read-only", "mount it writable"},
}

// explain adds to what the kernel answered its name, its meaning and a remedy.
func explain(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	text, known := errnos[errno]
	if !known {
		text = [2]string{"the driver or the kernel refused", "the kernel's log may say why"}
	}
	return fmt.Errorf("%w (%s): %s; %s", err, unix.ErrnoName(errno), text[0], text[1])
}

// setError is about a change that the kernel answered with an error.
func setError(r request, err error, most Values) error {
	hint := ""
	if errors.Is(err, unix.EINVAL) && len(most) > 0 {
		hint = fmt.Sprintf(" (at most %s)", most)
	}
	return fmt.Errorf("%s: set %s: %w: %w%s", r.name, r.what(), ErrRefused, explain(err), hint)
}
