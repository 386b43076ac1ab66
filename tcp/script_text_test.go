package tcp

import (
	"fmt"
	"strings"
)

// A script's text is described in testdata/scripts/README.md.

// script is a file, parsed.
type script struct {
	name  string
	head  string // the comment that it opens with
	setup *stage // its config lines, nothing opened
	steps []step
}

// step is a line with a time.
type step struct {
	line     int
	text     string
	at       Duration
	patience Duration // how much later than at what it names may be emitted
	relative bool
	names    bool // it names what was emitted; all others need that everything is named
	act      func(*stage) error
}

// parseScript reads a whole file. The error says which line is wrong.
func parseScript(name, text string) (*script, error) {
	sc := &script{name: name, setup: newStage()}
	for k, line := range strings.Split(text, "\n") {
		code, comment, isComment := strings.Cut(line, "//")
		code = strings.TrimSpace(code)
		switch {
		case code == "" && isComment && len(sc.steps) == 0:
			sc.head += strings.TrimSpace(comment) + "\n"
		case code == "":
		default:
			if err := sc.parseLine(k+1, code); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, k+1, err)
			}
		}
	}
	if len(sc.steps) == 0 {
		return nil, fmt.Errorf("%s: no line has a time", name)
	}
	return sc, nil
}

func (sc *script) parseLine(n int, code string) error {
	words := strings.Fields(code)
	switch words[0] {
	case "config", "peer", "open":
		if len(sc.steps) > 0 {
			return fmt.Errorf("%s stands before the first event", words[0])
		}
		return sc.setup.parseSetup(words)
	}
	st := step{line: n, text: code, relative: true}
	if c := words[0][0]; c == '+' || c >= '0' && c <= '9' {
		if err := st.parseTime(words[0]); err != nil {
			return err
		}
		code = strings.TrimSpace(strings.TrimPrefix(code, words[0]))
	}
	if st.patience > 0 && !strings.HasPrefix(code, ">") {
		return fmt.Errorf("only > has a time from one moment to another")
	}
	if code != "" { // a time alone: until then nothing happens
		act, names, err := parseAction(code)
		if err != nil {
			return err
		}
		st.act, st.names = act, names
	}
	sc.steps = append(sc.steps, st)
	return nil
}

// parseTime reads when: TIME, or FROM~TO, of which a + in front moves both ends.
func (st *step) parseTime(s string) (err error) {
	from, to, isSpan := strings.Cut(s, "~")
	if st.at, err = parseSpan(from); err != nil {
		return err
	}
	st.relative = from[0] == '+'
	if !isSpan {
		return nil
	}
	end, err := parseSpan(to)
	if err != nil {
		return err
	}
	if st.patience = end - st.at; st.patience <= 0 || to[0] == '+' {
		return fmt.Errorf("%s is not FROM~TO, the later one last and without a sign", s)
	}
	return nil
}

// parseAction reads what stands behind the time; names says that it names segments.
func parseAction(code string) (act func(*stage) error, names bool, err error) {
	rest := strings.TrimSpace(code[1:])
	switch code[0] {
	case '>':
		act, err = parseNaming(rest)
		return act, true, err
	case '<':
		act, err = parseInjection(rest)
		return act, false, err
	case '=':
		all, err := parseAssertions(rest)
		return func(s *stage) error {
			for _, a := range all {
				if err := a(s); err != nil {
					return err
				}
			}
			return nil
		}, false, err
	}
	words := strings.Fields(code)
	verb, ok := verbs[words[0]]
	if !ok {
		return nil, false, fmt.Errorf("%q is no verb: have >, <, = and %v", words[0], verbNames())
	}
	act, err = verb(words[1:])
	return act, false, err
}
