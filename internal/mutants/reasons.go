package main

import (
	"fmt"
	"strings"
)

// parseReasons reads the file of survivors: the name of a mutant, or several names
// with the same reason below each other, and indented below them the reason why the
// mutant changes nothing, or why no test needs to see it. Lines that begin with # say
// something to people.
func parseReasons(text string) (map[string]string, error) {
	reasons := map[string]string{}
	var names []string
	indented := true
	for n, line := range strings.Split(text, "\n") {
		words := strings.TrimSpace(line)
		switch {
		case words == "" || strings.HasPrefix(line, "#"):
		case line[0] != ' ' && line[0] != '\t':
			if indented {
				names = nil
			}
			if _, twice := reasons[words]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", n+1, words)
			}
			names, indented = append(names, words), false
			reasons[words] = ""
		case len(names) == 0:
			return nil, fmt.Errorf("line %d: a reason without a mutant", n+1)
		default:
			indented = true
			for _, name := range names {
				reasons[name] = strings.TrimSpace(reasons[name] + " " + words)
			}
		}
	}
	for name, reason := range reasons {
		if reason == "" {
			return nil, fmt.Errorf("%s: no reason", name)
		}
	}
	return reasons, nil
}
