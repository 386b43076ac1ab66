package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/pattern"
)

// TestSendSizes sends files whole over both families and several MTUs. The kernel's own TCP must send nothing
// meanwhile.
func TestSendSizes(t *testing.T) {
	for _, mtu := range []int{1280, 1500, 3000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			r := newRig(t, lab.Config{MTU: mtu})
			before := r.kernelOutSegs()
			for _, size := range []int{0, 1, mtu - 52, mtu - 51, 3_000_000} {
				for _, host := range []string{"10.77.0.2", "fd77:7873::2"} {
					path, sum := file(t, size)
					s, at := r.sink("--once")
					_, port, _ := net.SplitHostPort(at)
					p := r.start(lab.Sender, nil, "send", "--json", "--hash", net.JoinHostPort(host, port), path)
					p.want(0)
					received(t, s, 1, size, sum)
					rep := p.report()
					sound(t, rep, int64(size))
					if rep.at("sha256") != sum || rep.number(t, "mtu") != float64(mtu) {
						t.Errorf("%d bytes to %s: sha256 %v, mtu %v", size, host, rep.at("sha256"), rep.at("mtu"))
					}
				}
			}
			if n := r.kernelOutSegs() - before; n != 0 {
				t.Errorf("the kernel's own TCP sent %d segments", n)
			}
			r.clean()
		})
	}
}

// kernelOutSegs is OutSegs and OutRsts of the sender's kernel.
func (r *rig) kernelOutSegs() (n int64) {
	r.t.Helper()
	var text []byte
	if err := r.Do(lab.Sender, func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	var names, values []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Tcp:") {
			names, values = values, strings.Fields(line)
		}
	}
	for i, name := range names {
		if name == "OutSegs" || name == "OutRsts" {
			var v int64
			fmt.Sscan(values[i], &v)
			n += v
		}
	}
	return n
}

func TestSendParallel(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 2_000_000)
	for _, n := range []int{8, 64} {
		s, to := r.sink("--once", "--count", fmt.Sprint(n))
		p := r.start(lab.Sender, nil, "send", "--json", "--hash", "-P", fmt.Sprint(n), to, path)
		p.want(0)
		received(t, s, n, 2_000_000, sum)
		rep := p.report()
		sound(t, rep, int64(n)*2_000_000)
		if rep.at("sha256") != sum || rep.at(fmt.Sprintf("streams.%d.sha256", n-1)) != sum {
			t.Errorf("-P %d: sha256 %v, want %s", n, rep.at("sha256"), sum)
		}
	}
}

// TestOneOfManyStops: seven of eight connections finish while one peer doesn't read.
func TestOneOfManyStops(t *testing.T) {
	r := newRig(t, lab.Config{})
	ln := r.listen()
	path, sum := file(t, 8_000_000)
	p := r.start(lab.Sender, nil, "send", "--json", "-P", "8", ln.Addr().String(), path)
	sums := make(chan string, 8)
	release := make(chan struct{})
	for i := range 8 {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			if i == 3 {
				<-release
			}
			h := sha256.New()
			h.Write(readAll(conn))
			sums <- hex.EncodeToString(h.Sum(nil))
			conn.Close()
		}()
	}
	for range 7 {
		if got := <-sums; got != sum {
			t.Errorf("a peer got %s, want %s", got, sum)
		}
	}
	select {
	case <-p.done:
		t.Error("the sender ended before the last peer had read anything")
	default:
	}
	close(release)
	if got := <-sums; got != sum {
		t.Errorf("the last peer got %s, want %s", got, sum)
	}
	p.want(0)
	sound(t, p.report(), 8*8_000_000)
}

func readAll(conn net.Conn) (all []byte) {
	b := make([]byte, 1<<16)
	for {
		n, err := conn.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			return all
		}
	}
}

// TestStandardInput: what a pipe brings is sent while the pipe stays open.
func TestStandardInput(t *testing.T) {
	r := newRig(t, lab.Config{})
	ln := r.listen()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := r.start(lab.Sender, in, "send", "--json", "--hash", ln.Addr().String(), "-")
	in.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	h := sha256.New()
	total := 0
	for _, size := range []int{5, 1, 100_000, 3} {
		part := make([]byte, size)
		pattern.At(part, int64(total))
		go w.Write(part)
		got := make([]byte, size)
		if _, err := readFull(conn, got); err != nil || string(got) != string(part) {
			t.Fatalf("%d bytes didn't come through while the pipe is open: %v", size, err)
		}
		h.Write(part)
		total += size
	}
	w.Close()
	if rest := readAll(conn); len(rest) != 0 {
		t.Errorf("%d bytes too many", len(rest))
	}
	conn.Close()
	p.want(0)
	sound(t, p.report(), int64(total))
	if sum := hex.EncodeToString(h.Sum(nil)); p.report().at("sha256") != sum {
		t.Errorf("sha256 %v, want %s", p.report().at("sha256"), sum)
	}
}

func readFull(conn net.Conn, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = conn.Read(b[n:])
		n += m
	}
	return n, err
}

func TestStandardInputThatIsARegularFile(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 500_000)
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	s, to := r.sink("--once")
	r.start(lab.Sender, in, "send", to, "-").want(0)
	received(t, s, 1, 500_000, sum)
}

// TestPattern: the documented pattern is what arrives.
func TestPattern(t *testing.T) {
	r := newRig(t, lab.Config{})
	want := make([]byte, 3<<20)
	pattern.At(want, 0)
	h := sha256.Sum256(want)
	sum := hex.EncodeToString(h[:])
	s, to := r.sink("--once", "--count", "2")
	p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--pattern", "-n", "3M", "-P", "2", to)
	p.want(0)
	received(t, s, 2, len(want), sum)
	if p.report().at("sha256") != sum {
		t.Errorf("sha256 %v, want %s", p.report().at("sha256"), sum)
	}
}

func TestTimeRateAndOmit(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--pattern", "-t", "1", "-O", "0.5", "-b", "80M", "-i", "0.25", to)
	p.want(0)
	s.want(0)
	rep := p.report()
	if got := rep.number(t, "seconds"); got < 1.4 || got > 2.5 {
		t.Errorf("%v s, want 0.5 omitted and 1 more", got)
	}
	if got := rep.number(t, "bits_per_second"); got < 10e6 || got > 100e6 { // a busy machine makes it less
		t.Errorf("%.0f bit/s, want at most about 80 million", got)
	}
	if n := len(rep.at("intervals").([]any)); n < 4 {
		t.Errorf("%d intervals", n)
	}
	if rep.at("intervals.0.omitted") != true || rep.number(t, "omitted_seconds") < 0.4 {
		t.Errorf("omitted %v, %v s", rep.at("intervals.0.omitted"), rep.at("omitted_seconds"))
	}
}

// TestLoss: under loss the right mode delivers and hands nothing back too early, although every frame is
// overwritten the moment it is handed back. The modes that hand back before the ACK must corrupt.
func TestLoss(t *testing.T) {
	r := newRig(t, lab.Config{Loss: 1, LossSeed: 7})
	const size = 8_000_000
	path, sum := file(t, size)
	for _, mode := range []string{"ack", "completion", "submit", "acked"} {
		t.Run(mode, func(t *testing.T) {
			r := &rig{t, r.Lab}
			s, to := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "--rewrite", "--release", mode, to, path)
			s.want(0)
			intact := s.report().at("streams.0.sha256") == sum
			if s.report().number(t, "bytes") != size {
				t.Errorf("%v of %d bytes arrived", s.report().at("bytes"), size)
			}
			switch mode {
			case "ack":
				p.want(0)
				sound(t, p.report(), size)
				if !intact || p.report().number(t, "retransmits") == 0 {
					t.Errorf("intact %v after %v retransmits", intact, p.report().at("retransmits"))
				}
			case "acked": // breaks the wire, not the stream
				p.want(3, "WRONG ON PURPOSE")
				if !intact {
					t.Error("the stream is corrupt")
				}
			default:
				p.want(3, "WRONG ON PURPOSE")
				if intact || p.report().number(t, "lent_while_held") == 0 {
					t.Error("nothing was corrupted: the control has no power")
				}
			}
		})
	}
}

func TestOneCPU(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 20_000_000)
	s, to := r.sink("--once")
	p := r.startWith(lab.Sender, nil, []string{"env", "GOMAXPROCS=1", "taskset", "-c", "0"}, "send", "--json", to, path)
	p.want(0)
	received(t, s, 1, 20_000_000, sum)
	sound(t, p.report(), 20_000_000)
}
