package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xsend/xsend/internal/transfer"
	"github.com/xsend/xsend/internal/units"
)

// holdFlags say how long a peer that ACKs nothing keeps frames.
type holdFlags struct {
	cfg transfer.HoldConfig
}

func (f *holdFlags) init() {
	f.cfg = transfer.HoldConfig{
		Policy: transfer.HoldPolicies()[1], Time: transfer.DefaultHoldTime, Abort: transfer.DefaultHoldAbort, Arena: transfer.DefaultArena,
	}
}

func (f *holdFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	choice(cmd, &f.cfg.Policy, "hold-policy", "", "what becomes of a connection whose peer ACKs nothing for --hold-time: backpressure, its frames wait for ever; demote, what they hold is copied to the arena and they go back, and once that is full, or after --hold-abort, it is reset; abort, it is reset at once", transfer.HoldPolicies()...)
	flags.Var(timeValue(&f.cfg.Time, time.Second), "hold-time", "how long frames wait for a peer that ACKs nothing new, in seconds or as a duration; one that reads slowly is not meant")
	flags.Var(timeValue(&f.cfg.Abort, time.Second), "hold-abort", "reset a connection whose peer ACKs nothing new for so long, with --hold-policy demote; in seconds or as a duration; 0: never")
	flags.Var(bytesValue(&f.cfg.Limit), "hold-limit", "most bytes of payload that the frames of one connection are held for; K, M, G are powers of 1024 (default: its share of all frames)")
	arena := bytesValue(&f.cfg.Arena)
	arena.text = fmt.Sprintf("%dM", f.cfg.Arena>>20)
	flags.Var(arena, "arena", "memory for what is copied out of frames, over all connections; it is mapped at the start, and takes up what is used of it; 0: none, and --hold-time resets")
}

// config is what the flags say: where 0 means none or never here, it means the default there.
func (f *holdFlags) config(cmd *cobra.Command) transfer.HoldConfig {
	c := f.cfg
	if !cmd.Flags().Changed("hold-policy") {
		c.Policy = "" // what the release mode allows
	}
	if c.Time == 0 {
		c.Time = -1
	}
	if c.Abort == 0 {
		c.Abort = -1
	}
	if c.Arena == 0 {
		c.Arena = -1
	}
	return c
}

// holdLine tells of peers that stood still, where one did.
func holdLine(b *strings.Builder, r *transfer.Report) {
	h := &r.Hold
	if h.Demotions+h.Resets == 0 {
		return
	}
	fmt.Fprintf(b, "hold        %d demoted, %d reset; %d bytes handed back before their ACK; arena %s used of %s; %d bytes copied, %d of them ACKed\n",
		h.Demotions, h.Resets, r.BytesDemoted, units.Bytes(int64(h.ArenaPeak)), units.Bytes(int64(h.ArenaSize)), h.ArenaCopied, h.ArenaAcked)
}
