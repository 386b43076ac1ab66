package tcp

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	stdtime "time"

	"github.com/xsend/xsend/umem"
)

// The files of scripts, script_*_test.go, need no other test's: TestViolations builds them
// without, to be quick.

const scriptDir = "testdata/scripts"

// Every script of testdata/scripts is played, and says which paragraph it watches over.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(scriptDir + "/*.pkt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".pkt")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := parseScript(filepath.Base(path), string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := sc.checkHead(); err != nil {
				t.Error(err)
			}
			if err := sc.play(stageRegion(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

var (
	scriptName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+\.pkt$`)
	paragraph  = regexp.MustCompile(`https://(www\.rfc-editor\.org/rfc/rfc\d+|datatracker\.ietf\.org/doc/html/draft-[a-z0-9-]+)#[a-z]+-[0-9A-Z.]+`)
)

// checkHead proves that the script opens with the paragraph whose violation it catches, and
// says what that would be.
func (sc *script) checkHead() error {
	link := paragraph.FindString(sc.head)
	if link == "" || len(sc.head) < len(link)+60 {
		return fmt.Errorf("%s:1: opens with no comment that links a paragraph of an RFC and says what violates it", sc.name)
	}
	if !scriptName.MatchString(sc.name) {
		return fmt.Errorf("%s: the name is not area-situation.pkt", sc.name)
	}
	return nil
}

// play runs the script. The error says which line failed, what it wanted and what came.
func (sc *script) play(r *umem.Region) (err error) {
	s := *sc.setup
	line, text := 0, "before the first event"
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			err = fmt.Errorf("%s:%d: at %v: %s\n\t%w", sc.name, line, s.clock(), text, err)
		}
	}()
	if err := s.open(r); err != nil {
		return err
	}
	for _, st := range sc.steps {
		line, text = st.line, st.text
		if err := s.step(&st); err != nil {
			return err
		}
	}
	text = "the last line is done"
	if len(s.out) > 0 {
		return s.surprise()
	}
	text = "taking down"
	return s.strike()
}

func (s *stage) step(st *step) error {
	at := curtain + st.at
	if st.relative {
		at = s.now + st.at
	}
	s.until = at + st.patience
	if st.patience > 0 { // the span may have begun before the last line was done
		at = min(max(at, s.now), s.until)
	}
	if err := s.advance(at); err != nil {
		return err
	}
	if !st.names && len(s.out) > 0 {
		return s.surprise()
	}
	if st.act == nil {
		return nil
	}
	return st.act(s)
}

// nextTimer says what the connection waits for.
func (s *stage) nextTimer() string {
	due := s.c.Deadline()
	if due == Never {
		return "it waits for nothing"
	}
	return fmt.Sprintf("it waits until %v", stdtime.Duration(due-curtain))
}
