package lab

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrOtherProgram is returned when somebody else's XDP program is on the receiver's end.
var ErrOtherProgram = errors.New("another XDP program is attached")

// LossRule says which packets are dropped at the receiver's end. The zero value drops none. Below 100 %
// ARP, ICMPv6 and IPv6 packets with hop-by-hop options are exempt and not numbered, so that neighbours
// stay known and the rest is numbered alike in every run; at 100 % everything is dropped.
type LossRule struct {
	Percent float64 `json:"percent"` // 0 to 100, in steps of 0.0001
	Seed    uint64  `json:"seed"`    // not 0: packet number n is judged by SplitMix64(Seed, n), alike in every run
	Every   uint64  `json:"every"`   // not 0: packets Every, 2*Every, … are dropped; Percent and Seed must be 0
}

// LossCounters counts packets since the loss program was attached. Dropped and Passed were judged by a rule.
type LossCounters struct {
	Dropped uint64 `json:"dropped"`
	Passed  uint64 `json:"passed"`
	Exempt  uint64 `json:"exempt"`
}

func (r LossRule) encode() (kernelRule, error) {
	if math.IsNaN(r.Percent) || r.Percent < 0 || r.Percent > 100 {
		return kernelRule{}, fmt.Errorf("loss of %v percent: choose 0 to 100", r.Percent)
	}
	if r.Every != 0 {
		if r.Percent != 0 || r.Seed != 0 {
			return kernelRule{}, errors.New("loss: every n-th packet and a percentage exclude each other")
		}
		return kernelRule{Kind: lossEvery, Param: r.Every}, nil
	}
	ppm := uint64(math.Round(r.Percent * 10_000))
	k := kernelRule{Kind: lossRandom, Threshold: (ppm << 32) / 1_000_000, PPM: ppm}
	if r.Seed != 0 {
		k.Kind, k.Param = lossSeeded, r.Seed
	}
	return k, nil
}

func (k kernelRule) decode() LossRule {
	switch k.Kind {
	case lossEvery:
		return LossRule{Every: k.Param}
	case lossSeeded:
		return LossRule{Percent: float64(k.PPM) / 10_000, Seed: k.Param}
	default:
		return LossRule{Percent: float64(k.PPM) / 10_000}
	}
}

// startLoss attaches the program if the lab is to lose packets, or if it has a seed to keep for later.
func (l *Lab) startLoss(cfg Config) error {
	if cfg.Loss == 0 && cfg.LossSeed == 0 {
		return nil
	}
	return l.SetLossRule(LossRule{Percent: cfg.Loss, Seed: cfg.LossSeed})
}

// SetLoss drops that many percent of the packets from now on; 0 ends it, 100 cuts the cable. A seed set
// before stays, and packets are numbered from 1 again.
func (l *Lab) SetLoss(percent float64) error {
	rule, _, err := l.Loss()
	if err != nil {
		return err
	}
	return l.SetLossRule(LossRule{Percent: percent, Seed: rule.Seed})
}

// SetLossRule puts a rule in force at once, also while packets arrive, and numbers packets from 1 again.
// A packet that arrives during the call may be judged by a mixture of both rules.
func (l *Lab) SetLossRule(rule LossRule) error {
	k, err := rule.encode()
	if err != nil {
		return fmt.Errorf("lab %s: %w", l.name, err)
	}
	return l.withLink(Receiver, func(link netlink.Link) error {
		prog, err := attachedLoss(link)
		if err != nil {
			return err
		}
		if prog == nil {
			return attachLoss(link, k)
		}
		defer prog.Close()
		rules, err := lossMap(prog, lossRuleName)
		if err != nil {
			return err
		}
		defer rules.Close()
		return rules.Put(uint32(0), k)
	})
}

// LossCounters returns what the loss program has counted; zeroes if loss was never asked for.
func (l *Lab) LossCounters() (LossCounters, error) {
	_, counters, err := l.Loss()
	return counters, err
}

// Loss returns the rule in force and the counters.
func (l *Lab) Loss() (rule LossRule, counters LossCounters, err error) {
	err = l.withLink(Receiver, func(link netlink.Link) error {
		rule, counters, err = readLoss(link)
		return err
	})
	return rule, counters, err
}

func readLoss(link netlink.Link) (rule LossRule, counters LossCounters, err error) {
	prog, err := attachedLoss(link)
	if prog == nil || err != nil {
		return rule, counters, err
	}
	defer prog.Close()
	var k kernelRule
	err = errors.Join(readLossMap(prog, lossRuleName, &k), readLossMap(prog, lossCountersName, &counters))
	return k.decode(), counters, err
}

func attachLoss(link netlink.Link, k kernelRule) error {
	prog, err := newLossProgram(k)
	if err != nil {
		return err
	}
	defer prog.Close() // the attachment keeps it
	const flags = unix.XDP_FLAGS_SKB_MODE | unix.XDP_FLAGS_UPDATE_IF_NOEXIST
	if err := netlink.LinkSetXdpFdWithFlags(link, prog.FD(), flags); err != nil {
		return fmt.Errorf("%s: attach the loss program: %w", link.Attrs().Name, needRoot(err))
	}
	return nil
}

// attachedLoss returns the loss program on the link, or nil if there is none. By its number, since the
// process that loaded it may be gone, and a BPF file system to pin it in may be missing.
func attachedLoss(link netlink.Link) (*ebpf.Program, error) {
	xdp := link.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return nil, nil
	}
	name := link.Attrs().Name
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(xdp.ProgId))
	if err != nil {
		return nil, fmt.Errorf("%s: open XDP program %d: %w", name, xdp.ProgId, needRoot(err))
	}
	info, err := prog.Info()
	if err == nil && info.Name == lossProgramName {
		return prog, nil
	}
	prog.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: XDP program %d: %w", name, xdp.ProgId, err)
	}
	return nil, fmt.Errorf("%s: %w (%q, number %d): detach it to have packets dropped here",
		name, ErrOtherProgram, info.Name, xdp.ProgId)
}

func readLossMap(prog *ebpf.Program, name string, value any) error {
	m, err := lossMap(prog, name)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Lookup(uint32(0), value); err != nil {
		return fmt.Errorf("read the map %s: %w", name, err)
	}
	return nil
}

// lossMap opens the program's map of that name.
func lossMap(prog *ebpf.Program, name string) (*ebpf.Map, error) {
	info, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("loss program: %w", err)
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return nil, fmt.Errorf("open map %d of the loss program: %w", id, needRoot(err))
		}
		if mi, err := m.Info(); err == nil && mi.Name == name {
			return m, nil
		}
		m.Close()
	}
	return nil, fmt.Errorf("the loss program has no map %s: it was loaded by another version; make the lab anew", name)
}
