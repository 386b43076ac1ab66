package netem

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Hurry asks for real-time priority (SCHED_FIFO, the least one) for all threads of this process, which threads and
// programs started later inherit, and reports whether it was granted.
func Hurry() bool {
	tasks, err := os.ReadDir("/proc/self/task")
	ok := err == nil
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name()) // always a number
		fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		ok = unix.SchedSetAttr(tid, &fifo, 0) == nil && ok
	}
	return ok
}

// hurry is Hurry, and lets this thread be woken exactly when a sleep ends. All threads need the priority, since the
// scheduler of goroutines now and then lets another one decide when the forwarder goes on. Without privileges
// the wire works and is late more often.
func hurry() bool {
	const slack = 1 // nanosecond
	exact := unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0) == nil
	return Hurry() && exact
}
