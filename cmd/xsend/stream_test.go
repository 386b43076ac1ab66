package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
)

// momentNames are what an interval and the end say of a connection, beside what is of them alone.
var momentNames = []string{
	"id", "bytes", "seconds", "bits_per_second", "retransmits", "lost", "retransmits_held", "recoveries", "timeouts", "timeouts_held", "tail_probes",
	"tail_losses", "dsacks", "cwrs", "eces", "ces", "ecn", "bytes_acked", "in_flight", "snd_cwnd", "ssthresh", "snd_wnd", "mss", "pmtu", "rtt", "rttvar", "min_rtt", "rto",
	"pacing_rate", "delivery_rate", "reorder", "congestion", "congestion_state", "ca_state", "state",
}

// plausible fails the test unless a connection that has sent something says so.
func plausible(t *testing.T, at func(string) any) {
	t.Helper()
	for _, name := range momentNames {
		if at(name) == nil {
			t.Errorf("no %s", name)
		}
	}
	n := func(name string) float64 {
		v, ok := at(name).(float64)
		if !ok {
			t.Errorf("%s is %v", name, at(name))
		}
		return v
	}
	for _, name := range []string{"rtt", "rttvar", "min_rtt", "snd_cwnd", "snd_wnd", "delivery_rate", "bytes_acked"} {
		if n(name) <= 0 {
			t.Errorf("%s is %v", name, n(name))
		}
	}
	if n("mss") != 1448 || n("reorder") < 3 || n("rto") < 200e3 || n("min_rtt") > 60e6 || n("rtt") > 60e6 || n("snd_cwnd") < 1448 || n("in_flight") < 0 {
		t.Errorf("mss %v, reorder %v, rto %v, min_rtt %v, rtt %v, snd_cwnd %v", n("mss"), n("reorder"), n("rto"), n("min_rtt"), n("rtt"), n("snd_cwnd"))
	}
	for name, allowed := range map[string][]any{
		"congestion": {"cubic"}, "congestion_state": {"slow-start", "avoidance"}, "ca_state": {"open", "recovery", "loss"},
	} {
		if !slices.Contains(allowed, at(name)) {
			t.Errorf("%s is %v", name, at(name))
		}
	}
}

// TestJSONStream: the events of a run under loss, each in its place, and their figures add up.
func TestJSONStream(t *testing.T) {
	r := newRig(t, lab.Config{Loss: 1, LossSeed: 5})
	s, to := r.sink("--once", "--count", "2")
	p := r.start(lab.Sender, nil, "send", "--json-stream", "--pattern", "-n", "8M", "-b", "200M", "-P", "2", "-i", "0.2", "--title", "x", to)
	p.want(0)
	s.want(0)
	all := eventsOf(t, p.out.String())
	first, last := all[0], all[len(all)-1]
	if first.Event != "start" || last.Event != "end" || len(all) < 3 {
		t.Fatalf("%d events from %s to %s", len(all), first.Event, last.Event)
	}
	if first.at("schema") != "xsend.send/1" || first.at("title") != "x" || first.at("connected.1.remote_host") != "10.77.0.2" ||
		first.at("connected.0.socket") != 1.0 || first.at("parameters.json-stream") != "true" {
		t.Errorf("%+v", first.Data)
	}
	var end, bytes, retransmits float64
	for _, e := range all[1 : len(all)-1] {
		if e.Event != "interval" {
			t.Fatalf("%s between the intervals", e.Event)
		}
		i := report(e.Data.(map[string]any))
		if start := i.number(t, "sum.start"); start != end {
			t.Errorf("an interval ends at %v, the next one begins at %v", end, start)
		}
		end = i.number(t, "sum.end")
		bytes += i.number(t, "sum.bytes")
		retransmits += i.number(t, "sum.retransmits")
	}
	rep := report(last.Data.(map[string]any))
	if all, sent := rep.number(t, "bytes"), rep.number(t, "sum_sent.bytes"); all != 16<<20 || sent != all || bytes != all {
		t.Errorf("%v bytes, %v in the sum, %v in the intervals", all, sent, bytes)
	}
	if all := rep.number(t, "retransmits"); all == 0 || retransmits > all || retransmits == 0 {
		t.Errorf("%v retransmits, %v in the intervals", all, retransmits)
	}
	for i := range 2 {
		plausible(t, func(name string) any { return all[len(all)-2].at(fmt.Sprintf("streams.%d.%s", i, name)) })
		plausible(t, func(name string) any { return last.at(fmt.Sprintf("streams.%d.%s", i, name)) })
	}
	sound(t, rep, 16<<20)
}

// TestJSONStreamOfFailures: the error is an event, and the end comes all the same.
func TestJSONStreamOfFailures(t *testing.T) {
	r := newRig(t, lab.Config{})
	for _, c := range []struct {
		to    string
		code  int
		error string
	}{{"10.77.0.2:9", 1, "refused"}, {"192.0.2.1:9000", 2, "no route"}} {
		p := r.start(lab.Sender, nil, "send", "--json-stream", "--pattern", "-n", "1M", c.to)
		p.want(c.code, c.error)
		all := eventsOf(t, p.out.String())
		if len(all) != 2 || all[0].Event != "error" || all[1].Event != "end" || all[1].at("exit_code") != float64(c.code) {
			t.Fatalf("%+v", all)
		}
		if text, ok := all[0].Data.(string); !ok || !strings.Contains(text, c.error) {
			t.Errorf("error %v", all[0].Data)
		}
	}
	path, _ := file(t, 1)
	if p := r.start(lab.Sender, nil, "send", "--json-stream", "-P", "0", "10.77.0.2:9", path); p.wait() != 2 || p.out.String() != "" {
		t.Errorf("a usage error: exit code %d, %q", p.code, p.out.String())
	}
}

// TestJSONStreamNobodyReads: the program stops behind what it has read, as after a signal, and the peer gets its FIN.
func TestJSONStreamNobodyReads(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	ln := r.listen()
	p := r.startWith(lab.Sender, nil, []string{"sh", "-c", `{ "$@"; echo "ended with $?" >&2; } | head -n 1`, "sh"},
		"send", "--json-stream", "--pattern", "-t", "3600", "-b", "50M", "-i", "0.05", ln.Addr().String())
	conn := accept(t, ln)
	if _, err := drainTo(conn); err != nil {
		t.Errorf("the receiver saw %v, want a FIN", err)
	}
	conn.Close()
	p.want(0, "broken pipe", "ended with 141")
	if all := eventsOf(t, p.out.String()); len(all) != 1 || all[0].Event != "start" {
		t.Errorf("%+v", all)
	}
	r.clean()
}

// TestReportAgainstTheKernel: the receiver's kernel has counted what the report says, and the sender's kernel would use
// the same segments.
func TestReportAgainstTheKernel(t *testing.T) {
	r := newRig(t, lab.Config{Loss: 1, LossSeed: 11})
	ln := r.listen()
	const size = 6_000_000
	path, _ := file(t, size)
	p := r.start(lab.Sender, nil, "send", "--json", "-b", "200M", "-i", "0.05", ln.Addr().String(), path)
	conn := accept(t, ln)
	if n, err := drainTo(conn); n != size || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	peer := tcpInfo(t, conn)
	conn.Close()
	p.want(0)
	drops, err := r.LossCounters()
	if err != nil {
		t.Fatal(err)
	}
	rep := p.report()
	plausible(t, func(name string) any { return rep.at("streams.0." + name) })
	plausible(t, func(name string) any {
		return rep.at(fmt.Sprintf("intervals.%d.streams.0.%s", len(rep.at("intervals").([]any))-1, name))
	})
	const control = 4 // SYN, FIN, their ACKs
	segments, retransmits := rep.number(t, "segments"), rep.number(t, "retransmits")
	if peer.Bytes_received != size+1 && peer.Bytes_received != size || rep.number(t, "streams.0.bytes_acked") != size {
		t.Errorf("the peer received %d bytes, and ACKed %v", peer.Bytes_received, rep.at("streams.0.bytes_acked"))
	}
	if arrived := float64(peer.Segs_in) + float64(drops.Dropped); arrived > segments || arrived < segments-control {
		t.Errorf("%v segments sent, %d arrived, %d dropped", segments, peer.Segs_in, drops.Dropped)
	}
	if lost := rep.number(t, "streams.0.lost"); drops.Dropped == 0 || retransmits < float64(drops.Dropped)-control || lost == 0 {
		t.Errorf("%d dropped, %v lost, %v sent again", drops.Dropped, lost, retransmits)
	}
	if mss := r.kernelOwn(ln.Addr().String()).Snd_mss; rep.number(t, "streams.0.mss") != float64(mss) {
		t.Errorf("mss %v, the kernel's is %d", rep.at("streams.0.mss"), mss)
	}
}

// tcpInfo is what the kernel knows of a connection.
func tcpInfo(t *testing.T, conn net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		var cerr error
		err = raw.Control(func(fd uintptr) { info, cerr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
		if err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// kernelOwn is what the sender's kernel knows of a connection that it makes itself.
func (r *rig) kernelOwn(to string) (info *unix.TCPInfo) {
	r.t.Helper()
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.Dial("tcp4", to)
		if err == nil {
			info = tcpInfo(r.t, conn)
			conn.Close()
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return info
}

// TestRTTOfAPath: over a path of known length, the report's least RTT is not below it, is what the kernel measures there,
// and all times are of that size.
func TestRTTOfAPath(t *testing.T) {
	const delay = 20e3 // us, there and back
	one := netem.Impairment{Delay: delay / 2 * time.Microsecond}
	r := newRig(t, lab.Config{Wire: &netem.Config{Seed: 1, Forward: one, Reverse: one}})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--json", "--pattern", "-n", "1M", to)
	p.want(0)
	rep := p.report()
	ours := rep.number(t, "streams.0.min_rtt")
	kernel := float64(r.kernelOwn(to).Min_rtt)
	if ours < delay || kernel < delay || ours > 10*kernel || kernel > 10*ours {
		t.Errorf("least rtt %v us, the kernel's is %v us, the path's %v us", ours, kernel, delay)
	}
	if srtt, rto := rep.number(t, "streams.0.rtt"), rep.number(t, "streams.0.rto"); srtt < delay || srtt > 100*delay || rto < srtt+200e3-1 {
		t.Errorf("rtt %v us, rto %v us", srtt, rto)
	}
}

// TestVerbose: what ss would say stands below each row, and the rows have a head.
func TestVerbose(t *testing.T) {
	r := newRig(t, lab.Config{})
	_, to := r.sink("--once", "--count", "2")
	p := r.start(lab.Sender, nil, "send", "-V", "--pattern", "-n", "2M", "-P", "2", to)
	p.want(0, rowHead, "\n[  1]   0.00-", "\n[SUM]   0.00-", "\n      cubic rto:", " mss:1448 ", " delivery_rate ")
	if n := strings.Count(p.err.String(), rowHead); n != 1 {
		t.Errorf("the head stands there %d times", n)
	}
	if n := strings.Count(p.out.String(), "      cubic rto:"); n != 2 {
		t.Errorf("%d details in the result\n%s", n, p.out.String())
	}
}
