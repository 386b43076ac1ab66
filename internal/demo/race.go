package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xsend/xsend/internal/race"
)

// Race runs the short race, in namespaces of its own. The error is ErrProof where it did not show what it is about.
func Race(ctx context.Context, cfg Config, version string) (*race.Result, error) {
	rc := race.Config{Self: cfg.Self, Version: version, Err: cfg.Err, Say: cfg.Say}
	rc.Short()
	cfg.Say("the race of sendfile(): writers that rewrite their buffers as soon as they are told that they may")
	res, err := race.Run(ctx, rc)
	switch {
	case errors.Is(err, race.ErrNotStarted):
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	case err != nil:
		return nil, err
	case !res.Verdict.Shown:
		err = fmt.Errorf("%w: the race: %s", ErrProof, strings.Join(res.Verdict.Reasons, "; "))
	}
	return &res, err
}
