package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/internal/units"
)

// sinkFlags are those of "xsend sink" that aren't sink.Config's own.
type sinkFlags struct {
	cfg         sink.Config
	once        bool
	asJSON      bool
	rcvbuf      int64
	windowClamp int64
	readSize    int64
	readRate    int64 // bits per second
}

func newSink(std stdio) *cobra.Command {
	f := &sinkFlags{}
	cmd := &cobra.Command{
		Use:   "sink",
		Short: "Receive with the kernel's TCP: bytes, rate, SHA-256",
		Long: `Receive with the kernel's TCP and print, for each connection, the bytes, the rate and their SHA-256. It needs no
privileges and no AF_XDP. Without --once it goes on until a signal ends it.

With --verify every byte is compared with the pattern that "xsend send --pattern" sends, and "xsend matrix" can ask for the
verdict on a connection, at the same port. The exit code is 1 if any byte was wrong.`,
		Example: `  xsend sink                                   port 9000, any number of connections
  xsend sink --listen 10.77.0.2:5001 --once    one connection
  xsend sink --once --count 8 --json           eight connections, one JSON object
  xsend sink --once --out received.iso         keep what comes
  xsend sink --verify --no-hash                compare with the pattern, and answer "xsend matrix"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, std) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.cfg.Listen, "listen", sink.DefaultListen, "address and port to listen on; port 0 lets the kernel choose")
	flags.BoolVar(&f.once, "once", false, "end after one connection, or after --count of them")
	flags.IntVar(&f.cfg.Count, "count", 0, "with --once: end after so many connections")
	flags.StringVar(&f.cfg.OutPath, "out", "", "write what comes to this `FILE`; the second connection's to FILE.2, and so on")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object at the end")
	flags.BoolVar(&f.cfg.Verify, "verify", false, "compare what comes with the pattern of xsend send --pattern, and answer who asks for the verdict")
	flags.BoolVar(&f.cfg.SkipHash, "no-hash", false, "leave the SHA-256 out")
	flags.Var(bytesValue(&f.rcvbuf), "rcvbuf", "SO_RCVBUF: size of the receive buffer")
	flags.Var(bytesValue(&f.windowClamp), "window-clamp", "TCP_WINDOW_CLAMP: largest window to advertise")
	flags.Var(bytesValue(&f.readSize), "read-size", "bytes that one read asks for")
	flags.Var(rateValue(&f.readRate), "read-rate", "read no faster than this")
	return cmd
}

func (f *sinkFlags) run(cmd *cobra.Command, std stdio) error {
	if err := errors.Join(f.config(cmd), f.tryOutput()); err != nil {
		return notStarted(err)
	}
	in, release := catch(cmd.Context())
	defer release()
	var listen string
	f.cfg.OnListening = func(a net.Addr) {
		listen = a.String()
		fmt.Fprintf(std.err, "listening on %s\n", listen)
	}
	if !f.asJSON {
		f.cfg.OnConn = func(r sink.Result) { printSinkResult(std, r) }
	}
	results, err := sink.Run(in.polite, f.cfg)
	if listen == "" {
		return notStarted(err)
	}
	summary := sink.Summarize(listen, results)
	if perr := f.print(std, summary); perr != nil {
		return failed(perr)
	}
	return sinkVerdict(in, summary, err)
}

// config completes sink.Config with the flags that need a conversion.
func (f *sinkFlags) config(cmd *cobra.Command) error {
	counted := cmd.Flags().Changed("count")
	switch {
	case counted && f.cfg.Count < 1:
		return fmt.Errorf("--count %d: must be at least 1", f.cfg.Count)
	case counted && !f.once:
		return errors.New("--count without --once: give both, or neither for any number of connections")
	case f.once && !counted:
		f.cfg.Count = 1
	}
	const most = 1 << 30
	for name, n := range map[string]int64{"rcvbuf": f.rcvbuf, "window-clamp": f.windowClamp, "read-size": f.readSize} {
		if n > most {
			return fmt.Errorf("--%s %d: must be at most %d bytes", name, n, most)
		}
	}
	f.cfg.ReadBuffer, f.cfg.WindowClamp, f.cfg.ReadSize = int(f.rcvbuf), int(f.windowClamp), int(f.readSize)
	f.cfg.BytesPerSecond = (f.readRate + 7) / 8
	return nil
}

// tryOutput makes the output file before anybody connects, so that a wrong name is known at once.
func (f *sinkFlags) tryOutput() error {
	if f.cfg.OutPath == "" {
		return nil
	}
	out, err := os.OpenFile(f.cfg.OutPath, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return out.Close()
}

func (f *sinkFlags) print(std stdio, s sink.Summary) error {
	if f.asJSON {
		return printJSON(std.out, s)
	}
	if len(s.Streams) > 1 {
		fmt.Fprintf(std.out, "[SUM] %d connections, %d bytes in %.2f s, %s\n", len(s.Streams), s.Bytes, s.Seconds, units.BitRate(s.BitsPerSecond))
	}
	return nil
}

func printSinkResult(std stdio, r sink.Result) {
	fmt.Fprintf(std.out, "[%3d] %s  %d bytes in %.2f s, %s", r.Conn, r.Remote, r.Bytes, r.Seconds, units.BitRate(r.BitsPerSecond))
	if r.SHA256 != "" {
		fmt.Fprintf(std.out, "  sha256 %s", r.SHA256)
	}
	switch c := r.Compared; {
	case c == nil:
	case c.WrongBytes > 0:
		fmt.Fprintf(std.out, "  WRONG: %d bytes, the first at offset %d", c.WrongBytes, c.FirstWrong)
	default:
		fmt.Fprint(std.out, "  verified")
	}
	fmt.Fprintln(std.out)
	if r.Err != "" {
		fmt.Fprintf(std.err, "xsend sink: connection %d from %s: %s\n", r.Conn, r.Remote, r.Err)
	}
}

// sinkVerdict is the exit code: 1 when bytes were wrong, a signal's, or 1 when a connection or the sink failed.
func sinkVerdict(in *interruption, s sink.Summary, err error) error {
	if s.Wrong > 0 {
		return failed(fmt.Errorf("%d of %d connections brought wrong bytes", s.Wrong, len(s.Streams)))
	}
	if code := in.code(); code != 0 && errors.Is(err, context.Cause(in.polite)) {
		return silent(code)
	}
	if err != nil {
		return failed(err)
	}
	if s.Failed > 0 {
		return failed(fmt.Errorf("%d of %d connections failed", s.Failed, len(s.Streams)))
	}
	return nil
}
