package race

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	var short Config
	if short.Short(); short.Validate() != nil || len(short.Rows) != 4 {
		t.Errorf("the short race: %v, %v", short.Rows, short.Validate())
	}
	if err := (Config{Interface: "eth1", Target: "[2001:db8::1]:9000"}).Validate(); err != nil {
		t.Errorf("a real path: %v", err)
	}
	for text, c := range map[string]Config{
		"choose from [send":      {Rows: []string{"sendto"}},
		"twice":                  {Rows: []string{Send, Ack, Send}},
		"no rows":                {Rows: []string{}},
		"needs a HOST:PORT":      {Interface: "eth1"},
		"--loss":                 {Interface: "eth1", Target: "a:1", Losses: []float64{1}},
		"--rtt":                  {Interface: "eth1", Target: "a:1", RTT: time.Millisecond},
		"--mtu":                  {Interface: "eth1", Target: "a:1", MTU: 1500},
		`"a"`:                    {Interface: "eth1", Target: "a"},
		`"a:0"`:                  {Interface: "eth1", Target: "a:0"},
		`":9"`:                   {Interface: "eth1", Target: ":9"},
		"rounds of 1000 bytes":   {Round: 1000},
		"33554432 bytes: choose": {Round: 32 << 20},
		"-1 buffers":             {Buffers: -1},
		"at most 1 GiB":          {Buffers: 4096, Round: 1 << 20},
		"-1 turns":               {Turns: -1},
		"100000 turns":           {Turns: 100_000},
		"must have from 1":       {Bytes: 4096},
		"must have from 1 to":    {Bytes: 1 << 40, Round: 4096},
		"late":                   {Late: 2 * time.Second},
		"-1ns late":              {Late: -1},
		"loss of 51":             {Losses: []float64{51}},
		"loss of -1":             {Losses: []float64{-1}},
		"an RTT of":              {RTT: time.Minute},
		"a rate of":              {Rate: 1e9},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSenders(t *testing.T) {
	for _, s := range Senders {
		if s.Call == "" || s.When == "" || s.Role == "" {
			t.Errorf("%+v", s)
		}
		if s.optional && s.release != "" {
			t.Errorf("no kernel lacks %s", s.Name)
		}
	}
}
