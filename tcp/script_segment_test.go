package tcp

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/xsend/xsend/internal/wire"
)

// How a script writes a segment: FLAGS FROM:TO(LENGTH) ack N win N <OPTIONS>, as packetdrill
// does. Sequence numbers count from the initial one of the side that they belong to.

// notation is a segment as a script names it. What a script leaves out is not asked of
// an emitted segment, but for options: all of them are named.
type notation struct {
	flags    uint8
	from, to int // TO does not count SYN and FIN
	ack, win int // or unnamed
	ecn      int // code point of the IP header
	opts     wire.Options
	anyTS    bool // timestamps, with whatever in them
}

const unnamed = math.MinInt

// flagLetters are in the order in which packetdrill writes them.
var flagLetters = []struct {
	letter byte
	flag   uint8
}{
	{'S', wire.FlagSYN}, {'F', wire.FlagFIN}, {'R', wire.FlagRST}, {'P', wire.FlagPSH},
	{'E', wire.FlagECE}, {'W', wire.FlagCWR}, {'U', wire.FlagURG}, {'.', wire.FlagACK},
}

var codePoints = []string{"[noecn]", "[ect1]", "[ect0]", "[ce]"}

// parseSegments reads what stands behind the direction: one segment, or several alike in
// a row, as in 1:3001(3*1000).
func parseSegments(s string) ([]notation, error) {
	n := notation{ack: unnamed, win: unnamed}
	head, options, has := strings.Cut(s, "<")
	if has {
		if err := n.parseOptions(strings.TrimSpace(options)); err != nil {
			return nil, err
		}
	}
	words := strings.Fields(head)
	if len(words) > 0 && strings.HasPrefix(words[0], "[") {
		if err := n.parseECN(words[0]); err != nil {
			return nil, err
		}
		words = words[1:]
	}
	if len(words) < 2 || len(words)%2 != 0 {
		return nil, fmt.Errorf("a segment is FLAGS FROM:TO(LENGTH) [ack N] [win N] [<OPTIONS>], not %q", s)
	}
	if err := n.parseFlags(words[0]); err != nil {
		return nil, err
	}
	count, err := n.parseRange(words[1])
	if err != nil {
		return nil, err
	}
	for k := 2; k < len(words); k += 2 {
		if err := n.parseField(words[k], words[k+1]); err != nil {
			return nil, err
		}
	}
	return n.inPieces(count), nil
}

// inPieces is count segments in a row; only the last one pushes.
func (n notation) inPieces(count int) []notation {
	all := make([]notation, count)
	size := (n.to - n.from) / count
	for k := range all {
		p := n
		p.from += k * size
		p.to = p.from + size
		if k < count-1 {
			p.flags &^= wire.FlagPSH
		}
		all[k] = p
	}
	return all
}

func (n *notation) parseFlags(s string) error {
	for _, letter := range []byte(s) {
		known := false
		for _, f := range flagLetters {
			if f.letter == letter && n.flags&f.flag == 0 {
				n.flags |= f.flag
				known = true
			}
		}
		if !known && s != "-" {
			return fmt.Errorf("flag %q: have SFRPEWU. once each, or - for none", letter)
		}
	}
	return nil
}

func (n *notation) parseECN(s string) error {
	for k, name := range codePoints {
		if s == name {
			n.ecn = k
			return nil
		}
	}
	return fmt.Errorf("code point %s: have %v", s, codePoints)
}

// parseRange reads FROM:TO(LENGTH) or FROM:TO(COUNT*LENGTH).
func (n *notation) parseRange(s string) (count int, err error) {
	var length int
	count = 1
	if strings.Contains(s, "*") {
		_, err = fmt.Sscanf(s, "%d:%d(%d*%d)", &n.from, &n.to, &count, &length)
	} else {
		_, err = fmt.Sscanf(s, "%d:%d(%d)", &n.from, &n.to, &length)
	}
	if err != nil || !strings.HasSuffix(s, ")") {
		return 0, fmt.Errorf("range %q is not FROM:TO(LENGTH)", s)
	}
	if count < 1 || length < 0 || n.to-n.from != count*length {
		return 0, fmt.Errorf("range %q: from %d to %d are %d bytes", s, n.from, n.to, n.to-n.from)
	}
	return count, nil
}

func (n *notation) parseField(name, value string) (err error) {
	switch name {
	case "ack":
		if n.flags&wire.FlagACK == 0 {
			return fmt.Errorf("ack of a segment without the flag")
		}
		n.ack, err = strconv.Atoi(value)
	case "win":
		n.win, err = number(value, 65535)
	default:
		return fmt.Errorf("field %q: have ack and win", name)
	}
	return err
}

func (n *notation) parseOptions(s string) error {
	s, ok := strings.CutSuffix(s, ">")
	if !ok {
		return fmt.Errorf("options end with >")
	}
	for o := range strings.SplitSeq(s, ",") {
		words := strings.Fields(o)
		if len(words) == 0 {
			return fmt.Errorf("an empty option")
		}
		if err := n.parseOption(words[0], words[1:]); err != nil {
			return fmt.Errorf("option %q: %w", strings.TrimSpace(o), err)
		}
	}
	return nil
}

func (n *notation) parseOption(name string, args []string) error {
	o := &n.opts
	var v int
	var err error
	switch {
	case name == "sackOK" && len(args) == 0:
		o.SACKPermitted = true
	case name == "mss" && len(args) == 1:
		v, err = number(args[0], 65535)
		o.HasMSS, o.MSS = true, uint16(v)
	case name == "wscale" && len(args) == 1:
		v, err = number(args[0], wire.MaxWScale)
		o.HasWScale, o.WScale = true, uint8(v)
	case name == "TS":
		err = n.parseTimestamps(args)
	case name == "sack" && len(args) > 0 && len(args) <= wire.MaxSACKBlocks:
		err = n.parseBlocks(args)
	default:
		err = fmt.Errorf("have mss N, sackOK, wscale N, TS [val N ecr N], sack FROM:TO ...")
	}
	return err
}

func (n *notation) parseTimestamps(args []string) error {
	n.opts.HasTS = true
	if len(args) == 0 {
		n.anyTS = true
		return nil
	}
	if len(args) != 4 || args[0] != "val" || args[2] != "ecr" {
		return fmt.Errorf("want TS val N ecr N")
	}
	val, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return err
	}
	ecr, err := strconv.ParseUint(args[3], 10, 32)
	n.opts.TSVal, n.opts.TSEcr = uint32(val), uint32(ecr)
	return err
}

// parseBlocks keeps the blocks relative, as the rest of the notation.
func (n *notation) parseBlocks(args []string) error {
	for _, a := range args {
		from, to, ok := strings.Cut(a, ":")
		f, err1 := strconv.Atoi(from)
		t, err2 := strconv.Atoi(to)
		if !ok || err1 != nil || err2 != nil {
			return fmt.Errorf("block %q is not FROM:TO", a)
		}
		n.opts.SACK[n.opts.NumSACK] = wire.SACKBlock{Start: uint32(f), End: uint32(t)}
		n.opts.NumSACK++
	}
	return nil
}

func number(s string, most int) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > most {
		return 0, fmt.Errorf("%q is no number from 0 to %d", s, most)
	}
	return v, nil
}

// String writes n as a script would.
func (n notation) String() string {
	var b strings.Builder
	if n.ecn > 0 {
		b.WriteString(codePoints[n.ecn] + " ")
	}
	before := b.Len()
	for _, f := range flagLetters {
		if n.flags&f.flag != 0 {
			b.WriteByte(f.letter)
		}
	}
	if b.Len() == before {
		b.WriteByte('-')
	}
	fmt.Fprintf(&b, " %d:%d(%d)", n.from, n.to, n.to-n.from)
	if n.ack != unnamed {
		fmt.Fprintf(&b, " ack %d", n.ack)
	}
	if n.win != unnamed {
		fmt.Fprintf(&b, " win %d", n.win)
	}
	if o := n.options(); len(o) > 0 {
		fmt.Fprintf(&b, " <%s>", strings.Join(o, ","))
	}
	return b.String()
}

func (n notation) options() (all []string) {
	o := &n.opts
	if o.HasMSS {
		all = append(all, fmt.Sprintf("mss %d", o.MSS))
	}
	if o.SACKPermitted {
		all = append(all, "sackOK")
	}
	switch {
	case n.anyTS:
		all = append(all, "TS")
	case o.HasTS:
		all = append(all, fmt.Sprintf("TS val %d ecr %d", o.TSVal, o.TSEcr))
	}
	if o.HasWScale {
		all = append(all, fmt.Sprintf("wscale %d", o.WScale))
	}
	for k, blocks := 0, "sack"; k < o.NumSACK; k++ {
		blocks += fmt.Sprintf(" %d:%d", int32(o.SACK[k].Start), int32(o.SACK[k].End))
		if k == o.NumSACK-1 {
			all = append(all, blocks)
		}
	}
	return all
}

// noted is the emitted segment s in the notation, everything named.
func noted(s *wire.Segment, iss, irs Seq) notation {
	n := notation{flags: s.Flags, from: Seq(s.Seq).Sub(iss), ack: unnamed, win: int(s.Window), ecn: int(s.ECN), opts: s.Options}
	n.to = n.from + s.PayloadLen
	if s.Flags&wire.FlagACK != 0 {
		n.ack = Seq(s.Ack).Sub(irs)
	}
	for k := range s.Options.NumSACK {
		b := &n.opts.SACK[k]
		b.Start, b.End = b.Start-uint32(irs), b.End-uint32(irs)
	}
	return n
}

// asked is got without what the script did not ask for: what is left must be equal to
// want.
func (want notation) asked(got notation) notation {
	if want.ack == unnamed {
		got.ack = unnamed
	}
	if want.win == unnamed {
		got.win = unnamed
	}
	if want.anyTS && got.opts.HasTS {
		got.anyTS = true
		got.opts.TSVal, got.opts.TSEcr = 0, 0
	}
	return got
}

// segment is n as one from the peer: sequence and acknowledgement change sides.
func (n notation) segment(flow wire.Flow, iss, irs Seq, win uint16) wire.Segment {
	s := wire.Segment{Flow: flow, Seq: uint32(irs.Add(n.from)), Flags: n.flags, Window: win, Options: n.opts, PayloadLen: n.to - n.from}
	if n.ack != unnamed {
		s.Ack = uint32(iss.Add(n.ack))
	}
	if n.win != unnamed {
		s.Window = uint16(n.win)
	}
	s.ECN = uint8(n.ecn)
	for k := range n.opts.NumSACK {
		b := &s.Options.SACK[k]
		b.Start, b.End = uint32(iss)+b.Start, uint32(iss)+b.End
	}
	return s
}
