package hw

import (
	"math"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one of those that sending with AF_XDP asks for.
type capability struct {
	name string
	bit  uint
	or   uint // a capability that the kernel takes instead; the same bit where there is none
}

// The order is that of the setcap line.
var (
	capNetAdmin = capability{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, unix.CAP_NET_ADMIN} // XDP attach, XSKMAP, NTF_USE
	capNetRaw   = capability{"CAP_NET_RAW", unix.CAP_NET_RAW, unix.CAP_NET_RAW}       // socket(AF_XDP)
	capBPF      = capability{"CAP_BPF", unix.CAP_BPF, unix.CAP_SYS_ADMIN}             // bpf(BPF_PROG_LOAD)
	capIPCLock  = capability{"CAP_IPC_LOCK", unix.CAP_IPC_LOCK, unix.CAP_IPC_LOCK}    // UMEM above RLIMIT_MEMLOCK
)

// MissingCapabilities returns the capabilities that the calling thread lacks for AF_XDP with umemBytes of
// packet memory, in the spelling of capabilities(7): CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF (or CAP_SYS_ADMIN),
// and CAP_IPC_LOCK where RLIMIT_MEMLOCK is smaller than umemBytes. Empty means nothing is missing. Where the
// kernel doesn't tell, all are missing.
func MissingCapabilities(umemBytes uint64) []string {
	return missingFrom(effectiveCapabilities(), lockLimit(), umemBytes)
}

func missingFrom(effective, lockLimit, umemBytes uint64) []string {
	needed := []capability{capNetAdmin, capNetRaw, capBPF}
	if umemBytes > lockLimit {
		needed = append(needed, capIPCLock)
	}
	var missing []string
	for _, c := range needed {
		if effective&(1<<c.bit|1<<c.or) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// effectiveCapabilities returns the thread's effective set, or nothing where it can't be read.
func effectiveCapabilities() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // version 3 writes two of them: capabilities 0–31 and 32–63
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return 0
	}
	return uint64(sets[0].Effective) | uint64(sets[1].Effective)<<32
}

// LockLimit is RLIMIT_MEMLOCK in bytes: how much memory may be registered without CAP_IPC_LOCK.
func LockLimit() uint64 { return lockLimit() }

// lockLimit returns RLIMIT_MEMLOCK in bytes; without an answer, no limit: registering the memory will tell.
func lockLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return math.MaxUint64
	}
	return limit.Cur
}

// SetcapLine returns the shell command that lets binary send with AF_XDP for users who aren't root.
// File capabilities don't survive a rebuild and have no effect on a file system mounted nosuid.
func SetcapLine(binary string) string {
	names := make([]string, 0, 4)
	for _, c := range []capability{capNetAdmin, capNetRaw, capBPF, capIPCLock} {
		names = append(names, strings.ToLower(c.name))
	}
	return "sudo setcap " + strings.Join(names, ",") + "+ep " + shellQuote(binary)
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
