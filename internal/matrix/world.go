package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/sink"
)

// world is what a matrix needs of the machine and of the receiver; a test stands in for it.
type world struct {
	lookup  func(name string) (hw.Interface, error)
	resolve func(ctx context.Context, target, link string) (netip.AddrPort, error)
	run     func(ctx context.Context, self string, args []string) (ended, error)
	ask     func(ctx context.Context, addr string, conns []netip.AddrPort) ([]sink.Verdict, error)
	set     func(ctx context.Context, change settings.Change) (restore func() error, err error)
	uneven  func(link string) bool
	now     func() time.Time
	pause   func(context.Context, time.Duration) error
}

// ended is a child that has ended.
type ended struct {
	code        int
	out, errors []byte
}

func realWorld(cfg *Config) world {
	return world{
		lookup: hw.Lookup, resolve: resolve, run: runChild, ask: sink.Ask, set: cfg.set, uneven: uneven, now: time.Now, pause: pause,
	}
}

// runChild runs the program; the error is that of ctx, or says that it couldn't be started or was killed.
func runChild(ctx context.Context, self string, args []string) (e ended, err error) {
	cmd := child.Command(ctx, self, args...)
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	err = cmd.Run()
	e = ended{out: out.Bytes(), errors: diagnostics.Bytes()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return e, context.Cause(ctx)
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		e.code, err = exit.ExitCode(), nil
	}
	return e, err
}

// splitTarget reads HOST:PORT.
func splitTarget(target string) (host string, err error) {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		return "", fmt.Errorf("destination %q: give HOST:PORT, an IPv6 address as [ADDRESS]:PORT", target)
	}
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("destination %q: port %q: give a number from 1 to 65535", target, text)
	}
	if host == "" {
		return "", fmt.Errorf("destination %q: no host: give HOST:PORT", target)
	}
	return host, nil
}

// resolve finds the address that all runs go to: the first of the host's that there is a route to from that interface.
func resolve(ctx context.Context, target, link string) (at netip.AddrPort, err error) {
	host, err := splitTarget(target)
	if err != nil {
		return at, err
	}
	_, text, _ := net.SplitHostPort(target)
	port, _ := strconv.ParseUint(text, 10, 16) // splitTarget has seen it
	addrs, err := hw.HostResolve(ctx, host, false, false)
	if err != nil {
		return at, err
	}
	for _, a := range addrs {
		_, rerr := hw.ResolveRoute(a, hw.RouteOptions{Interface: link})
		if rerr == nil {
			return netip.AddrPortFrom(a, uint16(port)), nil
		}
		if err == nil {
			err = rerr
		}
	}
	return at, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
