package lifecycle

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/simnet"
	"github.com/xsend/xsend/internal/wire"
)

// peerSide records a trial with a capture at the peer: what arrived there, and what it sent. edit may change or drop a packet on its way
// into the file, never on the wire.
func peerSide(t *testing.T, one simnet.Trial, edit func(n int, frame []byte) []byte) ([]trace.Event, []byte) {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	n := 0
	see := func(frame []byte) {
		n++
		frame = edit(n, bytes.Clone(frame))
		if frame == nil {
			return
		}
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(1, int64(n)), CaptureLength: len(frame), Length: len(frame)}
		if err := w.WritePacket(ci, frame); err != nil {
			t.Error(err)
		}
	}
	one.See = see
	tape, _ := record(t, one)
	return tape.events(), file.Bytes()
}

func whole(_ int, frame []byte) []byte { return frame }

func captured(t *testing.T, file []byte) *Capture {
	t.Helper()
	c, err := ReadCapture(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCapture: what the peer saw agrees with a trace that is right, and every kind of difference is found.
func TestCapture(t *testing.T) {
	one := trial(0, 3)
	one.Streams, one.Forward.Duplicate = 1, 0.05
	all, file := peerSide(t, one, whole)
	r := judge(all, captured(t, file))
	if r.ExitCode() != 0 || r.ACKs == 0 || r.ACKs != r.Releases || r.Compared < 1000 {
		t.Fatal(text(&r))
	}
	var seg wire.Segment
	ours := netip.MustParseAddr("10.0.0.1")
	payload := func(frame []byte) bool {
		return wire.Parse(frame, false, &seg) == nil && seg.Flow.RemoteAddr().Addr() == ours && seg.PayloadLen > 100
	}
	seen := map[uint32]bool{}
	for name, c := range map[string]struct {
		edit func(n int, frame []byte) []byte
		code int
		text string
	}{
		"no ACK": {func(_ int, f []byte) []byte {
			if wire.Parse(f, false, &seg) == nil && seg.Flow.RemoteAddr().Addr() != ours && seg.Flags&(wire.FlagSYN|wire.FlagFIN) == 0 {
				return nil
			}
			return f
		}, 1, "which the peer's capture doesn't have"},
		"another byte in a retransmission": {func(_ int, f []byte) []byte {
			if payload(f) {
				if seen[seg.Seq] {
					f[len(f)-5] ^= 1
				}
				seen[seg.Seq] = true
			}
			return f
		}, 1, "in a retransmission, and was"},
		"begun too late": {func(n int, f []byte) []byte {
			if n < 10 {
				return nil
			}
			return f
		}, 2, "has no SYN of connection 1"},
		"ended too early": {func(n int, f []byte) []byte {
			if n > 60 {
				return nil
			}
			return f
		}, 2, "ends before connection 1"},
	} {
		clear(seen)
		all, file := peerSide(t, one, c.edit)
		if r := judge(all, captured(t, file)); r.ExitCode() != c.code || !strings.Contains(text(&r), c.text) {
			t.Errorf("%s: %s", name, text(&r))
		}
	}
}

func TestNoCapture(t *testing.T) {
	for _, b := range []string{"", "abc", "not a capture at all, really not", "\x0a\x0d\x0d\x0a and no more"} {
		if _, err := ReadCapture(strings.NewReader(b)); err == nil || !strings.Contains(err.Error(), "capture") {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// traceFile is a file of events, as a Writer makes it.
func traceFile(t *testing.T, all []trace.Event) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.trace")
	w, err := trace.Create(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	ring := w.Ring(0)
	for _, e := range all {
		ring.Put(e)
	}
	ring.Flush()
	if n, lost, err := w.Close(); n != uint64(len(all)) || lost != 0 || err != nil {
		t.Fatalf("%d of %d events, %d lost, %v", n, len(all), lost, err)
	}
	return path
}

func reader(t *testing.T, path string) *trace.Reader {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := trace.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestExport reads the export with decoders that aren't ours.
func TestExport(t *testing.T) {
	for _, i := range []int{0, 5} { // one descriptor, and several
		one := trial(i, 2)
		one.Forward.Loss = 0.03
		one.VLAN = uint16(7 * (i % 2))
		tape, run := record(t, one)
		path := traceFile(t, tape.events())
		var out bytes.Buffer
		if err := Export(&out, reader(t, path), "test"); err != nil {
			t.Fatal(err)
		}
		packets := decode(t, out.Bytes())
		if n := run.Poller.CountersNow().Submitted; i == 0 && uint64(packets) != n {
			t.Errorf("%d packets, %d descriptors were submitted", packets, n)
		}
		behind := [...]string{"", ", payload behind the headers"}[i/5]
		for _, want := range []string{"Made from a lifecycle trace", ": new" + behind + ", [", behind + ", sent before, ["} {
			if !bytes.Contains(out.Bytes(), []byte(want)) {
				t.Errorf("no %q in the export", want)
			}
		}
		tcpdump(t, out.Bytes())
	}
}

// decode counts the packets sent, and looks whether their headers are whole.
func decode(t *testing.T, b []byte) (sent int) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, ci, err := r.ReadPacketData()
		if err == io.EOF {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
		tcp, ok := gopacket.NewPacket(b, layers.LinkTypeEthernet, gopacket.Default).TransportLayer().(*layers.TCP)
		if !ok || ci.Length < len(b) {
			t.Fatalf("no TCP in % x", b)
		}
		if ci.InterfaceIndex == 0 {
			sent++
			if tcp.DstPort != 80 {
				t.Fatalf("sent to port %d", tcp.DstPort)
			}
		}
	}
}

func tcpdump(t *testing.T, b []byte) {
	t.Helper()
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Log("no tcpdump here")
		return
	}
	cmd := exec.Command(path, "-nn", "-r", "-")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("length 1")) {
		t.Errorf("tcpdump: %v, %d bytes", err, len(out))
	}
}

// TestShow: the life of a frame is told from lend to release, and a summary has what there is.
func TestShow(t *testing.T) {
	tape, _ := record(t, trial(0, 2))
	all := tape.events()
	path := traceFile(t, all)
	frame := uint32(0)
	for _, e := range all {
		if e.Kind == trace.Release {
			frame = e.Frame
			break
		}
	}
	var out bytes.Buffer
	if err := Show(&out, reader(t, path), Select{Queue: -1, Frame: int64(frame)}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{"lend", "commit", "submit", "complete", "release"} {
		i := strings.Index(out.String()[at:], " "+want+" ")
		if i < 0 {
			t.Fatalf("no %s behind byte %d of\n%s", want, at, out.String())
		}
		at += i
	}
	out.Reset()
	if err := Show(&out, reader(t, path), Select{Queue: -1, Frame: -1, Conn: 1, JSON: true}); err != nil || !strings.Contains(out.String(), `"kind":"ack","conn":1`) {
		t.Errorf("%v\n%.300s", err, out.String())
	}
	if err := Show(io.Discard, reader(t, path), Select{Queue: -1, Frame: -1, Conn: 99}); err == nil {
		t.Error("a connection that isn't there was shown")
	}
	s, err := Summarize(reader(t, path))
	if err != nil || s.Events != uint64(len(all)) || len(s.Conns) == 0 || s.Conns[0].Acked != s.Conns[0].Bytes || !s.Queues[0].Ended {
		t.Errorf("%+v, %v", s, err)
	}
	out.Reset()
	if err := s.Print(&out); err != nil || !strings.Contains(out.String(), "conn 1      queue 0, 10.0.0.1:40000 > 10.0.0.2:80") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// FuzzCheck: whatever a file says, reading, checking, showing and exporting end, without a panic.
func FuzzCheck(f *testing.F) {
	tape, _ := record(f, trial(5, 1))
	f.Add(tape.bytes[:min(len(tape.bytes), 3000*trace.Size)])
	f.Fuzz(func(t *testing.T, b []byte) {
		all := []trace.Event{}
		tell := newTeller()
		for ; len(b) >= trace.Size; b = b[trace.Size:] {
			e := trace.Decode(b)
			if e.Kind == trace.Queue {
				e.A = e.A&(1<<32-1) | e.A>>32%4096<<32 // memory for so many frames is no finding
			}
			all = append(all, e)
			tell.take(0, &e)
		}
		r := judge(all, nil)
		text(&r)
		x := bytes.Buffer{}
		if err := Export(&x, reader(t, traceFile(t, all)), "fuzz"); err != nil && len(all) == 0 {
			t.Fatal(err)
		}
	})
}
