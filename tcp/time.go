package tcp

import "math"

// Time is a moment on the caller's monotonic clock, in nanoseconds. The engine
// never reads a clock: now is a parameter of every call that needs it, and is the
// moment at which the batch that is being worked on arrived.
type Time int64

// Duration is a span of Time in nanoseconds.
type Duration = Time

// Never is a deadline that does not come.
const Never = Time(math.MaxInt64)

// Spans of time.
const (
	Microsecond Duration = 1000
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
)
