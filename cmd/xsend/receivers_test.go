package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
	"github.com/xsend/xsend/internal/transfer"
)

// TestKernelReceiversOverALossyPath sends to receivers that lack what makes loss cheap, or room, or haste. The
// file must arrive whole, although the wire loses, holds back, doubles and spoils packets.
func TestKernelReceiversOverALossyPath(t *testing.T) {
	path := netem.Config{Seed: 5, Forward: netem.Impairment{
		Loss: 1, Reorder: 1, Duplicate: 1, Corrupt: 0.3, Delay: time.Millisecond, Rate: wireRate,
	}, Reverse: netem.Impairment{Delay: time.Millisecond, Loss: 1, All: true, Rate: wireRate}}
	r := newRig(t, lab.Config{Wire: &path})
	all := transfer.Congestions()
	for i, c := range []struct {
		name     string
		settings map[string]string // of the receiver's kernel
		sink     []string
		size     int
		check    func(*testing.T, report)
	}{
		{"everything", nil, nil, 3_000_000, nil},
		{"no SACK", map[string]string{"tcp_sack": "0"}, nil, 2_000_000, nil},
		{"no timestamps", map[string]string{"tcp_timestamps": "0"}, nil, 3_000_000, func(t *testing.T, r report) {
			if r.number(t, "mss") != 1460 {
				t.Error("the segments have room for timestamps: they are on")
			}
		}},
		{"no window scaling", map[string]string{"tcp_window_scaling": "0"}, nil, 3_000_000, func(t *testing.T, r report) {
			if r.number(t, "streams.0.snd_wnd") > 65535 {
				t.Error("the window is scaled")
			}
		}},
		{"nothing", map[string]string{"tcp_sack": "0", "tcp_timestamps": "0", "tcp_window_scaling": "0"}, nil, 2_000_000, nil},
		{"4 KiB of buffer", nil, []string{"--rcvbuf", "4K"}, 200_000, nil},
		{"a slow reader", nil, []string{"--rcvbuf", "32K", "--read-size", "4K", "--read-rate", "8M"}, 800_000, func(t *testing.T, r report) {
			if r.number(t, "seconds") < 0.5 {
				t.Error("it read fast: this test has no power")
			}
		}},
	} {
		congestion := all[i%len(all)] // in turn: what is tested here is what they share
		t.Run(c.name+"/"+congestion, func(t *testing.T) {
			r := &rig{t, r.Lab}
			r.setReceiver(c.settings)
			if err := r.SetWire(path); err != nil {
				t.Fatal(err)
			}
			file, sum := file(t, c.size)
			s, to := r.sink(append([]string{"--once"}, c.sink...)...)
			p := r.start(lab.Sender, nil, "send", "--json", "--rewrite", "-C", congestion, to, file)
			p.want(0)
			received(t, s, 1, c.size, sum)
			sound(t, p.report(), int64(c.size))
			if c.check != nil {
				c.check(t, p.report())
			}
			st, err := r.WireStatus()
			if err != nil || st.Unintended() != 0 || st.Forward.Lost == 0 || st.Forward.Corrupted+st.Forward.Duplicated+st.Forward.Reordered == 0 {
				t.Errorf("the wire: %+v, %v", st.Forward, err)
			}
		})
	}
}

// setReceiver gives the receiver's kernel those settings of net.ipv4 for one test.
func (r *rig) setReceiver(settings map[string]string) {
	r.t.Helper()
	write := func(value func(key string) string) error {
		return r.Do(lab.Receiver, func() error {
			for key := range settings {
				if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value(key)), 0); err != nil {
					return fmt.Errorf("net.ipv4.%s: %w", key, err)
				}
			}
			return nil
		})
	}
	if err := write(func(key string) string { return settings[key] }); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := write(func(string) string { return "1" }); err != nil {
			r.t.Error(err)
		}
	})
}
