package tcp

import (
	"fmt"
	"github.com/xsend/xsend/internal/wire"
	"slices"
	"strconv"
	"strings"
)

// verbs are what the writer, the kernel and whoever owns the connection do.
var verbs = map[string]func(args []string) (func(*stage) error, error){
	"connect": alone(func(s *stage) error {
		if err := s.c.Connect(s.now); err != nil {
			return err
		}
		return s.transmit()
	}),
	"close": alone(func(s *stage) error { s.c.CloseWrite(s.now); return s.transmit() }),
	"abort": alone(func(s *stage) error { s.c.Abort(s.now); return s.transmit() }),
	"feed": alone(func(s *stage) error {
		for _, f := range s.hoard {
			s.pool.Return(f)
		}
		s.hoard = nil
		return s.transmit()
	}),
	"starve":   counted(func(s *stage, n int) error { s.starve(n); return nil }),
	"mtu":      counted(func(s *stage, n int) error { s.c.SetMTU(n); return s.transmit() }),
	"write":    parseWrite,
	"hold":     parseHold,
	"complete": parseComplete,
}

func verbNames() []string {
	var names []string
	for name := range verbs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func alone(act func(*stage) error) func([]string) (func(*stage) error, error) {
	return func(args []string) (func(*stage) error, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%v: nothing stands there", args)
		}
		return act, nil
	}
}

func counted(act func(*stage, int) error) func([]string) (func(*stage) error, error) {
	return func(args []string) (func(*stage) error, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("one number")
		}
		n, err := number(args[0], 1<<20)
		return func(s *stage) error { return act(s, n) }, err
	}
}

// starve takes frames away until n are free.
func (s *stage) starve(n int) {
	for s.pool.Free() > n {
		f, _ := s.pool.Alloc()
		s.hoard = append(s.hoard, f)
	}
}

// parseWrite is write N [by SIZE] [at OFFSET]: frames of SIZE bytes, the MSS without, each
// from an offset of its payload on.
func parseWrite(args []string) (func(*stage) error, error) {
	if len(args)%2 != 1 {
		return nil, fmt.Errorf("want write N [by SIZE] [at OFFSET]")
	}
	n, err := number(args[0], 1<<20)
	size, off := 0, 0
	for k := 1; k < len(args) && err == nil; k += 2 {
		switch args[k] {
		case "by":
			size, err = number(args[k+1], 1792)
		case "at":
			off, err = number(args[k+1], 1792)
		default:
			err = fmt.Errorf("%q: have by and at", args[k])
		}
	}
	return func(s *stage) error { return s.write(n, size, off) }, err
}

// parseHold is hold all, hold FROM:TO or hold off: whose transmissions the kernel keeps from
// now on.
func parseHold(args []string) (func(*stage) error, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("want hold all, hold FROM:TO or hold off")
	}
	switch args[0] {
	case "off":
		return func(s *stage) error { s.holding = nil; return nil }, nil
	case "all":
		return func(s *stage) error { s.holding = []span64{everything}; return nil }, nil
	}
	r, err := parseSequences(args[0])
	return func(s *stage) error { s.holding = append(s.holding, r); return nil }, err
}

// parseComplete is complete all, or complete FROM:TO: the oldest transmission of that range
// that the kernel holds.
func parseComplete(args []string) (func(*stage) error, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("want complete all or complete FROM:TO")
	}
	if args[0] == "all" {
		return func(s *stage) error {
			for len(s.held) > 0 {
				if err := s.completeHeld(0); err != nil {
					return err
				}
			}
			return s.transmit()
		}, nil
	}
	r, err := parseSequences(args[0])
	return func(s *stage) error {
		for k, h := range s.held {
			if h.from(s) == r {
				if err := s.completeHeld(k); err != nil {
					return err
				}
				return s.transmit()
			}
		}
		return fmt.Errorf("the kernel holds no transmission of %d:%d", r.from, r.to)
	}, err
}

func parseSequences(s string) (r span64, err error) {
	from, to, ok := strings.Cut(s, ":")
	var err1, err2 error
	r.from, err1 = strconv.Atoi(from)
	r.to, err2 = strconv.Atoi(to)
	if !ok || err1 != nil || err2 != nil || r.to < r.from {
		return r, fmt.Errorf("%q is not FROM:TO", s)
	}
	return r, nil
}

// from is the range of sequence numbers that a held packet carries.
func (h heldPacket) from(s *stage) span64 {
	var seg wire.Segment
	if err := wire.Parse(h.bytes, true, &seg); err != nil {
		panic(err) // it was parsed before
	}
	n := noted(&seg, s.cfg.ISS, stageIRS)
	return span64{n.from, n.to}
}
