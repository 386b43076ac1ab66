package session_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
)

// childEnv tells a process of the test's own what to send, and where: a childJob.
const childEnv = "XSEND_SESSION_TEST_CHILD"

type childJob struct {
	To    netip.AddrPort
	Bytes int // 0 = without end
}

// childMain is a program that sends. It writes a line when it is under way.
func childMain(job string) int {
	var j childJob
	err := json.Unmarshal([]byte(job), &j)
	if err == nil {
		err = j.send()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (j childJob) send() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := session.Open(ctx, session.Config{Destination: j.To.Addr(), Witness: true})
	if err != nil {
		return err
	}
	c, err := s.Dial(ctx, session.DialConfig{Remote: j.To})
	if err != nil {
		return err
	}
	if err := j.fill(ctx, c); err != nil {
		return err
	}
	if err := finish(ctx, c); err != nil {
		return err
	}
	rep, err := s.Close()
	if k := rep.Counters; err == nil && (rep.Frames.Leaked > 0 || k.Submitted != k.Completed || rep.RewrittenInFlight > 0) {
		err = fmt.Errorf("%+v", rep)
	}
	return err
}

func (j childJob) fill(ctx context.Context, c *session.Conn) error {
	p := payload(1, max(j.Bytes, 1<<20))
	if err := fill(ctx, c, p[:1<<20]); err != nil {
		return err
	}
	fmt.Println("under way")
	for j.Bytes == 0 {
		if err := fill(ctx, c, p); err != nil {
			return err
		}
	}
	return fill(ctx, c, p[1<<20:])
}

// start runs a child at the sender's end and returns once it is under way.
func (r *rig) start(t *testing.T, j childJob, env ...string) *exec.Cmd {
	t.Helper()
	job, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), env...), childEnv+"="+string(job))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.lab.Start(lab.Sender, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = cmd.Wait()
		t.Fatalf("the child wrote %q: %v: %s", line, err, complaint.String())
	}
	return cmd
}

// kill -9 in mid-run leaves a working host: no program on the interface, the host's
// own traffic works, and the next session too.
func TestKilledInMidRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	rc := r.receive(nil)
	cmd := r.start(t, childJob{To: rc.addr})
	if r.program() == 0 {
		t.Error("no program is attached while the child sends")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
	if err := r.host(); err != nil {
		t.Errorf("%v after the kill: %v", time.Since(killed), err)
	}
	// Within a second on a machine that has nothing else to do; this one runs other tests.
	if d := time.Since(killed); d > 5*time.Second {
		t.Errorf("the host's networking took %v", d)
	} else {
		t.Logf("the host's networking took %v", d)
	}
	if id := r.program(); id != 0 {
		t.Errorf("program %d stayed attached", id)
	}
	r.works(t)
}

// One CPU for poller, writer and garbage collector is enough.
func TestOneCPU(t *testing.T) {
	for name, env := range map[string]string{"GOMAXPROCS": "GOMAXPROCS=1", "all CPUs": "GOMAXPROCS="} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{Loss: 0.1, LossSeed: 1})
			rc := r.receive(nil)
			start := time.Now()
			cmd := r.start(t, childJob{To: rc.addr, Bytes: 32 << 20}, env)
			if err := cmd.Wait(); err != nil {
				t.Error(err, cmd.Stderr)
			}
			t.Log(time.Since(start))
			if res := <-rc.results; res.SHA256 != sumOf(payload(1, 32<<20)) {
				t.Errorf("%+v", res)
			}
		})
	}
}
