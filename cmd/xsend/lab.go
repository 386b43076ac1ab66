package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/lab"
)

func newLab(std stdio) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Two network namespaces joined by a veth pair, to play in",
		Long: `Two network namespaces joined by a veth pair: NAME-a (10.77.0.1, fd77:7873::1) and NAME-b (10.77.0.2, fd77:7873::2).
Nothing of the host's network is touched. Checksum, TSO and GSO offloads are off at both ends. Needs root.

With any of --delay, --jitter, --reorder, --duplicate, --corrupt, --rate, --queue and --mark a wire is put between them: a process,
in a namespace NAME-w, that forwards frames from one veth pair to another, and loses packets too if --loss says so. Its
bottleneck passes at most 200 Mbit/s. Loss and the like are decided by the number of the packet: segments with payload are
numbered, from NAME-a to NAME-b. --loss alone needs no wire: an XDP program at the receiver drops.

With --vlan the lab is an 802.1Q VLAN, wire or not: what the kernels send is tagged, and what arrives without the tag is dropped.`,
		Example: `  xsend lab up --mtu 1500 --loss 1
  xsend lab up --delay 10ms --rate 100M --queue 200 --loss 0.1 --loss-seed 7
  xsend lab exec b -- xsend sink --once &
  xsend lab exec a -- xsend send 10.77.0.2:9000 big.iso
  xsend lab down`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&name, "name", lab.DefaultName, "the lab's name, prefix of both namespaces")
	cmd.AddCommand(newLabUp(std, &name), newLabDown(&name), newLabStatus(std, &name), newLabExec(&name), newLabWire(std))
	return cmd
}

func newLabUp(std stdio, name *string) *cobra.Command {
	var cfg lab.Config
	var wire wireFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the lab; an error if it is there already",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, release := catch(cmd.Context())
			defer release()
			cfg.Name = *name
			if err := wire.into(&cfg, cmd.Flags()); err != nil {
				return notStarted(err)
			}
			l, err := lab.Up(in.polite, cfg)
			if code := in.code(); code != 0 && err != nil {
				return withCode(code, err)
			}
			if err != nil {
				return notStarted(err)
			}
			for _, e := range []lab.End{l.Sender(), l.Receiver()} {
				fmt.Fprintf(std.out, "%s  %s  %s  %s\n", e.Namespace, e.Interface, e.IPv4.Addr(), e.IPv6.Addr())
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&cfg.MTU, "mtu", lab.DefaultMTU, "MTU of both ends in bytes")
	flags.Float64Var(&cfg.Loss, "loss", 0, "percent of the packets that the receiver's end drops")
	flags.Uint64Var(&cfg.LossSeed, "loss-seed", 0, "drop the same packets each time; 0: random ones")
	wire.add(flags)
	flags.IntVar(&cfg.VLAN, "vlan", 0, "let both kernels talk in this 802.1Q VLAN only, 1 to 4094: send with the same --vlan; 0: no tags")
	flags.IntVar(&cfg.Queues, "queues", 1, "transmit and receive queues of each end")
	return cmd
}

// newLabWire is the wire's process, which "xsend lab up" starts.
func newLabWire(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: "wire CONFIG", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, release := catch(cmd.Context())
			defer release()
			return failed(lab.RunWire(in.polite, args[0], std.out))
		},
	}
}

func newLabDown(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the lab; no error if it isn't there",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return failed(lab.Down(*name)) },
	}
}

func newLabStatus(std stdio, name *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is there of the lab; exit code 1 if it isn't complete",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := lab.ReadStatus(*name)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				err = printJSON(std.out, s)
			} else {
				printLabStatus(std.out, s)
			}
			if err == nil && !s.Complete {
				return silent(exitFailed)
			}
			return failed(err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printLabStatus(w io.Writer, s lab.Status) {
	switch {
	case !s.Exists:
		fmt.Fprintf(w, "lab %s: not there\n", s.Name)
		return
	case !s.Complete:
		fmt.Fprintf(w, "lab %s: incomplete; remove it with \"xsend lab down --name %s\"\n", s.Name, s.Name)
	case s.Wire != nil:
		printWire(w, s.Name, s.Wire)
	default:
		fmt.Fprintf(w, "lab %s: loss %g %%, %d of %d packets dropped\n", s.Name, s.Loss.Percent, s.Counters.Dropped, s.Counters.Dropped+s.Counters.Passed)
	}
	for _, e := range []lab.EndStatus{s.Sender, s.Receiver} {
		vlan := ""
		if e.VLAN != 0 {
			vlan = fmt.Sprintf("  VLAN %d", e.VLAN)
		}
		fmt.Fprintf(w, "  %-12s %-8s %-4s mtu %d  queues %d%s  %s  tx %d packets  rx %d packets\n", e.Namespace, e.Interface,
			upDown(e.Up && e.Carrier), e.MTU, e.Queues, vlan, strings.Join(e.Addresses, " "), e.TxPackets, e.RxPackets)
	}
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func newLabExec(name *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec NS -- COMMAND [ARGUMENT...]",
		Short: "Run a command in a namespace: a, b, w (the wire's), or a full name; exit with its code",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			argv := args[1:]
			if argv[0] == "--" {
				argv = argv[1:]
			}
			return notStarted(lab.Replace(lab.Namespace(*name, args[0]), argv))
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows NS is the command's
	return cmd
}
