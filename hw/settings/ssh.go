package settings

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const sshVariable = "SSH_CONNECTION"

// sshConnection is the SSH connection that this process was called from, as sshd describes it; "" = none. sudo and su take the variable away, so that those
// who called are looked at, too.
func sshConnection() string {
	if text, here := os.LookupEnv(sshVariable); here {
		return text
	}
	seen := map[int]bool{}
	for pid := os.Getppid(); pid > 1 && !seen[pid]; pid = parentOf(pid) {
		seen[pid] = true
		if text := environmentOf(pid); text != "" {
			return text
		}
	}
	return ""
}

// environmentOf is the variable as a process was started with it.
func environmentOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(b), "\x00") {
		if text, ok := strings.CutPrefix(line, sshVariable+"="); ok {
			return text
		}
	}
	return ""
}

// parentOf is 0 where nobody tells.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // behind the name, which may hold anything
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}
