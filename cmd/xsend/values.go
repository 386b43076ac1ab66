package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/xsend/xsend/internal/units"
)

// value is a flag whose text is read by parse and kept as it was given.
type value[T any] struct {
	at    *T
	text  string
	kind  string
	parse func(string) (T, error)
}

func (v *value[T]) String() string { return v.text }
func (v *value[T]) Type() string   { return v.kind }

func (v *value[T]) Set(s string) error {
	x, err := v.parse(s)
	if err != nil {
		return err
	}
	*v.at, v.text = x, s
	return nil
}

func bytesValue(at *int64) *value[int64] {
	return &value[int64]{at: at, kind: "BYTES", parse: units.ParseBytes}
}

func rateValue(at *int64) *value[int64] {
	return &value[int64]{at: at, kind: "BITS/S", parse: units.ParseBitRate}
}

func dscpValue(at *uint8) *value[uint8] {
	return &value[uint8]{at: at, kind: "DSCP", parse: units.ParseDSCP}
}

func vlanValue(at *uint16) *value[uint16] {
	return &value[uint16]{at: at, kind: "ID", parse: units.ParseVLAN}
}

// timeValue reads a duration, or a plain number of unit.
func timeValue(at *time.Duration, unit time.Duration) *value[time.Duration] {
	v := &value[time.Duration]{at: at, kind: "TIME", parse: func(s string) (time.Duration, error) { return units.ParseTime(s, unit) }}
	if *at != 0 {
		v.text = at.String()
	}
	return v
}

// choice is a flag with a few allowed values, which shell completion offers.
func choice(cmd *cobra.Command, at *string, name, shorthand, usage string, allowed ...string) {
	v := &value[string]{at: at, text: *at, kind: strings.Join(allowed, "|"), parse: func(s string) (string, error) {
		if !slices.Contains(allowed, s) {
			return "", fmt.Errorf("choose one of %s", strings.Join(allowed, ", "))
		}
		return s, nil
	}}
	cmd.Flags().VarP(v, name, shorthand, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}
