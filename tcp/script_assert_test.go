package tcp

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	stdtime "time"
)

// What a script asserts behind =, separated by commas: WORD [<=|>=] VALUE. The words are the
// fields of Stats, however they are spelt there: srtt, rto, in-flight, timeouts-held, phase ...
// Windows count in segments, or in bytes with a B behind. Beside them: timer NAME, frame(s)
// NUMBERS, err, done, and so on.

// assertion looks at the stage.
type assertion func(*stage) error

// parseAssertions reads what stands behind =.
func parseAssertions(s string) ([]assertion, error) {
	var all []assertion
	for part := range strings.SplitSeq(s, ",") {
		words := strings.Fields(part)
		if len(words) < 2 {
			return nil, fmt.Errorf("assertion %q: is not WORD VALUE", strings.TrimSpace(part))
		}
		a, err := parseAssertion(words[0], words[1:])
		if err != nil {
			return nil, fmt.Errorf("assertion %q: %w", strings.TrimSpace(part), err)
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAssertion(word string, args []string) (assertion, error) {
	switch word {
	case "timer":
		return parseTimer(args)
	case "frame", "frames":
		return parseHolders(args)
	case "err":
		return parseErr(args)
	}
	if testSegs > 1 && (word == "splits" || word == "engine-frames") {
		word, args = "splits", []string{"0"} // nothing is copied: headers have descriptors of their own
	}
	if get, ok := askable[word]; ok && len(args) == 1 {
		want := args[0]
		return func(s *stage) error { return same(word, want, fmt.Sprint(get(s))) }, nil
	}
	return parseStat(word, args)
}

// askable is what Conn and its frames answer beside Stats.
var askable = map[string]func(*stage) any{
	"done":          func(s *stage) any { return s.c.Done() },
	"send-closed":   func(s *stage) any { return s.c.SendClosed() },
	"peer-closed":   func(s *stage) any { return s.c.PeerClosed() },
	"unacked":       func(s *stage) any { return s.c.Unacked() },
	"room":          func(s *stage) any { return s.c.Room() },
	"stopped":       func(s *stage) any { return s.c.Stopped() },
	"arena-used":    func(s *stage) any { return s.cfg.Arena.Used() },
	"engine-frames": func(s *stage) any { return s.book.engineFrames(s) },
}

func same(word, want, got string) error {
	if want == got {
		return nil
	}
	return fmt.Errorf("want %s %s, got %s", word, want, got)
}

// fieldNamed finds a field of a struct by its name in small letters with dashes.
func fieldNamed(t reflect.Type, word string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(name string) bool {
		return strings.EqualFold(name, strings.ReplaceAll(word, "-", ""))
	})
}

// inSegments are the numbers of Stats that a script gives in segments.
var inSegments = []string{"Cwnd", "Ssthresh", "InFlight"}

func parseStat(word string, args []string) (assertion, error) {
	f, ok := fieldNamed(reflect.TypeFor[Stats](), word)
	if !ok {
		return nil, fmt.Errorf("no such word")
	}
	op := "="
	if len(args) == 2 && (args[0] == "<=" || args[0] == ">=") {
		op, args = args[0], args[1:]
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("one value")
	}
	if k := f.Type.Kind(); k == reflect.String || k == reflect.Bool || f.Type == reflect.TypeFor[State]() {
		return func(s *stage) error { return same(word, args[0], fmt.Sprint(statOf(s, f))) }, nil
	}
	want, err := parseAmount(f, args[0])
	if err != nil {
		return nil, err
	}
	return func(s *stage) error {
		v, w := amount(statOf(s, f)), want.of(s)
		if v == w || op == "<=" && v < w || op == ">=" && v > w {
			return nil
		}
		return fmt.Errorf("want %s %s %s, got %s", word, op, args[0], want.show(s, v))
	}, nil
}

func statOf(s *stage, f reflect.StructField) reflect.Value {
	return reflect.ValueOf(s.c.Stats()).FieldByIndex(f.Index)
}

func amount(v reflect.Value) int64 {
	if v.CanUint() {
		return int64(v.Uint())
	}
	return v.Int()
}

// quantity is a number as a script gives it.
type quantity struct {
	n        int64
	segments bool
	span     bool
}

func parseAmount(f reflect.StructField, s string) (q quantity, err error) {
	if f.Type == reflect.TypeFor[Duration]() {
		d, err := parseSpan(s)
		return quantity{n: int64(d), span: true}, err
	}
	for _, name := range inSegments {
		q.segments = q.segments || f.Name == name
	}
	if q.segments && s == "max" {
		return quantity{n: math.MaxInt}, nil
	}
	if b, ok := strings.CutSuffix(s, "B"); ok && q.segments {
		s, q.segments = b, false
	}
	q.n, err = strconv.ParseInt(s, 10, 64)
	return q, err
}

func (q quantity) of(s *stage) int64 {
	if q.segments {
		return q.n * int64(s.c.MSS())
	}
	return q.n
}

func (q quantity) show(s *stage, v int64) string {
	switch mss := int64(s.c.MSS()); {
	case q.span:
		return stdtime.Duration(v).String()
	case q.segments && v%mss == 0:
		return strconv.FormatInt(v/mss, 10)
	case q.segments:
		return fmt.Sprintf("%dB (%d.%03d segments)", v, v/mss, v%mss*1000/mss)
	}
	return strconv.FormatInt(v, 10)
}

// parseTimer is timer NAME SPAN, from now on, or timer NAME off.
func parseTimer(args []string) (assertion, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("want timer NAME SPAN or timer NAME off")
	}
	f, ok := fieldNamed(reflect.TypeFor[timers](), args[0])
	if !ok {
		return nil, fmt.Errorf("no timer %s", args[0])
	}
	if _, err := parseSpan(args[1]); err != nil && args[1] != "off" {
		return nil, err
	}
	return func(s *stage) error {
		due := Time(reflect.ValueOf(s.c.timers).FieldByIndex(f.Index).Int())
		got := "off"
		if due != Never {
			got = stdtime.Duration(due - s.now).String()
		}
		want := args[1]
		if d, err := parseSpan(want); err == nil {
			want = stdtime.Duration(d).String()
		}
		return same("timer "+args[0], want, got)
	}, nil
}

// parseHolders is frames 1-3 HOLDER.
func parseHolders(args []string) (assertion, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("want frames FIRST-LAST HOLDER")
	}
	switch args[1] {
	case "tcp", "tcp+kernel", "kernel", "released":
	default:
		return nil, fmt.Errorf("holder %s: have tcp, tcp+kernel, kernel, released", args[1])
	}
	a, b, isRange := strings.Cut(args[0], "-")
	if !isRange {
		b = a
	}
	first, err1 := strconv.Atoi(a)
	last, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil || first < 1 || last < first {
		return nil, fmt.Errorf("%s is no range of frames", args[0])
	}
	return func(s *stage) error {
		for k := first; k <= last; k++ {
			got, err := s.book.holders(s, k)
			if err == nil {
				err = same(fmt.Sprintf("frame %d", k), args[1], got)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// endings are the errors that a connection ends with.
var endings = map[string]error{"none": nil, "refused": ErrRefused, "reset": ErrReset, "timeout": ErrTimeout,
	"aborted": ErrAborted, "no-route": ErrNoRoute, "hold-limit": ErrHoldLimit}

func parseErr(args []string) (assertion, error) {
	want, ok := endings[args[0]]
	if !ok || len(args) != 1 {
		return nil, fmt.Errorf("no such ending")
	}
	return func(s *stage) error {
		if got := s.c.Err(); !errors.Is(got, want) {
			return fmt.Errorf("want err %s, got %v", args[0], got)
		}
		return nil
	}, nil
}

// parseSpan reads a span of time: 0, or a number with its unit.
func parseSpan(s string) (Duration, error) {
	d, err := stdtime.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no span of time: 0, 10ms, 1.5s ...", s)
	}
	return Duration(d), nil
}
