package dataplane

import "errors"

// What this package returns, usually wrapped with the subject and the remedy.
var (
	// ErrBadConfig: New, Open or NewWriter refused what it was given.
	ErrBadConfig = errors.New("dataplane: bad configuration")
	// ErrFlowInUse: Open of a pair of addresses and ports that another stream of
	// this poller has, perhaps in TIME-WAIT.
	ErrFlowInUse = errors.New("dataplane: flow is in use")
	// ErrTooMany: the poller has no place for another stream, or no memory for it.
	ErrTooMany = errors.New("dataplane: too many streams")
	// ErrStopped: the poller's Run has ended, or is about to.
	ErrStopped = errors.New("dataplane: poller stopped")
	// ErrClosed: the stream does not take data any more: CloseWrite was called, or
	// the connection ended without an error.
	ErrClosed = errors.New("dataplane: stream closed for writing")
	// ErrReleases: ReserveWait would wait for frames that lie in releases which the
	// writer has not taken; call Releases, or set OnRelease.
	ErrReleases = errors.New("dataplane: releases are waiting to be taken")
	// ErrQueueDead: the queue stopped (its socket died, or completions ceased) and
	// could not be opened again.
	ErrQueueDead = errors.New("dataplane: queue is dead")
	// ErrNoReopen: what Config.Reopen returns, wrapped with the reason, where no
	// further attempt can succeed.
	ErrNoReopen = errors.New("it cannot be opened again")

	errStalled = errors.New("descriptors are out and the kernel completes none")
	errCorrupt = errors.New("the kernel's ring index is nonsense")
	errKick    = errors.New("the socket refuses to send")
)
