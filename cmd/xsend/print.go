package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// printJSON prints one indented object.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}
