package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// TestKilled: the kernel takes the program off the interface, which works at once, and so does the next run.
func TestKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--pattern", "-t", "60", to)
	r.passes(5_000_000)
	p.signal(syscall.SIGKILL)
	<-p.done
	r.ping(1)
	r.clean()
	path, _ := file(t, 100_000)
	r.start(lab.Sender, nil, "send", to, path).want(0)
}

// TestLinkDownAndUp: the transfer waits, and goes on.
func TestLinkDownAndUp(t *testing.T) {
	t.Parallel()
	for _, end := range []string{lab.Sender, lab.Receiver} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, lab.Config{})
			path, sum := file(t, 6_000_000)
			s, to := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "-b", "60M", to, path)
			r.passes(1_000_000)
			if err := r.SetLink(end, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			if err := r.SetLink(end, true); err != nil {
				t.Fatal(err)
			}
			p.want(0)
			received(t, s, 1, 6_000_000, sum)
			sound(t, p.report(), 6_000_000)
		})
	}
}

// TestMTUFalls: segments that are queued already are cut.
func TestMTUFalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{MTU: 1500})
	path, sum := file(t, 6_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "-b", "60M", to, path)
	r.passes(1_000_000)
	if err := r.SetMTU(1280); err != nil {
		t.Fatal(err)
	}
	p.want(0)
	received(t, s, 1, 6_000_000, sum)
	sound(t, p.report(), 6_000_000)
}

// TestCoexistence: ping and the kernel's own TCP on the same interface work during a run.
func TestCoexistence(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	_, to := r.sink()
	p := r.start(lab.Sender, nil, "send", "--pattern", "-t", "60", "-b", "300M", to)
	r.passes(1_000_000)
	r.ping(3)
	if err := r.Do(lab.Sender, func() error {
		conn, err := net.DialTimeout("tcp4", to, 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("through the kernel"))
		return err
	}); err != nil {
		t.Errorf("the kernel's own TCP: %v", err)
	}
	p.signal(syscall.SIGTERM)
	p.want(143)
}

// TestOtherInterface: two runs at once on different interfaces.
func TestOtherInterface(t *testing.T) {
	one, two := newRig(t, lab.Config{}), newRig(t, lab.Config{})
	path, sum := file(t, 5_000_000)
	s1, to1 := one.sink("--once")
	s2, to2 := two.sink("--once")
	p1 := one.start(lab.Sender, nil, "send", to1, path)
	p2 := two.start(lab.Sender, nil, "send", to2, path)
	p1.want(0)
	p2.want(0)
	received(t, s1, 1, 5_000_000, sum)
	received(t, s2, 1, 5_000_000, sum)
}

// TestQueueWithoutSocket: when replies arrive where nobody looks, the error names the queue.
func TestQueueWithoutSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{Queues: 4})
	path, sum := file(t, 1_000_000)
	s, to := r.sink()
	// Which queue a reply takes depends on its hash, so that one of these arrives on another one than 0.
	for range 20 {
		p := r.start(lab.Sender, nil, "send", "--queues", "1", "--connect-timeout", "700", to, path)
		if p.wait() == 0 {
			continue
		}
		p.want(1, "queue", "without a socket", "--queues")
		r.clean()
		all := r.start(lab.Sender, nil, "send", "--json", to, path)
		all.want(0)
		if all.report().number(t, "start.queues") != 4 {
			t.Error("not all queues were bound")
		}
		s.signal(syscall.SIGINT)
		s.want(130)
		if r := s.report(); !strings.Contains(strings.Join(sums(r), " "), sum) {
			t.Error("the file didn't arrive")
		}
		return
	}
	t.Skip("veth put every reply on queue 0: nothing to see on this kernel")
}

func sums(r report) (all []string) {
	streams, _ := r.at("streams").([]any)
	for _, s := range streams {
		sum, _ := s.(map[string]any)["sha256"].(string)
		all = append(all, sum)
	}
	return all
}
