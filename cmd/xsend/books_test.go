package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/internal/lab"
)

// TestLedger: the books are on the last lines with -v, and in the JSON; they add up, and UMEM is all there.
func TestLedger(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	path, sum := file(t, 3_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "-v", "--json", to, path)
	p.want(0)
	received(t, s, 1, 3_000_000, sum)
	rep := p.report()
	for name, want := range map[string]any{
		"ledger.balanced": true, "ledger.written": 3e6, "ledger.released": 3e6, "ledger.held": 0.0, "ledger.in_flight": 0.0, "ledger.open": 0.0,
		"ledger.untaken": 0.0, "ledger.kept": 0.0, "ledger.spurious": 0.0, "ledger.duplicate": 0.0, "ledger.out_of_range": 0.0, "ledger.not_sent": 0.0,
	} {
		if got := rep.at(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	frames := 0.0
	holders, _ := rep.at("memory.holders").([]any)
	for i := range holders {
		frames += rep.number(t, fmt.Sprintf("memory.holders.%d.frames", i))
	}
	if total := rep.number(t, "frames.total"); frames != total || rep.number(t, "memory.frames") != total || rep.number(t, "memory.samples") < 1 {
		t.Errorf("holders have %.0f of %.0f frames: %v", frames, total, rep.at("memory"))
	}
	if n := rep.number(t, "memory.stages.4.n"); n != rep.number(t, "ledger.releases") || rep.at("memory.stages.4.stage") != "hold" {
		t.Errorf("%v", rep.at("memory.stages"))
	}

	_, to = r.sink("--once")
	p = r.start(lab.Sender, nil, "send", "-v", to, path)
	p.want(0)
	for _, text := range []string{"ledger ", "3000000 bytes written = 3000000 released + 0 demoted + 0 aborted + 0 held", "faults      ", "sack_hole", "slow_nic", "hold "} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("no %q in\n%s", text, p.out.String())
		}
	}
}

// TestMetrics: while it runs, whoever asks is told, on the loopback interface only.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--pattern", "-t", "60", "-b", "300M", "--metrics", ":0", to)
	r.passes(1_000_000)
	addr := regexp.MustCompile(`http://([0-9.:]+)/metrics`).FindStringSubmatch(p.err.String())
	if addr == nil || !strings.HasPrefix(addr[1], "127.0.0.1:") {
		t.Fatalf("said %q", p.err.String())
	}
	first := r.scrape(addr[1])
	r.passes(3_000_000)
	second := r.scrape(addr[1])
	umem := 0.0
	for name, v := range second {
		if strings.HasPrefix(name, "xsend_frames{") {
			umem += v
		}
	}
	written := `xsend_written_bytes_total{queue="0"}`
	if umem < 16384 || second["xsend_ledger_balanced"] != 1 || first[written] == 0 || second[written] <= first[written] {
		t.Errorf("%.0f frames, written %v and then %v: %v", umem, first[written], second[written], second)
	}
	p.signal(syscall.SIGTERM)
	p.want(143)
}

// scrape is what Prometheus would get at an address in the sender's namespace.
func (r *rig) scrape(addr string) map[string]float64 {
	r.t.Helper()
	values := map[string]float64{}
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.DialTimeout("tcp4", addr, 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", addr); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if name, value, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasPrefix(name, "#") {
				if values[name], err = strconv.ParseFloat(value, 64); err != nil {
					return err
				}
			}
		}
		return lines.Err()
	}); err != nil {
		r.t.Fatal(err)
	}
	return values
}

// TestMetricsRefused: an address that can't be had is an error before anything is sent.
func TestMetricsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	r.start(lab.Sender, nil, "send", "--pattern", "-n", "1M", "--metrics", "9090", to).want(2, "--metrics 9090", "HOST:PORT")
	r.start(lab.Sender, nil, "send", "--pattern", "-n", "1M", "--metrics", "192.0.2.99:0", to).want(2, "--metrics 192.0.2.99:0")
}

// TestInterfaceRemoved: the run ends with an error that says so, and says where everything is.
func TestInterfaceRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--json", "-v", "--pattern", "-t", "60", "-b", "100M", to)
	r.passes(1_000_000)
	if err := r.Do(lab.Sender, func() error {
		dev, err := netlink.LinkByName(r.Sender().Interface)
		if err != nil {
			return err
		}
		return netlink.LinkDel(dev)
	}); err != nil {
		t.Fatal(err)
	}
	p.want(1, "was removed")
	accounted(t, p.report())
}

// TestLinkDownForGood: the run ends when the connection's patience does.
func TestLinkDownForGood(t *testing.T) {
	t.Parallel()
	for _, end := range []string{lab.Sender, lab.Receiver} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, lab.Config{})
			_, to := r.sink()
			p := r.start(lab.Sender, nil, "send", "--json", "-v", "--pattern", "-t", "60", "-b", "100M", "--user-timeout", "1000", to)
			r.passes(1_000_000)
			if err := r.SetLink(end, false); err != nil {
				t.Fatal(err)
			}
			p.want(1, "connection timed out")
			accounted(t, p.report())
		})
	}
}

// accounted fails the test unless the books of a run that failed add up all the same.
func accounted(t *testing.T, r report) {
	t.Helper()
	if r.at("ledger.balanced") != true || r.number(t, "frames.leaked") != 0 || strings.Contains(fmt.Sprint(r.at("error")), "bug") {
		t.Errorf("error %v, ledger %v, frames %v", r.at("error"), r.at("ledger"), r.at("frames"))
	}
	if n := r.number(t, "bytes_written") - r.number(t, "bytes_released") - r.number(t, "bytes_aborted") - r.number(t, "ledger.held"); n != 0 {
		t.Errorf("%.0f bytes are nowhere: %v", n, r.at("ledger"))
	}
}
