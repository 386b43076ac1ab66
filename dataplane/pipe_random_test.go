package dataplane_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/latetest"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// fileSize is the bytes of the file that calls read from.
const fileSize = 1 << 16

// letters is a file of known bytes, for all schedules.
var letters = func() []byte {
	b := make([]byte, fileSize)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}()

// schedule is a pipe that is driven by bytes, with a model of what has to arrive and
// of what has to be told. Who is told rewrites, so that what was told too early
// arrives wrong.
type schedule struct {
	testing.TB
	ops    []byte
	pipe   *dataplane.Pipe
	stream *dataplane.Stream
	file   *os.File
	want   []byte
	sent   map[uint64]int // bytes of the pieces that are not told of
	told   int
	cookie uint64
	marks  []mark
}

// mark is one and the pieces that have to be told of before it.
type mark struct {
	*dataplane.Mark
	cookie uint64
}

// next takes a byte of the schedule; 0 behind its end.
func (s *schedule) next() int {
	if len(s.ops) == 0 {
		return 0
	}
	b := s.ops[0]
	s.ops = s.ops[1:]
	return int(b)
}

// size is a number of bytes, small ones as often as large ones.
func (s *schedule) size(most int) int { return min(most, s.next()<<(s.next()%8)) }

// bytes is the next n bytes of the stream.
func (s *schedule) bytes(n int) []byte {
	at := len(s.want)
	for i := range n {
		s.want = append(s.want, byte((at+i)*7>>3))
	}
	return bytes.Clone(s.want[at:])
}

func (s *schedule) wrote(what string, n int64, want int, err error) {
	s.Helper()
	if n != int64(want) || err != nil {
		st, _ := s.stream.Stats(context.Background())
		s.Fatalf("%s: %d bytes of %d, %v; %d out of a budget of %d; %+v", what, n, want, err, s.pipe.Outstanding(), s.stream.Budget(), st)
	}
}

func (s *schedule) step(ctx context.Context) {
	switch s.next() % 8 {
	case 0:
		b := s.bytes(s.size(1 << 15))
		n, err := s.pipe.Write(b)
		clear(b)
		s.wrote("Write", int64(n), len(b), err)
	case 1:
		b := s.bytes(s.size(1 << 15))
		n, err := s.pipe.ReadFrom(bytes.NewReader(b))
		s.wrote("ReadFrom", n, len(b), err)
	case 2:
		b := s.bytes(s.size(1 << 5)) // a frame each
		n, err := s.pipe.ReadFrom(iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(b))))
		s.wrote("ReadFrom, by bytes", n, len(b), err)
	case 3:
		at := s.size(fileSize)
		b := letters[at:min(fileSize, at+s.size(fileSize))]
		s.want = append(s.want, b...)
		n, err := s.pipe.SendFile(s.file, int64(at), int64(len(b)))
		s.wrote("SendFile", n, len(b), err)
	case 4:
		at, err := s.file.Seek(int64(s.size(fileSize)), io.SeekStart)
		if err != nil {
			s.Fatal(err)
		}
		b := letters[at:min(fileSize, int(at)+s.size(1<<15))]
		s.want = append(s.want, b...)
		n, err := io.CopyN(s.pipe, s.file, int64(len(b)))
		s.wrote("CopyN", n, len(b), err)
	case 5:
		s.send(ctx)
	case 6:
		s.marks = append(s.marks, mark{s.pipe.Mark(), s.cookie})
	case 7:
		s.flush(ctx)
	}
	s.look()
}

// send fills a frame in place.
func (s *schedule) send(ctx context.Context) {
	b, err := s.pipe.Reserve(ctx)
	if err != nil {
		s.Fatal(err)
	}
	n := s.size(len(b.Bytes))
	if n == 0 {
		s.pipe.Abandon(b)
		return
	}
	copy(b.Bytes, s.bytes(n))
	s.cookie++
	s.sent[s.cookie] = n
	s.pipe.Send(b, n, s.cookie, s.done)
}

func (s *schedule) done(r dataplane.Release, payload []byte) {
	n, ok := s.sent[r.Cookie]
	if !ok || n != len(payload) || r.Reason != dataplane.Acked || r.Acked == 0 || r.Completed == 0 {
		s.Errorf("told of piece %d, %d bytes of %d, out %v: %+v", r.Cookie, len(payload), n, ok, r)
	}
	delete(s.sent, r.Cookie)
	s.told++
}

// flush ends with nothing out and every mark reached.
func (s *schedule) flush(ctx context.Context) {
	if err := s.pipe.Flush(ctx); err != nil {
		s.Fatal(err)
	}
	if n := s.pipe.Outstanding(); n != 0 || len(s.sent) != 0 {
		s.Errorf("flushed: %d commits out, %d pieces not told of", n, len(s.sent))
	}
	if s.look(); len(s.marks) != 0 {
		s.Errorf("flushed: %d marks not reached", len(s.marks))
	}
}

// look checks the marks: none is reached before what is before it.
func (s *schedule) look() {
	for len(s.marks) > 0 {
		m := s.marks[0]
		select {
		case <-m.Done():
		default:
			return
		}
		for c := range s.sent {
			if c <= m.cookie {
				s.Errorf("piece %d is out, and the mark behind piece %d reached", c, m.cookie)
			}
		}
		if m.Err() != nil {
			s.Error(m.Err())
		}
		s.marks = s.marks[1:]
	}
}

// late wraps the port so that completions come up to most after the packets left.
func late(seed uint64, most tcp.Duration) func(dataplane.Port, *umem.Region) dataplane.Port {
	start := time.Now()
	return func(p dataplane.Port, r *umem.Region) dataplane.Port {
		return latetest.Wrap(p, latetest.Config{Region: r, Seed: seed, Most: most, Now: func() tcp.Time { return tcp.Time(time.Since(start)) }})
	}
}

// play carries a schedule out, and fails where what arrives or what is told is not what
// it has to be.
func play(t testing.TB, ops []byte, m dataplane.Memory, file *os.File) *schedule {
	s := &schedule{TB: t, ops: ops, file: file, sent: map[uint64]int{}}
	releases := uint64(0)
	m.TB = t
	got, k := dataplane.OverMemory(m, func(ctx context.Context, w *dataplane.Writer, stream *dataplane.Stream) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		w.OnRelease = func(_ dataplane.Release, payload []byte) {
			releases++
			for i := range payload {
				payload[i] = 0xee
			}
		}
		s.pipe, s.stream = w.Pipe(stream), stream
		s.pipe.SetContext(ctx)
		for len(s.ops) > 0 {
			s.step(ctx)
		}
		s.flush(ctx)
		if err := errors.Join(s.pipe.CloseWrite(), stream.WaitSendClosed(ctx)); err != nil {
			t.Error(err)
		}
	})
	if !bytes.Equal(got, s.want) {
		t.Errorf("the peer got %d bytes of %d, or others", len(got), len(s.want))
	}
	if k.Commits != releases || k.Releases != releases || k.BytesReleased != uint64(len(s.want)) || k.LentWhileHeld != 0 {
		t.Errorf("%d releases told: %+v", releases, k)
	}
	return s
}

func lettersOnDisk(t testing.TB) *os.File {
	path := filepath.Join(t.TempDir(), "letters")
	if err := os.WriteFile(path, letters, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestPipeSchedules: whatever calls follow each other, with completions that are late,
// packets that are lost and little memory, the same bytes arrive, and each piece is
// told of once and not before its time.
func TestPipeSchedules(t *testing.T) {
	file := lettersOnDisk(t)
	seeds := uint64(60)
	if testing.Short() {
		seeds = 8
	}
	told, sent := 0, 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 0x919e))
		ops := make([]byte, 100)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
		}
		m := dataplane.Memory{Frames: 24 + rng.IntN(200)}
		if seed%2 == 1 {
			m.Wrap = late(seed, 3*tcp.Millisecond)
		}
		if seed%4 > 1 {
			m.Loss = 100 // the peer has no SACK: each costs a round trip
		}
		s := play(t, ops, m, file)
		told, sent = told+s.told, sent+len(s.want)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if told < int(seeds) || sent < int(seeds)<<15 {
		t.Errorf("%d pieces, %d bytes: the test tests little", told, sent)
	}
}

// counting counts what a test would have failed for.
type counting struct {
	testing.TB
	errors int
}

func (c *counting) Error(...any)          { c.errors++ }
func (c *counting) Errorf(string, ...any) { c.errors++ }

// TestPipeSchedulesFindEarlyReleases: in the modes that are wrong on purpose they fail.
func TestPipeSchedulesFindEarlyReleases(t *testing.T) {
	ops := bytes.Repeat([]byte("\x05\xff\x02"), 50) // pieces of a frame
	for _, mode := range []dataplane.ReleaseMode{dataplane.ReleaseAck, dataplane.ReleaseSubmit, dataplane.ReleaseCompletion, dataplane.ReleaseAcked} {
		c := &counting{TB: t}
		play(c, ops, dataplane.Memory{Mode: mode, Loss: 10, Wrap: late(1, tcp.Millisecond)}, nil)
		if (c.errors == 0) != (mode == dataplane.ReleaseAck) {
			t.Errorf("%v: %d errors", mode, c.errors)
		}
	}
}

func FuzzPipe(f *testing.F) {
	file := lettersOnDisk(f)
	f.Add([]byte("\x00\xff\x05\x07\x03\x10\x04\x80\x06\x05\x80\x03\x06\x07"))
	f.Add([]byte("\x05\x40\x00\x06\x04\x00\x00\xff\x07\x02\xff\x00\x01\xff\x06"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		play(t, ops[:min(len(ops), 100)], dataplane.Memory{Frames: 64, Wrap: late(1, tcp.Millisecond)}, file)
	})
}
