package xdpprog

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// childEnv makes the test binary a process that attaches something to the interface
// with the given index, says so, and waits for the end of its standard input.
const (
	childEnv   = "XDPPROG_TEST_CHILD" // "steer" or "netlink"
	ifindexEnv = "XDPPROG_TEST_IFINDEX"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		child(role)
		return
	}
	os.Exit(m.Run())
}

func child(role string) {
	index, err := strconv.Atoi(os.Getenv(ifindexEnv))
	var p *Program
	if err == nil && role == "steer" {
		p, err = Attach(Config{Ifindex: index})
	} else if err == nil {
		_, err = attachForeign(index, ModeNative, false)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("attached")
	io.Copy(io.Discard, os.Stdin)
	p.Close()
}

// startChild returns once the child has attached. It inherits the namespace of the
// thread that starts it.
func (p *pair) startChild(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role, fmt.Sprintf("%s=%d", ifindexEnv, p.nearIndex))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // closed when we end, however we end
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.near.must(t, cmd.Start)
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "attached\n" {
		t.Fatalf("child: %s", line)
	}
	return cmd
}

// foreign is a program that isn't ours on an interface.
type foreign struct {
	prog *ebpf.Program
	link link.Link // nil if attached by netlink
}

func (f *foreign) close() {
	f.prog.Close()
	if f.link != nil {
		f.link.Close()
	}
}

func attachForeign(index int, mode Mode, byLink bool) (*foreign, error) {
	prog, err := ebpf.NewProgram(constant(2))
	if err != nil {
		return nil, err
	}
	if byLink {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: index, Flags: mode.flag()})
		return &foreign{prog, l}, err
	}
	dev, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, err
	}
	flags := nl.XDP_FLAGS_DRV_MODE
	if mode == ModeGeneric {
		flags = nl.XDP_FLAGS_SKB_MODE
	}
	return &foreign{prog: prog}, netlink.LinkSetXdpFdWithFlags(dev, prog.FD(), flags)
}
