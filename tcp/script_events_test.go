package tcp

import (
	"fmt"
	"github.com/xsend/xsend/internal/wire"
	"strings"
)

// What comes over the wire, both ways.

// parseNaming is > and the segments that must have been emitted now, or are in the time that
// the line has.
func parseNaming(s string) (func(*stage) error, error) {
	want, err := parseSegments(s)
	if err != nil {
		return nil, err
	}
	return func(s *stage) error {
		for _, w := range want {
			if err := s.await(); err != nil {
				return err
			}
			if len(s.out) == 0 {
				return fmt.Errorf("want > %v, got nothing; %s", w, s.nextTimer())
			}
			got := s.out[0].what
			if got = w.asked(got); got != w {
				return fmt.Errorf("want > %v\n\tgot  > %v", w, got)
			}
			s.out = s.out[1:]
		}
		return nil
	}, nil
}

// parseInjection is < and a segment from the peer, perhaps 3* of them, or an ICMP error.
func parseInjection(s string) (func(*stage) error, error) {
	if rest, ok := strings.CutPrefix(s, "icmp "); ok {
		return parseICMP(strings.Fields(rest))
	}
	times := 1
	if count, rest, ok := strings.Cut(s, "* "); ok && !strings.Contains(count, " ") {
		n, err := number(count, 1000)
		if err != nil {
			return nil, err
		}
		times, s = n, rest
	}
	all, err := parseSegments(s)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.flags&wire.FlagACK != 0 && n.ack == unnamed || n.anyTS {
			return nil, fmt.Errorf("a segment from the peer says what it acknowledges, and its timestamps")
		}
	}
	return func(s *stage) error {
		for range times {
			for _, n := range all {
				if err := s.inject(n); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// icmpErrors are by the names of their RFCs: IPv4's first, then IPv6's.
var icmpErrors = map[string][2][2]uint8{
	"net-unreachable":      {{3, 0}, {1, 0}},
	"host-unreachable":     {{3, 1}, {1, 3}},
	"protocol-unreachable": {{3, 2}, {4, 1}},
	"port-unreachable":     {{3, 3}, {1, 4}},
	"too-big":              {{3, 4}, {2, 0}},
	"prohibited":           {{3, 13}, {1, 1}},
	"time-exceeded":        {{11, 0}, {3, 0}},
	"parameter-problem":    {{12, 0}, {4, 0}},
}

// parseICMP is icmp NAME quote SEQ [mtu N].
func parseICMP(args []string) (func(*stage) error, error) {
	if len(args) != 3 && len(args) != 5 || args[1] != "quote" || len(args) == 5 && args[3] != "mtu" {
		return nil, fmt.Errorf("want icmp NAME quote SEQ [mtu N]")
	}
	codes, ok := icmpErrors[args[0]]
	if !ok {
		return nil, fmt.Errorf("no ICMP error %s", args[0])
	}
	quote, err := parseSequences(args[2] + ":" + args[2])
	mtu := 0
	if len(args) == 5 && err == nil {
		mtu, err = number(args[4], 1<<20)
	}
	return func(s *stage) error {
		e := wire.ICMPError{Flow: s.cfg.Flow, V6: !s.cfg.Flow.Is4(), Seq: uint32(s.cfg.ISS.Add(quote.from)), MTU: uint32(mtu)}
		kind := codes[0]
		if e.V6 {
			kind = codes[1]
		}
		e.Type, e.Code = kind[0], kind[1]
		s.c.ReceiveICMP(s.now, &e)
		return s.transmit()
	}, err
}
