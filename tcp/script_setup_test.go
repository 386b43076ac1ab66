package tcp

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/xsend/xsend/internal/wire"
)

// parseSetup reads the lines before the first event: config WORD [VALUE], ..., peer WORD
// [VALUE], ..., open SPAN.
func (s *stage) parseSetup(words []string) (err error) {
	if words[0] == "open" {
		if len(words) != 2 {
			return fmt.Errorf("want open SPAN, the round trip of the handshake")
		}
		s.trip, err = parseSpan(words[1])
		return err
	}
	for part := range strings.SplitSeq(strings.Join(words[1:], " "), ",") {
		args := append(strings.Fields(part), "", "")
		if words[0] == "peer" {
			err = s.parsePeer(args[0], args[1])
		} else {
			err = s.parseConfig(args[0], args[1])
		}
		if err != nil || args[2] != "" {
			return fmt.Errorf("%s %q: %w", words[0], strings.TrimSpace(part), err)
		}
	}
	return nil
}

// parsePeer is one property of the peer: what its SYN says.
func (s *stage) parsePeer(word, value string) (err error) {
	o := &s.peer.opts
	n := 0
	if value != "" {
		if n, err = number(value, math.MaxUint32); err != nil {
			return err
		}
	}
	switch word {
	case "mss":
		o.MSS = uint16(n)
	case "no-mss":
		o.HasMSS, o.MSS = false, 0
	case "no-sack":
		o.SACKPermitted = false
	case "ts":
		o.HasTS, o.TSVal = true, uint32(n)
	case "wscale":
		o.WScale = uint8(n)
	case "no-wscale":
		o.HasWScale = false
	case "win":
		s.peer.win = n
	case "ecn":
		s.peer.flags |= wire.FlagECE
	default:
		return fmt.Errorf("have mss, no-mss, no-sack, ts, wscale, no-wscale, win, ecn")
	}
	return nil
}

// parseConfig sets a field of Config, however it is spelt there; beside them, frames of the
// region, and ipv6.
func (s *stage) parseConfig(word, value string) (err error) {
	switch word {
	case "ipv6":
		s.cfg.Flow = stageFlow6
		return nil
	case "pacing": // scripts go without unless they are about it
		s.cfg.NoPacing = false
		return nil
	case "frames":
		s.frames, err = number(value, 512)
		return err
	}
	if known, err := s.parseHoldConfig(word, value); known {
		return err
	}
	f, ok := fieldNamed(reflect.TypeFor[Config](), word)
	if !ok {
		return fmt.Errorf("no such field")
	}
	return setField(reflect.ValueOf(&s.cfg).Elem().FieldByIndex(f.Index), value)
}

func setField(v reflect.Value, s string) error {
	switch {
	case v.Type() == reflect.TypeFor[Duration]():
		d, err := parseSpan(s)
		v.SetInt(int64(d))
		return err
	case v.Kind() == reflect.Bool && s == "":
		v.SetBool(true)
	case v.Kind() == reflect.String && s != "":
		v.SetString(s)
	case v.CanInt() && s != "":
		n, err := strconv.ParseInt(s, 10, 64)
		v.SetInt(n)
		return err
	case v.CanUint() && s != "":
		n, err := strconv.ParseUint(s, 10, 64)
		v.SetUint(n)
		return err
	default:
		return fmt.Errorf("%q is no %v", s, v.Type())
	}
	return nil
}
