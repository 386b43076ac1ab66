package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/transfer"
	"github.com/xsend/xsend/tcp"
)

// sendFlags are those of "xsend send" that aren't transfer.Config's own.
type sendFlags struct {
	cfg      transfer.Config
	source   string
	interval time.Duration
	asJSON   bool
	asStream bool
	verbose  bool
	wakeup   string
	hold     holdFlags
}

func newSend(std stdio) *cobra.Command {
	f := &sendFlags{interval: time.Second, wakeup: "on"}
	f.cfg.Linger, f.cfg.ConnectTimeout, f.cfg.RTOMin = transfer.DefaultLinger, transfer.DefaultConnectTimeout, transfer.DefaultRTOMin
	f.cfg.Binding, f.cfg.Attach, f.cfg.Mode, f.cfg.Release = "native", "auto", "auto", "ack"
	f.cfg.SG = "auto"
	f.cfg.Checksum, f.cfg.RXChecksum = string(session.ChecksumSoftware), string(session.RXAuto)
	f.hold.init()
	cmd := &cobra.Command{
		Use:   "send [flags] HOST:PORT [FILE|-]",
		Short: "Send a file, standard input or a pattern with AF_XDP",
		Long: `Send a file, standard input (-) or a pattern to any TCP receiver, from memory that the NIC reads directly. It needs
root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF. It ends when the peer has ACKed everything and the NIC has given back
every frame.

A file is sent up to the size that it has when it is opened. If it gets shorter meanwhile, the connection is reset, so
that the receiver doesn't take a part for the whole. The pattern's byte at each offset is always the same: word i of
eight bytes, little-endian, is the (i+1)th number of SplitMix64 seeded with 0.

The first SIGINT or SIGTERM stops reading, closes the connection behind what was read and waits for the ACKs, at most for
--linger; the second one resets it.

Exit codes: 0 all was ACKed and every frame is back; 1 started and failed; 2 not started; 3 bytes were sent with a
--release that is wrong on purpose; 130, 143 ended by SIGINT, SIGTERM; 141 nobody read the output to its end.`,
		Example: `  xsend send 192.0.2.7:9000 big.iso
  xsend send --hash [2001:db8::7]:9000 big.iso
  tar c dir | xsend send receiver.example:9000 -
  xsend send --pattern -t 30 -P 4 --json 192.0.2.7:9000
  xsend send --json-stream 192.0.2.7:9000 big.iso | jq -c 'select(.event == "interval").data.sum'
  xsend send --set tx-scatter-gather=on --set-ring rx=4096,tx=4096 --mtu 3000 192.0.2.7:9000 big.iso
  xsend send --pattern -n 1G --release submit --rewrite 10.77.0.2:9000    see what the wrong way does`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.whatFlags(flags)
	f.pathFlags(cmd)
	f.dataplaneFlags(cmd)
	f.hold.flags(cmd)
	f.settingsFlags(flags)
	f.outputFlags(flags)
	f.bookFlags(flags)
	return cmd
}

// whatFlags say what is sent.
func (f *sendFlags) whatFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&f.cfg.Pattern, "pattern", false, "send a pattern instead of a file")
	flags.VarP(bytesValue(&f.cfg.Bytes), "bytes", "n", "with --pattern: how many bytes; K, M, G are powers of 1024")
	flags.VarP(timeValue(&f.cfg.Time, time.Second), "time", "t", fmt.Sprintf("with --pattern: how long to send, in seconds or as a duration (default %v)", transfer.DefaultTime))
	flags.IntVarP(&f.cfg.Parallel, "parallel", "P", 1, "connections; each one sends the whole file or pattern")
	flags.VarP(rateValue(&f.cfg.BitRate), "rate", "b", "send no faster than this on each connection, in bits of payload per second; K, M, G are powers of 1000")
	flags.BoolVar(&f.cfg.Hash, "hash", false, "print the SHA-256 of what was sent")
	flags.BoolVar(&f.cfg.Rewrite, "rewrite", false, "overwrite each frame with 0xEE the moment it is handed back: it does no harm, except with a wrong --release")
}

// pathFlags say where to, from where and how TCP does it.
func (f *sendFlags) pathFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.cfg.Interface, "interface", "I", "", "interface to send from (default: the route's)")
	flags.StringVarP(&f.source, "source", "B", "", "address to send from (default: the route's)")
	flags.Var(vlanValue(&f.cfg.VLAN), "vlan", "put an 802.1Q tag with this VLAN ID on what is sent, 0 to 4094: it leaves by the NIC under the VLAN device of that ID, or by the route's interface where that is none (default: no tag)")
	flags.Uint16Var(&f.cfg.LocalPort, "cport", 0, "local port; further connections count up from it (default: a free one)")
	flags.BoolVarP(&f.cfg.Want4, "ipv4", "4", false, "use IPv4 only")
	flags.BoolVarP(&f.cfg.Want6, "ipv6", "6", false, "use IPv6 only")
	congestions := transfer.Congestions()
	f.cfg.Congestion = congestions[0]
	choice(cmd, &f.cfg.Congestion, "congestion", "C", "congestion control", congestions...)
	flags.Var(bytesValue(&f.cfg.FixedWindow), "fixed-window", "with -C fixed: bytes in flight on each connection (default: as much as the peer takes)")
	flags.BoolVar(&f.cfg.ECN, "ecn", false, "offer explicit congestion notification: routers that do it mark packets instead of dropping them (RFC 3168), and the window falls less for a mark than for a loss (RFC 8511)")
	flags.BoolVar(&f.cfg.NoPacing, "no-pacing", false, "send what the windows allow at once instead of spreading it over the round trip; -b still holds")
	flags.IntVarP(&f.cfg.MSS, "set-mss", "M", 0, "most payload bytes in a segment (default: what path and peer allow)")
	flags.Var(timeValue(&f.cfg.RTOMin, time.Millisecond), "rto-min", "floor of the retransmission timeout, in milliseconds or as a duration")
	flags.Var(timeValue(&f.cfg.UserTimeout, time.Millisecond), "user-timeout", "give a connection up when the peer ACKs nothing for so long, in milliseconds or as a duration (default: after 15 retransmission timeouts in a row)")
	flags.Var(timeValue(&f.cfg.KeepAlive, time.Second), "keepalive", "ask a peer that was silent for so long whether it is there, in seconds or as a duration; after 9 questions, or --user-timeout, without an answer the connection fails (default: off)")
	flags.Var(dscpValue(&f.cfg.DSCP), "dscp", "code point: 0 to 63, or a name such as cs1, af21, ef")
	flags.Var(timeValue(&f.cfg.ConnectTimeout, time.Millisecond), "connect-timeout", "how long to wait for a connection, in milliseconds or as a duration")
	flags.Var(timeValue(&f.cfg.Linger, time.Second), "linger", "how long to drain after an interruption, and to await the peer's FIN; in seconds or as a duration")
}

// dataplaneFlags say how the frames move.
func (f *sendFlags) dataplaneFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	choice(cmd, &f.cfg.Binding, "binding", "", "code behind the AF_XDP socket", "native", "asavie")
	choice(cmd, &f.cfg.Attach, "attach", "", "how the XDP program is attached", "auto", "native", "generic")
	choice(cmd, &f.cfg.SG, "sg", "", "packets of several descriptors: headers in one, payload in place behind it; auto is on where a packet is larger than a frame", "auto", "off", "on")
	choice(cmd, &f.cfg.Mode, "mode", "", "how the kernel takes frames", "auto", "copy", "zerocopy")
	choice(cmd, &f.cfg.Checksum, "checksum", "", "who computes checksums: sw, xsend; hw, NIC or kernel, whoever it is; kernel, in its copy; auto, hw where a NIC may do it and a canary proves it", "sw", "hw", "kernel", "auto")
	choice(cmd, &f.cfg.RXChecksum, "rx-checksum", "", "checksums of what is received: verify them, trust them, or auto, trust on links inside this machine only", "auto", "verify", "trust")
	flags.BoolVar(&f.cfg.Fallback, "allow-fallback", false, "go on without what kernel, driver, NIC or binding refuse of --attach, --mode, --sg, --checksum, --wakeup, --budget, --busy-poll, --hugepages, --queues, --steer, --mtu, --set and its like, and say so in the result")
	flags.IntVar(&f.cfg.Queues, "queues", 0, "RX queues that get a socket, from 0 (default: all of them)")
	flags.BoolVar(&f.cfg.Steer, "steer", false, "have the NIC bring replies to the queues of --queues: by an ntuple rule for one queue, else by its indirection table; without --queues all get a socket, and nothing is changed")
	flags.IntVar(&f.cfg.Frames, "frames", 0, "frames in UMEM (default: 16384 to send from, and 1280 per queue)")
	flags.IntVar(&f.cfg.Chunk, "chunk", 0, "bytes in a frame, 2048 or 4096 (default: 2048 in copy mode, 4096 where the MTU or a zero-copy driver may need it)")
	choice(cmd, &f.wakeup, "wakeup", "", "ring the doorbell only where the kernel asks for it (XDP_USE_NEED_WAKEUP), or always", "on", "off")
	flags.IntVar(&f.cfg.Budget, "budget", 0, "descriptors that a doorbell takes in copy mode, from 32 on (default: as many as the TX ring has)")
	flags.Var(timeValue(&f.cfg.BusyPoll, time.Microsecond), "busy-poll", "have system calls poll the driver for so long instead of waiting for interrupts, in microseconds or as a duration (default: off)")
	flags.BoolVar(&f.cfg.HugePages, "hugepages", false, "back frames with 2 MiB pages, which must be reserved (vm.nr_hugepages)")
	choice(cmd, &f.cfg.Release, "release", "", "when a frame is handed back; all but ack are wrong on purpose", "ack", "completion", "submit", "acked")
	flags.BoolVar(&f.cfg.Audit, "audit", false, "compare payload with what was committed, before each transmission and before a frame is handed back: a difference is named, and ends the run with exit code 1")
	flags.BoolVar(&f.cfg.Trap, "trap", false, "make a write to a frame that is not its writer's a fault where it is done (slow: for debugging); needs chunks of a page, which is the default with it, and no huge pages")
	flags.StringVar(&f.cfg.Pcap, "pcap", "", "write what is sent and received to this pcapng `FILE`")
	flags.StringVar(&f.cfg.Trace, "trace", "", "write the life of each frame and connection to this `FILE`, for xsend trace")
}

// outputFlags say what is printed.
func (f *sendFlags) outputFlags(flags *pflag.FlagSet) {
	flags.VarP(timeValue(&f.interval, time.Second), "interval", "i", "time between two lines of progress, in seconds or as a duration; 0: none")
	flags.VarP(timeValue(&f.cfg.Omit, time.Second), "omit", "O", "leave the first seconds out of the rates")
	flags.StringVar(&f.cfg.Title, "title", "", "put this in front of each line, and into the JSON")
	flags.BoolVarP(&f.verbose, "verbose", "V", false, "print what else TCP knows below each line of progress, as ss -ti spells it")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object at the end")
	flags.BoolVar(&f.asStream, "json-stream", false, "print a JSON object on a line of its own for the start, each interval and the end, as iperf3 does")
}

func (f *sendFlags) run(cmd *cobra.Command, std stdio, args []string) error {
	if err := f.config(cmd, std, args); err != nil {
		return notStarted(err)
	}
	in, release := catch(cmd.Context())
	defer release()
	signal.Ignore(syscall.SIGPIPE) // whoever stops reading is met where it is written
	show := newShow(std, f, cmd.Flags().Changed("interval"), in.unread)
	f.cfg.Warn, f.cfg.OnBegin, f.cfg.OnStream, f.cfg.OnStart, f.cfg.OnSample = show.warn, show.begin, show.stream, show.start, show.sample
	if f.cfg.Release != "ack" {
		show.warn(wrongMode(f.cfg.Release, f.cfg.Rewrite))
	}
	report := transfer.Run(in.polite, in.atOnce, f.cfg)
	if n := in.first.Load(); n != 0 {
		report.Signal(int(n))
	}
	show.end()
	return sendVerdict(&report, show.report(&report))
}

// config completes transfer.Config with arguments and with the flags that need a conversion.
func (f *sendFlags) config(cmd *cobra.Command, std stdio, args []string) (err error) {
	f.cfg.Target, f.cfg.Stdin, f.cfg.Version = args[0], std.in, version
	if len(args) == 2 {
		f.cfg.Path = args[1]
	}
	if f.cfg.Parallel < 1 {
		return fmt.Errorf("-P %d: must be from 1 to %d", f.cfg.Parallel, transfer.MaxParallel)
	}
	for _, name := range []string{"bytes", "time"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && f.cfg.Bytes+int64(f.cfg.Time) == 0 {
			return fmt.Errorf("-%s %s: must be more than 0", flag.Shorthand, flag.Value)
		}
	}
	for _, name := range []string{"queues", "budget"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "0" {
			return fmt.Errorf("--%s 0: must be more than 0, or leave it out", name)
		}
	}
	if f.cfg.RTOMin == 0 {
		return errors.New("--rto-min 0: must be more than 0: a timeout without a floor sends again what is only late")
	}
	if cmd.Flags().Changed("fixed-window") && f.cfg.Congestion != string(tcp.Fixed) {
		return fmt.Errorf("--fixed-window %d with -C %s: it is the window of -C fixed", f.cfg.FixedWindow, f.cfg.Congestion)
	}
	if f.source != "" {
		if f.cfg.Source, err = netip.ParseAddr(f.source); err != nil {
			return fmt.Errorf("-B %s: give an address of this host: %w", f.source, err)
		}
	}
	if f.asJSON && f.asStream {
		return errors.New("both --json and --json-stream: choose one object at the end, or one for each event")
	}
	f.cfg.Interval, f.cfg.Discard = f.interval, !f.asJSON
	f.cfg.Monitor = []string{"/proc/self/exe", trapCommand}
	if cmd.Flags().Changed("wakeup") {
		f.cfg.Wakeup = f.wakeup
	}
	f.cfg.Hold = f.hold.config(cmd)
	f.cfg.Tagged = cmd.Flags().Changed("vlan")
	f.cfg.Parameters = map[string]string{}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "help" {
			f.cfg.Parameters[flag.Name] = flag.Value.String()
		}
	})
	return nil
}

// wrongMode says loudly what is wrong.
func wrongMode(release string, rewrite bool) string {
	when := map[string]string{
		"completion": "as soon as the NIC has completed it, although the peer may not have ACKed it and it may have to be sent again",
		"submit":     "as soon as it is submitted, as sendfile() returns, although the NIC may not have read it yet",
		"acked":      "as soon as the peer has ACKed it, although the NIC may still hold another transmission of it",
	}[release]
	s := fmt.Sprintf("--release %s is WRONG ON PURPOSE: a frame is handed back %s", release, when)
	switch {
	case rewrite && release == "acked":
		s += "; with --rewrite a retransmission that is still queued may leave with other bytes, which the receiver has already and throws away"
	case rewrite:
		s += "; with --rewrite the receiver may get wrong bytes"
	}
	return s + "; exit code 3"
}

// sendVerdict turns the report's exit code into the program's. unprinted is why the report couldn't be printed.
func sendVerdict(r *transfer.Report, unprinted error) error {
	code := r.ExitCode
	switch {
	case code != 0 || unprinted == nil:
	case errors.Is(unprinted, syscall.EPIPE):
		code = exitSignal + int(syscall.SIGPIPE)
	default:
		code = exitFailed
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code, err: errors.Join(r.Err, unprinted)}
}
