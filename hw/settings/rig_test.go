package settings

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/lab"
)

// rig is a veth pair between two network namespaces of the test's own.
type rig struct {
	t     *testing.T
	lab   *lab.Lab
	state string
}

var labs atomic.Int32

// veth is the interface that is changed.
const veth = "veth-a"

func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and a veth pair")
	}
	name := fmt.Sprintf("set%d-%d", os.Getpid(), labs.Add(1))
	l, err := lab.Up(t.Context(), lab.Config{Name: name, Queues: 4, TxChecksum: true, Segmentation: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, lab: l, state: t.TempDir()}
	// TSO and GSO are wanted, and off for want of scatter-gather.
	if err := l.Do(lab.Sender, func() error {
		_, err := system(request{set: true, group: Feature, name: veth, values: Values{"tx-scatter-gather": off}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"tx-tcp-segmentation", "tx-generic-segmentation"} {
		if got := r.second(Feature, k); got != off {
			t.Fatalf("%s is %s without scatter-gather", k, got)
		}
	}
	return r
}

// start runs a child at the sender's end.
func (r *rig) start(j job, env ...string) *child {
	r.t.Helper()
	j.Interface, j.State = veth, r.state
	text, err := json.Marshal(j)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &child{t: r.t, cmd: exec.Command("/proc/self/exe")}
	c.cmd.Env = append(append(os.Environ(), env...), childEnv+"="+string(text))
	c.cmd.Stderr = &c.complaint
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := r.lab.Start(lab.Sender, c.cmd); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	return c
}

type child struct {
	t         *testing.T
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Reader
	complaint strings.Builder
}

// line is one that the child prints; "" at the end.
func (c *child) line() string {
	s, _ := c.out.ReadString('\n')
	return strings.TrimSuffix(s, "\n")
}

// rest is what else the child prints, and its end. A guardian holds standard error open: its end is waited for, too.
func (c *child) rest() (lines []string, err error) {
	for s := c.line(); s != ""; s = c.line() {
		lines = append(lines, s)
	}
	return lines, c.cmd.Wait()
}

// killed waits for the end of a child that kills itself, and of its guardian.
func (c *child) killed() {
	c.t.Helper()
	_, err := c.rest()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(interface{ Signaled() bool }).Signaled() != true {
		c.t.Fatalf("the child ended with %v instead of by SIGKILL: %s", err, c.complaint.String())
	}
}

// snapshot is read by a process of its own, for which /sys shows the namespace.
func (r *rig) snapshot() (s Snapshot) {
	r.t.Helper()
	c := r.start(job{Snapshot: true})
	if err := json.NewDecoder(c.out).Decode(&s); err != nil {
		r.t.Fatalf("%v: %s", err, c.complaint.String())
	}
	if _, err := c.rest(); err != nil {
		r.t.Fatal(err)
	}
	if len(s.Values[NAPI]) == 0 || len(s.Values[Feature]) < 30 || len(s.Values[Channels]) == 0 {
		r.t.Fatalf("a snapshot of little: %+v", s)
	}
	return s
}

// recover is "xsend restore".
func (r *rig) recover() {
	r.t.Helper()
	c := r.start(job{Recover: true})
	lines, err := c.rest()
	if err != nil {
		r.t.Errorf("restore: %q, %v: %s", lines, err, c.complaint.String())
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "exact (") {
			r.t.Errorf("restore: %s", line)
		}
	}
}

func (r *rig) left() (names []string) {
	r.t.Helper()
	entries, err := os.ReadDir(r.state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// second is another reader, which has nothing in common with the first: the oldest commands of ethtool, and rtnetlink.
func (r *rig) second(g Group, key string) (value string) {
	r.t.Helper()
	if err := r.lab.Do(lab.Sender, func() (err error) {
		switch g {
		case MTU:
			l, err := netlink.LinkByName(veth)
			if err != nil {
				return err
			}
			value = strconv.Itoa(l.Attrs().MTU)
		case Channels:
			buf := make([]byte, 36)
			binary.NativeEndian.PutUint32(buf, unix.ETHTOOL_GCHANNELS)
			err = raw(buf)
			value = strconv.Itoa(int(binary.NativeEndian.Uint32(buf[4*map[string]int{"rx": 5, "tx": 6, "combined": 8}[key]:])))
		case Feature:
			value, err = rawFeature(key)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return value
}

func raw(buf []byte) error {
	_, err := withSocket(func(fd int) (reply, error) { return reply{}, ethtoolIoctl(fd, veth, buf) })
	return err
}

// rawFeature reads names and bits without the library.
func rawFeature(key string) (string, error) {
	const set, size = 4, 32
	info := make([]byte, 24)
	binary.NativeEndian.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	binary.NativeEndian.PutUint64(info[8:], 1<<set)
	if err := raw(info); err != nil {
		return "", err
	}
	n := int(binary.NativeEndian.Uint32(info[16:]))
	names := make([]byte, 12+n*size)
	for i, word := range []uint32{unix.ETHTOOL_GSTRINGS, set, uint32(n)} {
		binary.NativeEndian.PutUint32(names[4*i:], word)
	}
	if err := raw(names); err != nil {
		return "", err
	}
	words := (n + 31) / 32
	bits := make([]byte, 8+16*words)
	binary.NativeEndian.PutUint32(bits, unix.ETHTOOL_GFEATURES)
	binary.NativeEndian.PutUint32(bits[4:], uint32(words))
	if err := raw(bits); err != nil {
		return "", err
	}
	for i := range n {
		if unix.ByteSliceToString(names[12+i*size:12+(i+1)*size]) == key {
			word := binary.NativeEndian.Uint32(bits[8+16*(i/32)+8:]) // available, requested, active, never changed
			return onOff(word>>(i%32)&1 != 0), nil
		}
	}
	return absent, nil
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
