package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
)

// send runs the sender to its end. Its report is returned where it isn't shown.
func send(ctx context.Context, cfg Config, l *lab.Lab, target, path string) (report json.RawMessage, err error) {
	args := []string{"send", "--hash"}
	if cfg.Checksum != "" {
		args = append(args, "--checksum", cfg.Checksum)
	}
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
	if err != nil {
		return report, fmt.Errorf("the sender: %w", err)
	}
	return report, nil
}
