package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/transfer"
)

// trapCommand is the hidden subcommand that the monitor of a write trap runs.
const trapCommand = "trap"

// guardCommand is the hidden subcommand that a guardian runs.
const guardCommand = "guard"

// settingsFlags say what the NIC is set to.
func (f *sendFlags) settingsFlags(flags *pflag.FlagSet) {
	f.cfg.Settings = settings.Config{Change: settings.Change{}, Guardian: []string{"/proc/self/exe", guardCommand}}
	change := f.cfg.Settings.Change
	add := func(g settings.Group, name, kind, usage string) {
		flags.Var(&changeValue{change: change, group: g, kind: kind}, name, usage)
	}
	add(settings.Feature, "set", "FEATURE=on|off", "set a feature of the NIC by its kernel name for the time of the run, such as tx-scatter-gather; may be given several times")
	add(settings.Channels, "set-channels", "N", "set the NIC's channels; or rx=N, tx=N, combined=N")
	add(settings.Ring, "set-ring", "rx=N,tx=N", "set the descriptors of the NIC's rings; also rx-mini, rx-jumbo")
	add(settings.Coalesce, "set-coalesce", "KEY=V,...", "set when the NIC interrupts, by ethtool's names: rx-usecs, rx-frames, adaptive-rx, ...")
	add(settings.Pause, "set-pause", "rx=on|off,tx=on|off,autoneg=on|off", "set what the NIC does with pause frames")
	add(settings.MTU, "mtu", "BYTES", "set the NIC's MTU for the time of the run")
	flags.BoolVar(&f.cfg.Settings.Force, "force", false, "change also channels, rings, pause, MTU and steering of the interface that this machine is reached by")
}

// changeValue is a flag that adds to a change of settings. What it was given is kept for the report.
type changeValue struct {
	change settings.Change
	group  settings.Group
	kind   string
	given  []string
}

func (v *changeValue) String() string { return strings.Join(v.given, ",") }
func (v *changeValue) Type() string   { return v.kind }

func (v *changeValue) Set(text string) error {
	if err := v.change.Add(v.group, text); err != nil {
		return err
	}
	v.given = append(v.given, text)
	return nil
}

// settingsLines says what the NIC was set to, and how it was put back.
func settingsLines(b *strings.Builder, r *transfer.Report) {
	if r.Restored == nil {
		return
	}
	var asked, taken []string
	for _, s := range r.Settings {
		text := fmt.Sprintf("%s %s (was %s)", s.Name, inLine(s.Active), inLine(s.Before))
		switch {
		case s.Refused != "":
			asked = append(asked, fmt.Sprintf("%s %s: %s was asked for and refused", s.Name, inLine(s.Active), s.Requested))
		case s.Requested == "":
			taken = append(taken, text)
		case s.Clamped:
			asked = append(asked, fmt.Sprintf("%s, %s was asked for", text, s.Requested))
		default:
			asked = append(asked, text)
		}
	}
	if len(asked) > 0 {
		fmt.Fprintf(b, "settings    %s", strings.Join(asked, ", "))
		if len(taken) > 0 {
			fmt.Fprintf(b, "; with it %s", strings.Join(taken, ", "))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "restored    %v\n", r.Restored)
}

// inLine cuts what would fill a screen: tables of a hundred queues, rules that no one can read. JSON has all of it.
func inLine(value string) string {
	const most = 80
	if len(value) <= most {
		return value
	}
	return fmt.Sprintf("%s… (%d characters)", value[:most], len(value))
}

func newRestore(std stdio) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use:   "restore [IFACE|--all]",
		Short: "Put settings of a NIC back that a killed run has left",
		Long: `Put settings of a NIC back that a run with --set, --set-ring and the like has left because it was killed, and its guardian
too: after a crash, or a reboot. It reads the journals below $` + settings.StateEnv + ` (default: ` + settings.DefaultStateDir + `), in the network namespace that it is started in.
Without arguments it lists them and sets nothing. Journals of which nothing can be put back any more, as their network namespace is gone, are removed, and
it says which.

Exit codes: 0 everything is as it was, or there was nothing to restore; 1 some settings are not as they were; 2 not started: another run holds the
interface, no such interface, a journal that can't be read.`,
		Example: `  xsend restore eth1
  xsend restore --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && everywhere {
				return notStarted(fmt.Errorf("both %s and --all: choose one", args[0]))
			}
			unswept := sweepJournals(std)
			if len(args) == 0 && !everywhere {
				return notStarted(errors.Join(listJournals(std), unswept))
			}
			in, release := catch(cmd.Context())
			defer release()
			done, err := settings.Recover(in.polite, "", strings.Join(args, ""))
			return restoreVerdict(std, strings.Join(args, ""), done, errors.Join(err, unswept))
		},
	}
	cmd.Flags().BoolVar(&everywhere, "all", false, "all interfaces of this network namespace")
	return cmd
}

func sweepJournals(std stdio) error {
	list, err := settings.Sweep("")
	for _, s := range list {
		fmt.Fprintf(std.out, "%s  removed %s: %s\n", s.Journal.Interface, s.Journal.Path(), s.Why)
	}
	return err
}

func listJournals(std stdio) error {
	list, err := settings.Pending("")
	for _, j := range list {
		fmt.Fprintf(std.out, "%s  namespace %d  changed %s by process %d  %s\n", j.Interface, j.Namespace, j.Time.Format(time.DateTime), j.PID, j.Path())
	}
	if len(list) == 0 && err == nil {
		fmt.Fprintln(std.out, "nothing to restore")
	}
	return err
}

// restoreVerdict says what became of each interface.
func restoreVerdict(std stdio, name string, done []settings.Recovered, err error) error {
	worst := error(nil)
	for _, d := range done {
		if d.Err == nil {
			fmt.Fprintf(std.out, "%s  restored: %v\n", d.Journal.Interface, d.Restored)
			continue
		}
		err = errors.Join(err, d.Err)
		if errors.Is(d.Err, settings.ErrNotRestored) {
			worst = d.Err
		}
	}
	switch {
	case worst != nil:
		return failed(err)
	case err != nil:
		return notStarted(err)
	case len(done) > 0:
		return nil
	}
	if name != "" {
		if _, err := hw.Lookup(name); err != nil {
			return notStarted(err)
		}
		name += ": "
	}
	fmt.Fprintf(std.out, "%snothing to restore\n", name)
	return nil
}

// newTrap is the monitor's process, which a run with --trap starts.
func newTrap() *cobra.Command {
	return &cobra.Command{
		Use: trapCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return failed(session.TrapMonitor()) },
	}
}

// newGuard is the guardian's process, which a run with changed settings starts.
func newGuard(std stdio) *cobra.Command {
	return &cobra.Command{
		Use: guardCommand + " JOURNAL LOCK", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return failed(settings.Guard(args, std.err)) },
	}
}
