package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
)

// send runs the sender to its end. Its report is returned where it isn't shown.
func send(ctx context.Context, cfg Config, l *lab.Lab, target, path string) (report json.RawMessage, err error) {
	args := cfg.arguments()
	var out bytes.Buffer
	to := cfg.Out
	if to == nil {
		args, to = append(args, "--json"), &out
	}
	cmd := child.Command(ctx, cfg.Self, append(args, target, path)...)
	cmd.Stdout, cmd.Stderr = to, cfg.Err
	if err := l.Start(lab.Sender, cmd); err != nil {
		return nil, err
	}
	err = cmd.Wait()
	if json.Valid(out.Bytes()) {
		report = out.Bytes()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == refusedCode {
		return report, fmt.Errorf("%w: the sender: %w", ErrNotStarted, err)
	}
	if err != nil {
		return report, fmt.Errorf("the sender: %w", err)
	}
	return report, nil
}

// refusedCode is the sender's exit code where it sent nothing.
const refusedCode = 2

// arguments are the sender's, without target and file.
func (c *Config) arguments() []string {
	args := []string{"send", "--hash"}
	for _, f := range []struct{ name, value string }{
		{"--checksum", c.Checksum}, {"--rx-checksum", c.RXChecksum}, {"--sg", c.SG}, {"--mode", c.Mode}, {"--attach", c.Attach},
	} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	if c.Fallback {
		args = append(args, "--allow-fallback")
	}
	return append(args, c.Flags...)
}
