package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/xsend/xsend/internal/netem"
	"golang.org/x/sys/unix"
)

// The wire's interfaces: towards the sender, towards the receiver.
const (
	wireNear = "w0"
	wireFar  = "w1"
)

// wireReady is what the wire's process says, as a line, when it forwards.
const wireReady = "ready"

// ErrNoWire is returned when a wire is asked of a lab whose ends are joined directly.
var ErrNoWire = errors.New("the lab has no wire")

// WireStatus is a lab's wire. Its JSON names are stable.
type WireStatus struct {
	Namespace      string       `json:"namespace"`
	Running        bool         `json:"running"`
	InterfaceDrops uint64       `json:"interface_drops"` // packets that the veth pairs lost on the way to the wire, in it, or behind it
	Status         netem.Status `json:"status"`          // zero when it doesn't run
}

// Unintended is the number of packets lost between the ends that nobody asked to lose.
func (w *WireStatus) Unintended() uint64 { return w.InterfaceDrops + w.Status.Unintended() }

func (l *Lab) wireNamespace() string { return Namespace(l.name, Wire) }

func (l *Lab) wireEnds() (near, far End) {
	ns := l.wireNamespace()
	return End{Namespace: ns, Interface: wireNear}, End{Namespace: ns, Interface: wireFar}
}

func (c Config) validateWire() error {
	if c.Loss != 0 || c.LossSeed != 0 {
		return fmt.Errorf("lab %s: both a loss program and a wire: let the wire drop", c.Name)
	}
	if err := c.Wire.Validate(); err != nil {
		return fmt.Errorf("lab %s: wire: %w", c.Name, err)
	}
	return nil
}

// startWire sets the wire's interfaces up, starts its process and returns when it forwards.
func (l *Lab) startWire(ctx context.Context, cfg Config) error {
	if cfg.Wire == nil {
		return nil
	}
	if err := l.Do(Wire, func() error { return settleWire(cfg) }); err != nil {
		return err
	}
	if err := l.runWire(ctx, cfg); err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	return nil
}

// settleWire makes two interfaces that say nothing of their own.
func settleWire(cfg Config) error {
	err := os.WriteFile(ipv6Conf+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set net.ipv6.conf.default.disable_ipv6: %w", needRoot(err))
	}
	for _, name := range []string{wireNear, wireFar} {
		if err := setOffloads(name, cfg.TxChecksum, cfg.Segmentation); err != nil {
			return err
		}
		link, err := linkNamed(name)
		if err != nil {
			return err
		}
		if err := disableIPv6(name); err != nil {
			return err
		}
		if err := setLink(link, true); err != nil {
			return err
		}
	}
	return nil
}

// disableIPv6 keeps an interface that was made before from announcing itself.
func disableIPv6(name string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set net.ipv6.conf.%s.disable_ipv6: %w", name, needRoot(err))
	}
	return nil
}

// runWire starts the process, which goes on when this one ends, and waits until it says that it is ready.
func (l *Lab) runWire(ctx context.Context, cfg Config) error {
	program := cfg.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
	}
	text, err := json.Marshal(cfg.Wire)
	if err != nil {
		return err
	}
	said, err := newSpeech()
	if err != nil {
		return err
	}
	defer said.close()
	cmd := exec.Command(program, "lab", "wire", string(text))
	cmd.Stdout, cmd.Stderr = said.write, said.write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's signals are not for it
	if err := l.Start(Wire, cmd); err != nil {
		return err
	}
	go cmd.Wait() // so that no zombie is left if this process outlives it
	said.write.Close()
	return said.await(ctx)
}

// speech is what a starting wire says.
type speech struct{ read, write *os.File }

func newSpeech() (s speech, err error) {
	s.read, s.write, err = os.Pipe()
	return s, err
}

func (s speech) close() { s.read.Close(); s.write.Close() }

// await waits for the word; anything else is why there is no wire.
func (s speech) await(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.read.SetReadDeadline(time.Unix(1, 0)) })()
	if err := s.read.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	in := bufio.NewReader(s.read)
	line, err := in.ReadString('\n')
	if line == wireReady+"\n" {
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("it doesn't start: %w", err)
	}
	rest, _ := io.ReadAll(in) // what was said is the better error
	return fmt.Errorf("it doesn't start: %s", strings.TrimSpace(line+string(rest)))
}

// RunWire is the wire's process: it says "ready" on out when it forwards, and forwards until ctx ends, it is
// asked to stop, or the lab is gone. text is the netem.Config as JSON.
func RunWire(ctx context.Context, text string, out io.Writer) error {
	var cfg netem.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return fmt.Errorf("wire: configuration: %w", err)
	}
	err := netem.Run(ctx, wireNear, wireFar, cfg, func() { fmt.Fprintln(out, wireReady) })
	if errors.Is(err, netem.ErrGone) {
		return nil
	}
	return err
}

// stopWire ends the wire of the thread's namespace, if there is one.
func stopWire() error {
	if err := netem.Stop(); !errors.Is(err, netem.ErrNoWire) {
		return err
	}
	return nil
}

// SetWire changes what the wire does, from the next packet on; it numbers packets from 1 again and counts
// from zero.
func (l *Lab) SetWire(cfg netem.Config) error {
	return l.atWire(func() error { return netem.Set(cfg) })
}

// WireStatus returns what the wire does and has counted.
func (l *Lab) WireStatus() (s netem.Status, err error) {
	err = l.atWire(func() error { s, err = netem.Read(); return err })
	return s, err
}

func (l *Lab) atWire(fn func() error) error {
	err := l.Do(Wire, fn)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("lab %s: %w", l.name, ErrNoWire)
	}
	return err
}

func (l *Lab) setWireMTU(mtu int) error {
	err := l.atWire(func() error {
		for _, name := range []string{wireFar, wireNear} {
			link, err := linkNamed(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetMTU(link, mtu); err != nil {
				return fmt.Errorf("%s: set MTU %d: %w", name, mtu, needRoot(err))
			}
		}
		return nil
	})
	if errors.Is(err, ErrNoWire) {
		return nil
	}
	return err
}

// readWire returns what is there of a wire; nil without one.
func (l *Lab) readWire() (*WireStatus, error) {
	s := &WireStatus{Namespace: l.wireNamespace()}
	is, err := isNamespace(namespacePath(s.Namespace))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", s.Namespace, err)
	}
	if !is {
		return s, nil // a bare name: a lab half made
	}
	if err := checkMark(s.Namespace, mark(l.name)); errors.Is(err, ErrForeign) {
		return nil, nil // somebody else's, beside a lab without a wire
	} else if err != nil {
		return nil, err
	}
	return s, l.Do(Wire, s.read)
}

func (w *WireStatus) read() (err error) {
	w.Status, err = netem.Read()
	if errors.Is(err, netem.ErrNoWire) {
		return nil
	}
	w.Running = err == nil
	links, lerr := netlink.LinkList()
	if lerr != nil {
		return errors.Join(err, fmt.Errorf("interfaces of the wire: %w", lerr))
	}
	for _, link := range links {
		if st := link.Attrs().Statistics; st != nil && link.Attrs().RawFlags&unix.IFF_LOOPBACK == 0 {
			w.InterfaceDrops += st.RxDropped + st.TxDropped
		}
	}
	return err
}
