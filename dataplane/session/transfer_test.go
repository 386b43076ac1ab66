package session_test

import (
	"testing"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
)

var bindings = []session.Binding{session.BindingNative, session.BindingAsavie}

// everyWay runs a trial over both bindings, in both layouts, and again with late completions under
// loss; all of them have to be right.
func everyWay(t *testing.T, name string, tr trial) {
	all := ways(tr)
	all["late"] = tr.lately()
	for way, tr := range all {
		if testing.Short() && way != "late" {
			continue
		}
		t.Run(name+"/"+way, func(t *testing.T) {
			t.Parallel()
			tr.succeeds(t)
		})
	}
}

// succeeds runs the trial, which has to be right.
func (tr trial) succeeds(t *testing.T) {
	t.Helper()
	o := tr.run(t)
	o.right(t, tr)
	if tr.check != nil {
		tr.check(t, o)
	}
	t.Logf("%.1f s, %.2f Gbit/s; %d late; %+v", o.seconds, float64(tr.bytes*max(1, tr.conns))*8/o.seconds/1e9, o.late.HandedOn, o.stats[0])
}

func TestAsavieCompletionsLate(t *testing.T) {
	for name, tr := range map[string]trial{
		"1":        {bytes: 2 << 20},
		"8":        {conns: 8, bytes: 1 << 20},
		"2 queues": {lab: lab.Config{Queues: 2}, conns: 4, bytes: 1 << 20},
		"IPv6":     {v6: true, bytes: 1 << 20},
	} {
		tr.session.Binding = session.BindingAsavie
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr.lately().succeeds(t)
		})
	}
}

func TestTransfer(t *testing.T) {
	for name, tr := range map[string]trial{
		"empty":      {bytes: 0},
		"one byte":   {bytes: 1},
		"1 MiB":      {bytes: 1 << 20},
		"64 MiB":     {bytes: 64 << 20},
		"IPv6":       {v6: true, bytes: 4 << 20},
		"MTU 1280":   {lab: lab.Config{MTU: 1280}, bytes: 4 << 20},
		"MTU 3000":   {lab: lab.Config{MTU: 3000}, bytes: 4 << 20},
		"MTU 1280 6": {lab: lab.Config{MTU: 1280}, v6: true, bytes: 4 << 20},
		"MTU 3000 6": {lab: lab.Config{MTU: 3000}, v6: true, bytes: 4 << 20},
		"8":          {conns: 8, bytes: 2 << 20},
		"64":         {conns: 64, bytes: 256 << 10},
		"generic":    {session: session.Config{Attach: 2}, bytes: 4 << 20},
		"5 % lost":   {lab: lab.Config{Loss: 5, LossSeed: 3}, bytes: 1 << 20},
		"no options": {dial: session.DialConfig{NoSACK: true, NoTimestamps: true, NoScale: true}, bytes: 1 << 20},
	} {
		everyWay(t, name, tr)
	}
}
