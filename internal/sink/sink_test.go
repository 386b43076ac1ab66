package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// running is a Run in the background.
type running struct {
	addr    string
	results []Result
	err     error
	done    chan struct{}
}

// start runs a sink on loopback until the test ends.
func start(t *testing.T, ctx context.Context, cfg Config) *running {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	r := &running{done: make(chan struct{})}
	listening := make(chan struct{})
	cfg.OnListening = func(a net.Addr) { r.addr = a.String(); close(listening) }
	go func() {
		defer close(r.done)
		r.results, r.err = Run(ctx, cfg)
	}()
	select {
	case <-listening:
	case <-r.done:
		t.Fatalf("no listener: %v", r.err)
	}
	t.Cleanup(func() { <-r.done })
	return r
}

// wait returns what Run returned, which must be no error.
func (r *running) wait(t *testing.T) []Result {
	t.Helper()
	<-r.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.results
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// send writes everything and closes.
func send(t *testing.T, addr string, b []byte) {
	t.Helper()
	c := dial(t, addr)
	if _, err := c.Write(b); err != nil {
		t.Error(err)
	}
	c.Close()
}

func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestReceivesWholeStream(t *testing.T) {
	for _, size := range []int{0, 1, DefaultReadSize, 5<<20 + 3} {
		want := randomBytes(1, size)
		path := filepath.Join(t.TempDir(), "out")
		r := start(t, t.Context(), Config{Count: 1, OutPath: path, Expect: bytes.NewReader(want)})
		send(t, r.addr, want)
		res := r.wait(t)[0]
		if res.Bytes != int64(size) || res.SHA256 != sumOf(want) || res.Err != "" || *res.Compared != (Comparison{FirstWrong: -1}) {
			t.Errorf("%d bytes: %+v", size, res)
		}
		if res.Local != r.addr || res.Remote == "" || res.Output != path || res.Seconds <= 0 {
			t.Errorf("%d bytes: %+v", size, res)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the file has %d, %v", size, len(got), err)
		}
		if (size == 0) != res.FirstByte.IsZero() || res.LastByte.Before(res.FirstByte) {
			t.Errorf("%d bytes: first %v, last %v", size, res.FirstByte, res.LastByte)
		}
	}
}

func TestConnectionsKeepApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	r := start(t, t.Context(), Config{Count: 3, OutPath: path})
	for i := range 3 { // one after the other, so that the order of accept is known
		send(t, r.addr, randomBytes(uint64(i), 300_000))
	}
	for i, res := range r.wait(t) {
		if want := sumOf(randomBytes(uint64(i), 300_000)); res.Conn != i+1 || res.SHA256 != want {
			t.Errorf("connection %d: %+v", i+1, res)
		}
		if got, err := os.ReadFile(outputPath(path, i+1)); err != nil || sumOf(got) != res.SHA256 {
			t.Errorf("file of connection %d: %v", i+1, err)
		}
	}
}

// TestStoppedReaderHoldsUpNobodyElse keeps connection 1 from reading until the others are through.
func TestStoppedReaderHoldsUpNobodyElse(t *testing.T) {
	others := make(chan struct{}, 3)
	release := make(chan struct{})
	r := start(t, t.Context(), Config{
		Count:  4,
		OnConn: func(res Result) { others <- struct{}{} },
		BeforeRead: func(_ context.Context, conn int, _ int64) {
			if conn == 1 {
				<-release
			}
		},
	})
	want := randomBytes(9, 1<<20)
	first := dial(t, r.addr)
	for range 3 {
		send(t, r.addr, want)
	}
	for range 3 {
		<-others
	}
	close(release)
	if _, err := first.Write(want); err != nil {
		t.Fatal(err)
	}
	first.Close()
	go func() { <-others }()
	for _, res := range r.wait(t) {
		if res.SHA256 != sumOf(want) {
			t.Errorf("%+v", res)
		}
	}
}

func TestResetIsReported(t *testing.T) {
	want := randomBytes(2, 1000)
	arrived := make(chan struct{})
	r := start(t, t.Context(), Config{Count: 1, BeforeRead: func(_ context.Context, _ int, read int64) {
		if read == 1000 {
			close(arrived)
		}
	}})
	c := dial(t, r.addr)
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	<-arrived
	c.SetLinger(0) // close sends RST
	c.Close()
	res := r.wait(t)[0]
	if res.Bytes != 1000 || res.SHA256 != sumOf(want) || !errors.Is(res.Cause, syscall.ECONNRESET) ||
		res.Err != "read: connection reset by peer" {
		t.Errorf("%+v", res)
	}
}

func TestCancelReturnsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	arrived, ended := make(chan struct{}), make(chan Result, 2)
	r := start(t, ctx, Config{Count: 2, OnConn: func(res Result) { ended <- res }, BeforeRead: func(_ context.Context, conn int, read int64) {
		if conn == 2 && read == 7 {
			close(arrived)
		}
	}})
	send(t, r.addr, []byte("complete"))
	<-ended
	if _, err := dial(t, r.addr).Write([]byte("partial")); err != nil {
		t.Fatal(err)
	}
	<-arrived
	why := errors.New("enough")
	cancel(why)
	<-r.done
	if !errors.Is(r.err, why) {
		t.Errorf("Run returned %v", r.err)
	}
	if len(r.results) != 2 || r.results[0].Err != "" || r.results[0].Bytes != 8 {
		t.Fatalf("%+v", r.results)
	}
	if res := r.results[1]; res.Bytes != 7 || !errors.Is(res.Cause, why) || res.SHA256 != sumOf([]byte("partial")) {
		t.Errorf("%+v", res)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("the listener is still there")
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := start(t, ctx, Config{})
	cancel()
	<-r.done
	if !errors.Is(r.err, context.Canceled) || len(r.results) != 0 {
		t.Errorf("%v, %v", r.results, r.err)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, want := range map[string]struct {
		is   error
		text string
	}{
		taken.Addr().String(): {syscall.EADDRINUSE, "choose another"},
		"192.0.2.1:9000":      {syscall.EADDRNOTAVAIL, "no interface here"},
		"127.0.0.1:99999":     {nil, "invalid port"},
		"127.0.0.1":           {nil, "missing port"},
	} {
		_, err := Run(t.Context(), Config{Listen: addr, Count: 1})
		if err == nil || !strings.Contains(err.Error(), want.text) || want.is != nil && !errors.Is(err, want.is) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestWrongBytesAreFound(t *testing.T) {
	want := randomBytes(3, 1<<20)
	got := append(slices.Clone(want), "past the end"...)
	got[700_000] ^= 1
	got[900_000] ^= 0x80
	r := start(t, t.Context(), Config{Count: 1, Expect: bytes.NewReader(want)})
	send(t, r.addr, got)
	res := r.wait(t)[0]
	if *res.Compared != (Comparison{WrongBytes: 2 + 12, FirstWrong: 700_000}) || res.SHA256 != sumOf(got) {
		t.Errorf("%+v", res.Compared)
	}
}

// fullDisk takes some bytes and then no more.
type fullDisk struct{ left int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

func TestOutputFailureEndsTheConnection(t *testing.T) {
	r := start(t, t.Context(), Config{Count: 1, Out: &fullDisk{left: 100_000}})
	c := dial(t, r.addr)
	var err error
	for b := make([]byte, 64<<10); err == nil; { // until the sink hangs up
		_, err = c.Write(b)
	}
	res := r.wait(t)[0]
	if !errors.Is(res.Cause, syscall.ENOSPC) || res.Err != "output: no space left on device" {
		t.Errorf("%+v", res)
	}
}

func TestOutputThatCannotBeOpened(t *testing.T) {
	r := start(t, t.Context(), Config{Count: 1, OutPath: filepath.Join(t.TempDir(), "missing", "file")})
	dial(t, r.addr)
	if res := r.wait(t)[0]; !errors.Is(res.Cause, os.ErrNotExist) {
		t.Errorf("%+v", res)
	}
}

func TestRateHoldsBack(t *testing.T) {
	r := start(t, t.Context(), Config{Count: 1, SkipHash: true, ReadSize: 1000, BytesPerSecond: 1_000_000})
	send(t, r.addr, make([]byte, 101_000))
	res := r.wait(t)[0]
	if res.Bytes != 101_000 || res.Seconds < 0.1 || res.SHA256 != "" {
		t.Errorf("%+v: faster than 1 MB/s, or hashed", res)
	}
}

func TestSocketOptions(t *testing.T) {
	cfg := Config{ReadBuffer: 2048, WindowClamp: 1400}
	lc := net.ListenConfig{Control: cfg.setOptions}
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		buf, err1 := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		clamp, err2 := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP)
		if buf != 4096 || clamp != 1400 || err1 != nil || err2 != nil {
			t.Errorf("receive buffer %d, clamp %d; %v, %v", buf, clamp, err1, err2)
		}
	})
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Count: -1}, {Out: io.Discard}, {Out: io.Discard, Count: 2}, {Out: io.Discard, OutPath: "x", Count: 1},
		{ReadSize: -1}, {ReadSize: 1 << 30}, {ReadBuffer: -1}, {WindowClamp: -1}, {BytesPerSecond: -1},
	} {
		if _, err := Run(t.Context(), cfg); err == nil || !strings.HasPrefix(err.Error(), "sink: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestJSONNames pins the names that programs read.
func TestJSONNames(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Summarize("10.77.0.2:9000", []Result{{
		Conn: 1, Remote: "10.77.0.1:40000", Local: "10.77.0.2:9000", Bytes: 1000, Seconds: 2, BitsPerSecond: 4000,
		SHA256: "00ff", Accepted: at, FirstByte: at, LastByte: at.Add(time.Second), Output: "f",
		Compared: &Comparison{WrongBytes: 1, FirstWrong: 4}, Err: "read: connection reset by peer", Cause: io.EOF,
	}, {Conn: 2, Accepted: at.Add(time.Second), Seconds: 3, Bytes: 1000}})
	got, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/summary.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(want), got) {
		t.Errorf("the JSON changed; if that is meant, change testdata/summary.json and SummarySchema:\n%s", got)
	}
	empty, _ := json.Marshal(Summarize("", nil))
	if string(empty) != `{"schema":"xsend.sink/1","bytes":0,"seconds":0,"bits_per_second":0,"failed":0,"streams":[]}` {
		t.Errorf("without connections: %s", empty)
	}
}
