package pcap

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
)

func packet(sent bool, at tcp.Time, n int) dataplane.TapPacket {
	return dataplane.TapPacket{Time: at, Sent: sent, Bytes: bytes.Repeat([]byte{byte(n)}, n)}
}

func TestPacketsComeBackWholeWithTimeAndDirection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := Create(path, "veth-a", "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	want := []dataplane.TapPacket{packet(true, 1_000_000_007, 60), packet(false, 1_000_000_008, 54), packet(true, 3_000_000_001, 1514)}
	from := &tap{}
	before := time.Now()
	for _, p := range want {
		w.write(from, p) // no tap is registered, so the writer's goroutine has nothing to do with it
	}
	if n, err := w.Close(); n != 3 || err != nil {
		t.Fatalf("%d packets, %v", n, err)
	}
	checkFile(t, path, want, before)
}

func checkFile(t *testing.T, path string, want []dataplane.TapPacket, begin time.Time) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var first time.Time
	for i, p := range want {
		got, ci, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(got, p.Bytes) || (ci.InterfaceIndex == Sent) != p.Sent {
			t.Fatalf("packet %d: %d bytes, interface %d, %v", i, len(got), ci.InterfaceIndex, err)
		}
		if i == 0 {
			first = ci.Timestamp
			if d := first.Sub(begin); d < 0 || d > time.Minute {
				t.Errorf("the first packet's time is %v after the test began", d)
			}
		}
		if d := ci.Timestamp.Sub(first); d != time.Duration(p.Time-want[0].Time) {
			t.Errorf("packet %d came %v after the first, want %v", i, d, time.Duration(p.Time-want[0].Time))
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
	for i, name := range []string{"veth-a sent", "veth-a received"} {
		if itf, err := r.Interface(i); err != nil || itf.Name != name {
			t.Errorf("interface %d is %q, %v; want %q", i, itf.Name, err, name)
		}
	}
}

func TestCaptureThatCannotBeWritten(t *testing.T) {
	if _, err := Create(filepath.Join(t.TempDir(), "none", "x"), "veth-a", "test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
	w, err := Create("/dev/full", "veth-a", "test")
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	from := &tap{}
	for i := range 100 {
		w.write(from, packet(true, tcp.Time(i), 1500))
	}
	if _, err := w.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
}

func TestEmptyCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	w, err := Create(path, "veth-a", "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.Tap(2048)
	w.Tap(2048)
	if n, err := w.Close(); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	checkFile(t, path, nil, time.Now())
}

// A capture that was never started leaves things as they were.
func TestCaptureNotStarted(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, filepath.Join(dir, "new")} {
		w, err := Create(path, "veth-a", "test")
		if err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open(old); err != nil || w.SameFile(f) != (path == old) {
			t.Errorf("%s: same as the old file: %v (%v)", path, w.SameFile(f), err)
		}
		if _, err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(old); string(b) != "precious" {
		t.Errorf("the old file: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file stayed: %v", err)
	}
}
