package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xsend/xsend/internal/probe"
)

func newProbe(std stdio) *cobra.Command {
	var asJSON, why, noAttach bool
	cmd := &cobra.Command{
		Use:   "probe IFACE",
		Short: "Find out what an interface can do for AF_XDP, by trying",
		Long: `What an interface can do for AF_XDP: what its driver claims, beside what is found by trying on sockets of our own, with the
kernel's answer, what it means, and what would fix it. Quirks of the kernel are tried on a private veth pair.

No frame is sent on the interface. Unless one is attached already, an XDP program is attached for a moment, native and generic,
and a queue put into zero-copy: that can take the link of a NIC down for a second, which --no-attach leaves out. What is
changed is put back, also when this process is killed, and the last line says whether all is as before.`,
		Example: `  xsend probe eth1
  xsend probe eth1 --why                       how each line was found, and what it means
  xsend probe eth1 --json | jq '.abilities.zero_copy_bind'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, release := catch(cmd.Context())
			defer release()
			r, err := probe.Run(in.polite, probe.Config{
				Interface: args[0], NoAttach: noAttach, Version: version, Guardian: []string{"/proc/self/exe", guardCommand},
			})
			if code := in.code(); code != 0 {
				return withCode(code, errors.New("interrupted; what was changed has been put back"))
			}
			if err != nil {
				return notStarted(err)
			}
			if asJSON {
				err = printJSON(std.out, r)
			} else {
				err = printProbe(std.out, r, why)
			}
			if err == nil && !r.Restored.Exact {
				return silent(exitFailed)
			}
			return failed(err)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&why, "why", false, "add to each line how it was found and what it means")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	flags.BoolVar(&noAttach, "no-attach", false, "attach no program and try no zero-copy, so that the link stays up")
	return cmd
}

func printProbe(w io.Writer, r *probe.Report, why bool) error {
	var b strings.Builder
	probeHead(&b, r)
	probeClaims(&b, &r.Claims, why)
	probeFindings(&b, "ABILITY", "CLAIMED", r.Abilities, why)
	probeFindings(&b, "THE KERNEL, ON A VETH PAIR", "", r.Quirks, why)
	probeEnd(&b, &r.Restored)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func probeHead(b *strings.Builder, r *probe.Report) {
	i := &r.Interface
	fmt.Fprintf(b, "interface  %s, index %d, %s, %s, carrier %s; Linux %s\n", i.Name, i.Index, i.MAC, upDown(i.Up), upDown(i.Carrier), r.Kernel)
	numa := "-"
	if i.NUMANode >= 0 {
		numa = fmt.Sprint(i.NUMANode)
	}
	fmt.Fprintf(b, "driver     %s %s, firmware %s, bus %s, NUMA node %s\n", dash(i.Driver), dash(i.DriverVersion), dash(i.Firmware), dash(i.Bus), numa)
	speed := "-"
	if i.Speed > 0 {
		speed = strings.TrimSpace(fmt.Sprintf("%d Mbit/s %s duplex", i.Speed, dash(i.Duplex)))
	}
	fmt.Fprintf(b, "link       %s, MTU %d\n", speed, i.MTU)
	c, g := i.Channels, i.Rings
	fmt.Fprintf(b, "queues     %d RX, %d TX (%s); channels rx %d of %d, tx %d of %d, combined %d of %d\n", i.RxQueues, i.TxQueues, i.QueueSource,
		c.Rx, c.MaxRx, c.Tx, c.MaxTx, c.Combined, c.MaxCombined)
	rings := "-"
	if g.MaxRx+g.MaxTx > 0 {
		rings = fmt.Sprintf("rx %d of %d, tx %d of %d descriptors", g.Rx, g.MaxRx, g.Tx, g.MaxTx)
	}
	fmt.Fprintf(b, "rings      %s\n", rings)
	if i.XDPProgram != 0 {
		fmt.Fprintf(b, "program    %d is attached, %s\n", i.XDPProgram, i.XDPMode)
	}
	if i.Unusable != "" {
		fmt.Fprintf(b, "unusable   %s\n", i.Unusable)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func probeClaims(b *strings.Builder, c *probe.Claims, why bool) {
	if c.Unknown != "" {
		fmt.Fprintf(b, "claims     unknown: %s\n", c.Unknown)
	} else {
		segs := "-"
		if c.ZeroCopyMaxSegs > 0 {
			segs = fmt.Sprint(c.ZeroCopyMaxSegs)
		}
		list := func(words []string) string { return dash(strings.Join(words, " ")) }
		fmt.Fprintf(b, "claims     xdp-features %s; xdp-zc-max-segs %s; xdp-rx-metadata-features %s; xsk-features %s\n",
			list(c.Features), segs, list(c.RxMetadata), list(c.XSK))
	}
	if why {
		for _, f := range c.Ethtool {
			fmt.Fprintf(b, "ethtool    %s %s\n    means: %s\n", f.Name, featureState(f), f.Means)
		}
		return
	}
	for _, state := range []string{"on", "on, requested off", "on, fixed", "off", "off, requested on", "off, fixed"} {
		var names []string
		for _, f := range c.Ethtool {
			if featureState(f) == state {
				names = append(names, f.Name)
			}
		}
		if names != nil {
			fmt.Fprintf(b, "ethtool    %s: %s\n", state, strings.Join(names, " "))
		}
	}
}

// featureState is as ethtool -k says it, where something else is asked for too.
func featureState(f probe.Feature) string {
	switch {
	case !f.Changeable:
		return onOff(f.Active) + ", fixed"
	case f.Requested != f.Active:
		return onOff(f.Active) + ", requested " + onOff(f.Requested)
	}
	return onOff(f.Active)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// probeFindings is a table: label, what is claimed if that is a column, what was found.
func probeFindings(b *strings.Builder, head, claimed string, list probe.Findings, why bool) {
	width := len(head)
	for i := range list {
		width = max(width, len(list[i].Label))
	}
	column := func(label, claim, found, text string) {
		if claimed != "" {
			label = fmt.Sprintf("%-*s  %-8s", width, label, claim)
		}
		fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("%-*s  %-8s %s", width, label, found, text), " "))
	}
	b.WriteByte('\n')
	column(head, claimed, "FOUND", "")
	for i := range list {
		f := &list[i]
		column(f.Label, dash(f.Claimed), f.Found, findingText(f))
		if why {
			fmt.Fprintf(b, "    found: %s\n    means: %s\n", f.How, f.Means)
			if f.ClaimedBy != "" {
				fmt.Fprintf(b, "    claim: %s\n", f.ClaimedBy)
			}
		}
	}
}

// findingText is value, errno, reason and remedy, those that there are.
func findingText(f *probe.Finding) string {
	var parts []string
	if f.Unit != "" {
		parts = append(parts, fmt.Sprintf("%d %s", f.Value, f.Unit))
	}
	switch {
	case f.Errno != "" && f.Reason != "":
		parts = append(parts, f.Errno+": "+f.Reason)
	case f.Errno != "" || f.Reason != "":
		parts = append(parts, f.Errno+f.Reason)
	}
	if f.Remedy != "" {
		parts = append(parts, "do: "+f.Remedy)
	}
	return strings.Join(parts, "; ")
}

func probeEnd(b *strings.Builder, r *probe.Restored) {
	if r.Exact {
		fmt.Fprintf(b, "\nrestored: exact (%d settings)\n", r.Settings)
		return
	}
	fmt.Fprintf(b, "\nrestored: not all; of %d settings are different:\n", r.Settings)
	for _, d := range r.Differences {
		fmt.Fprintf(b, "  %s\n", d)
	}
}
