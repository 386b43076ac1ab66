package main

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
	"golang.org/x/sys/unix"
)

// bottleneck is a wire of 40 Mbit/s and 10 ms, whose queue marks from 20 packets on and drops from 150 on.
func bottleneck() *netem.Config {
	return &netem.Config{
		Seed:    1,
		Forward: netem.Impairment{Delay: 5 * time.Millisecond, Rate: 40_000_000, Queue: 150, Mark: 20},
		Reverse: netem.Impairment{Delay: 5 * time.Millisecond, Rate: 20_000_000, Queue: 150, Mark: 5}, // our window is 64 KiB
	}
}

// takesECN has the kernel at the receiver's end agree to ECN, whatever this machine's default is.
func (r *rig) takesECN() {
	r.t.Helper()
	if err := r.Do(lab.Receiver, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_ecn", []byte("1"), 0)
	}); err != nil {
		r.t.Fatal(err)
	}
}

// TestECN sends to a kernel through a bottleneck that marks: the marks come back, the window falls for each of
// them, and nothing has to be sent again. Without --ecn the same queue drops.
func TestECN(t *testing.T) {
	r := newRig(t, lab.Config{Wire: bottleneck()})
	r.takesECN()
	const size = 6_000_000
	path, sum := file(t, size)
	for _, row := range []struct {
		host, congestion string
		ecn              bool
	}{
		{"10.77.0.2", "cubic", true}, {"fd77:7873::2", "cubic", true}, {"10.77.0.2", "reno", true}, {"10.77.0.2", "cubic", false},
	} {
		if err := r.SetWire(*bottleneck()); err != nil {
			t.Fatal(err)
		}
		s, at := r.sink("--once")
		_, port, _ := net.SplitHostPort(at)
		args := []string{"send", "--json", "-C", row.congestion, net.JoinHostPort(row.host, port), path}
		if row.ecn {
			args = append(args, "--ecn")
		}
		p := r.start(lab.Sender, nil, args...)
		p.want(0)
		received(t, s, 1, size, sum)
		sound(t, p.report(), size)
		wire, err := r.WireStatus()
		if err != nil {
			t.Fatal(err)
		}
		rep, marked := p.report(), float64(wire.Forward.Marked)
		eces, cwrs, again := rep.number(t, "streams.0.eces"), rep.number(t, "streams.0.cwrs"), rep.number(t, "streams.0.retransmits")
		t.Logf("%+v: %.0f marked, %d dropped, at most %d in the queue; %.0f echoes, %.0f reductions, %.0f retransmits", row, marked, wire.Forward.QueueDropped, wire.Forward.QueuePeak, eces, cwrs, again)
		switch {
		case !row.ecn && (marked != 0 || wire.Forward.QueueDropped == 0 || again == 0 || rep.at("streams.0.ecn") != "off"):
			t.Errorf("%+v: the control shows nothing: ecn %v", row, rep.at("streams.0.ecn"))
		case row.ecn && (rep.at("streams.0.ecn") != "on" || marked == 0 || eces == 0 || cwrs == 0 || wire.Forward.Drops() > 0):
			t.Errorf("%+v: ecn %v", row, rep.at("streams.0.ecn"))
		case row.ecn && again > rep.number(t, "streams.0.tail_probes"):
			t.Errorf("%+v: %.0f segments were sent again", row, again)
		}
		if n := wire.Unintended(); n != 0 {
			t.Errorf("%+v: the wire lost %d packets by itself", row, n)
		}
	}
}

// TestECNTowardsUs: what a kernel sends to us is marked on its way, and the kernel hears of it.
func TestECNTowardsUs(t *testing.T) {
	r := newRig(t, lab.Config{Wire: bottleneck()})
	r.takesECN()
	ln := r.listen()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := r.start(lab.Sender, in, "send", "--json", "--ecn", ln.Addr().String(), "-")
	in.Close()
	conn := accept(t, ln).(*net.TCPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic") }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	const size = 3_000_000
	if n, err := conn.Write(make([]byte, size)); err != nil || n != size {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	info := sentAll(t, raw)
	w.Close()
	if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	conn.Close()
	p.want(0)
	wire, err := r.WireStatus()
	if err != nil {
		t.Fatal(err)
	}
	ces := p.report().number(t, "streams.0.ces")
	t.Logf("%d marked, %.0f came, %d delivered by the kernel's count", wire.Reverse.Marked, ces, info.Delivered_ce)
	if wire.Reverse.Marked == 0 || ces == 0 || info.Delivered_ce == 0 || p.report().number(t, "streams.0.bytes_received") != size {
		t.Errorf("marked %d, came %.0f, delivered %d, of %v bytes", wire.Reverse.Marked, ces, info.Delivered_ce, p.report().at("streams.0.bytes_received"))
	}
	if ces > float64(wire.Reverse.Marked) {
		t.Errorf("%.0f marks came, %d were made", ces, wire.Reverse.Marked)
	}
}

// sentAll waits until the other side has ACKed everything, and returns what the kernel knows of the connection.
func sentAll(t *testing.T, raw syscall.RawConn) *unix.TCPInfo {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var info *unix.TCPInfo
		var err error
		cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
		switch {
		case cerr != nil || err != nil:
			t.Fatal(cerr, err)
		case info.Unacked == 0 && info.Notsent_bytes == 0:
			return info
		case time.Now().After(end):
			t.Fatalf("not everything was ACKed: %+v", info)
		}
	}
}
