package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/demo"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/units"
)

func newDemo(std stdio) *cobra.Command {
	var cfg demo.Config
	var asJSON, withRace bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Send a file between two network namespaces of this machine and prove that it arrived",
		Long: `Make two network namespaces joined by a veth pair, start a kernel TCP receiver in one, send a file with AF_XDP from the
other, compare the SHA-256, show that the kernel's own TCP sent nothing, and remove everything. Then run "xsend race --short": what sendfile() does to a
writer that believes its return, and what xsend does not. Needs root.`,
		Example: `  xsend demo
  xsend demo --file big.iso --mtu 3000 --json
  xsend demo --mtu 9000 --checksum hw --attach generic
  xsend demo --set rx-gro=on --budget 64 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, std, cfg, asJSON, withRace) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&cfg.File, "file", "", fmt.Sprintf("`FILE` to send (default: one of %d MiB is made)", demo.DefaultSize>>20))
	flags.IntVar(&cfg.MTU, "mtu", lab.DefaultMTU, "MTU of the veth pair in bytes")
	demoSender(cmd, &cfg)
	flags.BoolVar(&withRace, "race", true, "end with the short race of sendfile()")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

// demoSender has the flags of "xsend send" that mean something between two namespaces.
func demoSender(cmd *cobra.Command, cfg *demo.Config) {
	cfg.Checksum, cfg.RXChecksum, cfg.SG, cfg.Mode, cfg.Attach = string(session.ChecksumSoftware), string(session.RXAuto), "auto", "auto", "auto"
	choice(cmd, &cfg.Checksum, "checksum", "", "who computes checksums, as with xsend send", "sw", "hw", "kernel", "auto")
	choice(cmd, &cfg.RXChecksum, "rx-checksum", "", "checksums of what is received: verify them, trust them, or auto, trust on links inside this machine only", "auto", "verify", "trust")
	cmd.Flags().BoolVar(&cfg.Fallback, "allow-fallback", false, "go on without what kernel, driver or NIC refuse, and say so in the result")
	choice(cmd, &cfg.SG, "sg", "", "packets of several descriptors", "auto", "off", "on")
	choice(cmd, &cfg.Mode, "mode", "", "how the kernel takes frames; a veth pair copies", "auto", "copy", "zerocopy")
	choice(cmd, &cfg.Attach, "attach", "", "how the XDP program is attached", "auto", "native", "generic")
	send := newSend(stdio{}).Flags()
	for _, name := range []string{"wakeup", "budget", "busy-poll", "hugepages", "queues", "steer", "set", "set-channels", "set-ring", "set-coalesce", "set-pause", "force", "audit", "trap"} {
		f := send.Lookup(name)
		cmd.Flags().VarPF(&passedOn{f, &cfg.Flags}, name, "", f.Usage).NoOptDefVal = f.NoOptDefVal
	}
}

// passedOn is a flag of "xsend send" that is read here, so that a wrong value is refused before anything is made, and given to the sender.
type passedOn struct {
	*pflag.Flag
	to *[]string
}

func (v *passedOn) String() string { // pflag asks a zero one for its default
	if v.Flag == nil {
		return ""
	}
	return v.Value.String()
}

func (v *passedOn) Type() string { return v.Value.Type() }

func (v *passedOn) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return err
	}
	*v.to = append(*v.to, "--"+v.Name+"="+text)
	return nil
}

func runDemo(cmd *cobra.Command, std stdio, cfg demo.Config, asJSON, withRace bool) (err error) {
	if cfg.Self, err = os.Executable(); err != nil {
		return notStarted(fmt.Errorf("find this program: %w", err))
	}
	cfg.Keeper = []string{"/proc/self/exe", keepCommand}
	in, release := catch(cmd.Context())
	defer release()
	cfg.Err = std.err
	cfg.Say = func(text string) { fmt.Fprintf(std.err, "demo: %s\n", text) }
	if !asJSON {
		cfg.Out = std.out
	}
	res, err := demo.Run(in.polite, cfg)
	if code := in.code(); code != 0 {
		return withCode(code, err)
	}
	if errors.Is(err, demo.ErrNotStarted) {
		return notStarted(err)
	}
	if err == nil && !asJSON {
		printDemo(std, &res)
	}
	if err == nil && withRace {
		res.Race, err = demo.Race(in.polite, cfg, version)
	}
	if code := in.code(); code != 0 {
		return withCode(code, err)
	}
	if asJSON {
		err = errors.Join(err, printJSON(std.out, res))
	} else if res.Race != nil {
		fmt.Fprintln(std.out)
		res.Race.WriteText(std.out)
	}
	return failed(err)
}

// keepCommand is the hidden subcommand that removes the lab of a demonstration that was killed.
const keepCommand = "keep"

func newKeep(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: keepCommand + " LAB FILE", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return failed(demo.Keep(args[0], args[1], std.err)) },
	}
}

func printDemo(std stdio, r *demo.Result) {
	fmt.Fprintf(std.out, "\nreceived    %d bytes at %s by the kernel's TCP\n", r.ReceivedBytes, units.BitRate(r.BitsPerSecond))
	fmt.Fprintf(std.out, "            sha256 %s, that of the file\n", r.Received)
	fmt.Fprintf(std.out, "AF_XDP      %d packets arrived; the kernel's own TCP sent %d segments in the sender's namespace meanwhile\n", r.Packets, r.KernelOutSegs)
}
