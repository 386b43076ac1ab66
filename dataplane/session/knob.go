package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/tcp"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Knob is one setting: as it was asked for, as it was taken, and what it is in fact.
type Knob struct {
	Name      string // mode, attach, checksum, rx-checksum, sg, wakeup, budget, busy-poll, hugepages, queues, mtu, steer
	Requested string // "default" where nothing was asked for
	Accepted  string // what was tried
	Active    string // what is in force
	Where     string // of the checksum: engine, nic, kernel, or nic-or-kernel where nobody can tell; nic in copy mode only by a kprobe's evidence
	Proved    bool   // by more than a claim
	Evidence  string
}

// Where a checksum is computed.
const (
	whereEngine = "engine"
	whereNIC    = "nic"
	whereKernel = "kernel"
	whereEither = "nic-or-kernel"
)

// Knobs are the settings that a device, a driver or the kernel may take otherwise than asked. What
// the first connections found out is in it once they stand.
func (s *Session) Knobs() []Knob {
	fixed := []Knob{s.modeKnob(), s.attachKnob(), s.checksumKnob(), s.rxChecksumKnob(), s.scatterKnob()}
	all := append(slices.Concat(fixed, s.tunedKnobs()), s.steerKnob())
	for i := range all {
		all[i] = s.fallen(all[i])
	}
	return all
}

func (s *Session) modeKnob() Knob {
	k := Knob{Name: "mode", Requested: s.cfg.Mode.String(), Accepted: s.cfg.Mode.String(), Active: s.info.Mode, Proved: true, Evidence: "XDP_OPTIONS of the socket"}
	if s.cfg.Mode == afxdp.ModeAuto {
		k.Accepted = s.info.Mode
	}
	switch {
	case s.copyInstead:
		k.Evidence += "; in zero-copy mode no frame was completed"
	case s.cfg.Mode == afxdp.ModeAuto && s.tooFewSegs():
		k.Evidence += fmt.Sprintf("; in zero-copy mode the driver takes %d descriptors in a packet, too few for the MTU", s.zeroCopySegs)
	case s.info.Mode == "zerocopy":
		k.Evidence += ", and a frame was completed"
	}
	return k
}

func (s *Session) attachKnob() Knob {
	k := Knob{Name: "attach", Requested: s.cfg.Attach.String(), Accepted: s.cfg.Attach.String(), Active: s.info.Attach, Proved: true, Evidence: "the interface as the kernel describes it"}
	if s.cfg.Attach == xdpprog.ModeAuto {
		k.Accepted = s.info.Attach
	}
	if err := s.prog.NativeRefused(); err != nil {
		k.Evidence += fmt.Sprintf("; native was refused: %v", err)
	}
	return k
}

func (s *Session) checksumKnob() Knob {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := Knob{Name: "checksum", Requested: string(s.cfg.Checksum), Accepted: string(s.sums.accepted), Active: string(ChecksumSoftware), Where: whereEngine, Proved: true}
	switch {
	case s.sums.accepted != ChecksumSoftware:
		s.addVerdicts(&k)
	case s.sums.why != "":
		k.Evidence = "fell back: " + s.sums.why
	default:
		k.Evidence = "every segment is summed before it is sent"
	}
	return k
}

// addVerdicts adds up what the canaries of the queues found out: the weakest of it holds.
func (s *Session) addVerdicts(k *Knob) {
	var found, places, hows []string
	engine, proved := false, true
	for _, q := range s.queues {
		c := &q.canary
		if c.verdict == tcp.CanaryOff {
			continue
		}
		found = append(found, fmt.Sprintf("queue %d: %s", q.index, describeVerdict(c)))
		switch {
		case c.refused != nil:
			proved = false
		case c.use == tcp.ChecksumSoftware:
			engine = true
		default:
			proved = proved && c.verdict == tcp.CanaryProved
			where, how := s.placeOfChecksum(c)
			places = append(places, where)
			if !slices.Contains(hows, how) {
				hows = append(hows, how)
				found[len(found)-1] += "; " + how
			}
		}
	}
	switch {
	case len(found) == 0:
		found, proved = []string{"nothing was sent"}, false
		fallthrough
	case !engine && len(places) == 0:
		k.Active, k.Where = k.Accepted, ""
	case len(places) > 0:
		where := samePlace(places)
		k.Active, k.Where = k.Accepted, where
		if engine {
			k.Active, k.Where = k.Accepted+", sw", where+", engine"
		}
	}
	k.Proved, k.Evidence = proved, strings.Join(found, "; ")
}

// describeVerdict is the canary's evidence in words.
func describeVerdict(c *canary) string {
	if c.verdict == tcp.CanaryProved {
		return fmt.Sprintf("canary proved: every good probe was answered and no poisoned one, of %d", c.probes)
	}
	if c.refused != nil {
		return fmt.Sprintf("refused: %v", c.verdict)
	}
	if c.use == tcp.ChecksumSoftware {
		return fmt.Sprintf("%v, so that every segment is summed before it is sent", c.verdict)
	}
	return fmt.Sprintf("unproved: %v", c.verdict)
}

// samePlace is that of all queues, whereEither where they differ.
func samePlace(places []string) string {
	for _, p := range places[1:] {
		if p != places[0] {
			return whereEither
		}
	}
	return places[0]
}

// placeOfChecksum is where a queue's checksums are computed, and how that is known. Flags alone
// cannot tell: in copy mode the kernel does it wherever the driver leaves a packet to it.
func (s *Session) placeOfChecksum(c *canary) (where, how string) {
	p := &s.sums
	switch {
	case p.accepted == ChecksumKernel:
		return whereKernel, "XDP_UMEM_TX_SW_CSUM was taken"
	case s.info.Mode == "zerocopy" && c.verdict == tcp.CanaryProved:
		return whereNIC, "zero-copy, and xsk-features have tx-checksum"
	case s.info.Mode == "zerocopy":
		return whereEither, "zerocopy mode: nobody tells which of them it is"
	}
	where, how = c.sums.place(c.verdict)
	off := fmt.Sprintf("tx-checksumming is off on %s", s.link.Name)
	switch {
	case p.claimed.Device || where == whereKernel:
		return where, "copy mode: " + how
	case where == whereNIC: // they contradict each other
		return whereEither, fmt.Sprintf("copy mode: %s; but %s", how, off)
	}
	return whereKernel, "copy mode, and " + off
}

func (s *Session) rxChecksumKnob() Knob {
	k := Knob{Name: "rx-checksum", Requested: string(s.cfg.RXChecksum), Accepted: s.info.RxChecksum, Active: s.info.RxChecksum, Proved: true}
	c := s.Counters()
	switch {
	case s.trust && s.cfg.RXChecksum == RXAuto:
		k.Evidence = fmt.Sprintf("%s is a %s: a peer on this machine may leave its checksums to a NIC that is never reached", s.link.Name, s.link.Kind)
	case s.trust:
		k.Evidence = "no checksum was looked at"
	default:
		k.Evidence = fmt.Sprintf("of %d packets %d had a wrong one and were dropped", c.RxPackets, c.RxChecksum)
	}
	return k
}
