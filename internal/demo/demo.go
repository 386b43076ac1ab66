package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/race"
)

// port is what the receiver listens on, in its own namespace.
const port = 9000

// DefaultSize is the size of the file that is made where none is given, in bytes.
const DefaultSize = 256 << 20

// Schema names the shape of Result.
const Schema = "xsend.demo/1"

// ErrNotStarted is in an error after which nothing has been sent.
var ErrNotStarted = errors.New("demo not started")

// ErrProof is in the error of a demonstration that ran and didn't show what it should.
var ErrProof = errors.New("demo failed")

// Config is one demonstration.
type Config struct {
	Self string // the program to run
	// Keeper is a command line that calls Keep with what follows it as arguments; empty = none, and a demonstration that is killed leaves what it made.
	Keeper []string
	File   string // what to send; "" is a file of DefaultSize made for it
	MTU    int    // of the lab, bytes; 0 is the lab's default

	// What is asked of the sender, as the flags of "xsend send" of these names have it; "" is its default.
	Checksum, RXChecksum, SG, Mode, Attach string
	Fallback                               bool     // go on without what would be refused
	Flags                                  []string // further ones of "xsend send", as they are given to it

	// Say is told what is being done, a sentence at a time.
	Say func(string)
	// Out and Err get what the sender prints. Without Out the sender prints nothing but warnings, and its
	// report is in Result.Send only.
	Out, Err io.Writer
}

// Result is what a demonstration showed. Its JSON names are stable.
type Result struct {
	Schema string `json:"schema"`
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	MTU    int    `json:"mtu"`

	SHA256        string  `json:"sha256"`          // of the file
	Received      string  `json:"sha256_received"` // at the receiver
	ReceivedBytes int64   `json:"bytes_received"`
	BitsPerSecond float64 `json:"bits_per_second"` // as the receiver measured it

	KernelOutSegs int64 `json:"kernel_out_segs"` // TCP segments that the kernel itself sent in the sender's namespace meanwhile
	Packets       int64 `json:"packets"`         // what the receiver's interface received meanwhile

	Send json.RawMessage `json:"send,omitempty"` // the sender's report
	Sink json.RawMessage `json:"sink,omitempty"` // the receiver's
	Race *race.Result    `json:"race,omitempty"` // what Race returned, where it was asked for
}

// Run makes the lab, sends, compares, and removes everything.
func Run(ctx context.Context, cfg Config) (res Result, err error) {
	res.Schema = Schema
	file, err := openFile(cfg)
	if err != nil {
		return res, fmt.Errorf("%w: file to send: %w", ErrNotStarted, err)
	}
	defer func() { err = errors.Join(err, file.Remove()) }()
	res.File, res.Bytes, res.SHA256 = file.Path, file.Size, file.SHA256

	name := "xsend-demo-" + strconv.Itoa(os.Getpid())
	keep, err := startKeeper(cfg.Keeper, name, file.Made())
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	defer keep.dismiss()
	cfg.Say(fmt.Sprintf("making the network namespaces %s-a and %s-b, joined by a veth pair", name, name))
	l, err := lab.Up(ctx, lab.Config{Name: name, MTU: cfg.MTU})
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	defer func() {
		err = errors.Join(err, l.Close())
		cfg.Say("removed what was made")
	}()
	return res, show(ctx, cfg, l, &res)
}

// show sends the file through the lab and checks what arrived.
func show(ctx context.Context, cfg Config, l *lab.Lab, res *Result) error {
	before, err := observe(l)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	target := netip.AddrPortFrom(l.Receiver().IPv4.Addr(), port).String()
	receiver, err := child.StartSink(ctx, cfg.Self, l, cfg.Err, "--listen", target)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	defer receiver.Stop()
	cfg.Say(fmt.Sprintf("a kernel TCP receiver listens on %s in %s; sending %d bytes to it with AF_XDP from %s",
		target, l.Receiver().Namespace, res.Bytes, l.Sender().Namespace))
	if res.Send, err = send(ctx, cfg, l, target, res.File); err != nil {
		return err
	}
	got, report, err := receiver.Result()
	if err != nil {
		return err
	}
	res.Sink, res.ReceivedBytes, res.BitsPerSecond, res.Received = report, got.Bytes, got.BitsPerSecond, got.SHA256
	after, err := observe(l)
	if err != nil {
		return err
	}
	res.MTU = after.mtu
	res.KernelOutSegs, res.Packets = after.outSegs-before.outSegs, after.packets-before.packets
	return res.prove()
}

// prove says what the result doesn't show.
func (r *Result) prove() error {
	switch {
	case r.Received != r.SHA256 || r.ReceivedBytes != r.Bytes:
		return fmt.Errorf("%w: the file has %d bytes with SHA-256 %s, the receiver got %d with %s", ErrProof, r.Bytes, r.SHA256, r.ReceivedBytes, r.Received)
	case r.KernelOutSegs != 0:
		return fmt.Errorf("%w: the kernel's own TCP sent %d segments in the sender's namespace: not everything went by AF_XDP", ErrProof, r.KernelOutSegs)
	case r.Packets == 0:
		return fmt.Errorf("%w: no packet arrived at the receiver's interface", ErrProof)
	}
	return nil
}

func openFile(cfg Config) (*child.File, error) {
	if cfg.File != "" {
		return child.ReadFile(cfg.File)
	}
	cfg.Say(fmt.Sprintf("making a file of %d MiB", DefaultSize>>20))
	return child.MakeFile(DefaultSize)
}
