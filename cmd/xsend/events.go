package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"github.com/xsend/xsend/internal/transfer"
)

// events prints what happens as iperf3 --json-stream does: each event is a JSON object on a line of its own, written at
// once.
type events struct {
	out    io.Writer
	unread func(error) // told when nobody reads them any more
	title  string

	mu     sync.Mutex
	failed error // that write's; nothing is written after it
}

func (e *events) say(event string, what any) error {
	line, err := json.Marshal(struct {
		Event string `json:"event"`
		Data  any    `json:"data"`
	}{event, what})
	if err != nil {
		return fmt.Errorf("print the event %q: %w", event, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		return e.failed
	}
	if _, err := e.out.Write(append(line, '\n')); err != nil {
		e.failed = fmt.Errorf("print the event %q: %w", event, err)
		if errors.Is(err, syscall.EPIPE) { // a full disk is no reason to stop sending
			e.unread(e.failed)
		}
	}
	return e.failed
}

func (e *events) start(s transfer.Start) {
	_ = e.say("start", struct {
		Schema  string `json:"schema"`
		Version string `json:"version"`
		Title   string `json:"title,omitempty"`
		transfer.Start
	}{transfer.Schema, version, e.title, s}) // failed keeps the error
}

func (e *events) interval(i transfer.Interval) {
	_ = e.say("interval", struct {
		Streams []transfer.StreamInterval `json:"streams"`
		Sum     transfer.Span             `json:"sum"`
	}{i.Streams, i.Span})
}

// end tells of the error, if there is one, and of the whole run: the object of --json, less the intervals.
func (e *events) end(r *transfer.Report) error {
	if r.Error != "" {
		_ = e.say("error", r.Error)
	}
	return e.say("end", struct {
		*transfer.Report
		Intervals *struct{}     `json:"intervals,omitempty"` // in the report's place
		SumSent   transfer.Span `json:"sum_sent"`
	}{Report: r, SumSent: r.Sum()})
}
