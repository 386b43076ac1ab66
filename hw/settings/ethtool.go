package settings

import (
	"fmt"
	"strconv"

	"github.com/safchain/ethtool"

	lib "github.com/xsend/xsend/internal/ethtool"
)

// withEthtool answers with the library.
func withEthtool(r request) (reply, error) {
	return lib.Ask(r.name, func(e *ethtool.Ethtool) (reply, error) { return ask(e, r) })
}

func ask(e *ethtool.Ethtool, r request) (reply, error) {
	switch r.group {
	case Feature:
		return askFeatures(e, r)
	case Channels:
		return readOrSet(r, channelFields, channelMost, e.GetChannels, e.SetChannels)
	case Ring:
		return readOrSet(r, ringFields, ringMost, e.GetRing, e.SetRing)
	case Coalesce:
		return readOrSet(r, coalesceFields, nil, e.GetCoalesce, e.SetCoalesce)
	}
	return readOrSet(r, pauseFields, nil, e.GetPause, e.SetPause)
}

// askFeatures doesn't hear where the kernel answers a change with a number that says "refused": the library drops it,
// and what is read back decides. It asks for as many bits as there are names: where the kernel has bits without one, and more than
// fill the last word, a change is EINVAL.
func askFeatures(e *ethtool.Ethtool, r request) (reply, error) {
	if r.set {
		change := map[string]bool{}
		for k, v := range r.values {
			change[k] = v == on
		}
		return reply{}, e.Change(r.name, change)
	}
	states, err := e.FeaturesWithState(r.name)
	if err != nil {
		return reply{}, err
	}
	v := Values{}
	for name, s := range states {
		v[name] = featureState(s.Requested, s.Active, s.NeverChanged || !s.Available)
	}
	return reply{values: v}, nil
}

// field is a member of one of the kernel's structs.
type field[T any] struct {
	name string
	at   func(*T) *uint32
}

func names[T any](fields []field[T]) (list []string) {
	for _, f := range fields {
		list = append(list, f.name)
	}
	return list
}

// readOrSet reads a struct, and writes it back with the values that are to change.
func readOrSet[T any](r request, fields, most []field[T], get func(string) (T, error), set func(string, T) (T, error)) (reply, error) {
	now, err := get(r.name)
	if err != nil {
		return reply{}, err
	}
	if !r.set {
		return reply{values: values(fields, &now), most: values(most, &now)}, nil
	}
	for _, f := range fields {
		text, asked := r.values[f.name]
		if !asked {
			continue
		}
		n, err := number(text)
		if err != nil {
			return reply{}, fmt.Errorf("%s %q: %w", Name(r.group, f.name), text, err)
		}
		*f.at(&now) = n
	}
	_, err = set(r.name, now)
	return reply{}, err
}

func values[T any](fields []field[T], from *T) Values {
	v := Values{}
	_, switches := any(from).(*ethtool.Pause) // has nothing else
	for _, f := range fields {
		n := *f.at(from)
		if switches || isSwitch(f.name) {
			v[f.name] = onOff(n != 0)
			continue
		}
		v[f.name] = strconv.FormatUint(uint64(n), 10)
	}
	return v
}

func number(text string) (uint32, error) {
	switch text {
	case on:
		return 1, nil
	case off:
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

var channelFields = []field[ethtool.Channels]{
	{"rx", func(c *ethtool.Channels) *uint32 { return &c.RxCount }},
	{"tx", func(c *ethtool.Channels) *uint32 { return &c.TxCount }},
	{"other", func(c *ethtool.Channels) *uint32 { return &c.OtherCount }},
	{"combined", func(c *ethtool.Channels) *uint32 { return &c.CombinedCount }},
}

var channelMost = []field[ethtool.Channels]{
	{"rx", func(c *ethtool.Channels) *uint32 { return &c.MaxRx }},
	{"tx", func(c *ethtool.Channels) *uint32 { return &c.MaxTx }},
	{"combined", func(c *ethtool.Channels) *uint32 { return &c.MaxCombined }},
}

var ringFields = []field[ethtool.Ring]{
	{"rx", func(r *ethtool.Ring) *uint32 { return &r.RxPending }},
	{"rx-mini", func(r *ethtool.Ring) *uint32 { return &r.RxMiniPending }},
	{"rx-jumbo", func(r *ethtool.Ring) *uint32 { return &r.RxJumboPending }},
	{"tx", func(r *ethtool.Ring) *uint32 { return &r.TxPending }},
}

var ringMost = []field[ethtool.Ring]{
	{"rx", func(r *ethtool.Ring) *uint32 { return &r.RxMaxPending }},
	{"rx-mini", func(r *ethtool.Ring) *uint32 { return &r.RxMiniMaxPending }},
	{"rx-jumbo", func(r *ethtool.Ring) *uint32 { return &r.RxJumboMaxPending }},
	{"tx", func(r *ethtool.Ring) *uint32 { return &r.TxMaxPending }},
}

var pauseFields = []field[ethtool.Pause]{
	{"autoneg", func(p *ethtool.Pause) *uint32 { return &p.Autoneg }},
	{"rx", func(p *ethtool.Pause) *uint32 { return &p.RxPause }},
	{"tx", func(p *ethtool.Pause) *uint32 { return &p.TxPause }},
}

var coalesceFields = []field[ethtool.Coalesce]{
	{"rx-usecs", func(c *ethtool.Coalesce) *uint32 { return &c.RxCoalesceUsecs }},
	{"rx-frames", func(c *ethtool.Coalesce) *uint32 { return &c.RxMaxCoalescedFrames }},
	{"rx-usecs-irq", func(c *ethtool.Coalesce) *uint32 { return &c.RxCoalesceUsecsIrq }},
	{"rx-frames-irq", func(c *ethtool.Coalesce) *uint32 { return &c.RxMaxCoalescedFramesIrq }},
	{"tx-usecs", func(c *ethtool.Coalesce) *uint32 { return &c.TxCoalesceUsecs }},
	{"tx-frames", func(c *ethtool.Coalesce) *uint32 { return &c.TxMaxCoalescedFrames }},
	{"tx-usecs-irq", func(c *ethtool.Coalesce) *uint32 { return &c.TxCoalesceUsecsIrq }},
	{"tx-frames-irq", func(c *ethtool.Coalesce) *uint32 { return &c.TxMaxCoalescedFramesIrq }},
	{"stats-block-usecs", func(c *ethtool.Coalesce) *uint32 { return &c.StatsBlockCoalesceUsecs }},
	{"adaptive-rx", func(c *ethtool.Coalesce) *uint32 { return &c.UseAdaptiveRxCoalesce }},
	{"adaptive-tx", func(c *ethtool.Coalesce) *uint32 { return &c.UseAdaptiveTxCoalesce }},
	{"pkt-rate-low", func(c *ethtool.Coalesce) *uint32 { return &c.PktRateLow }},
	{"rx-usecs-low", func(c *ethtool.Coalesce) *uint32 { return &c.RxCoalesceUsecsLow }},
	{"rx-frames-low", func(c *ethtool.Coalesce) *uint32 { return &c.RxMaxCoalescedFramesLow }},
	{"tx-usecs-low", func(c *ethtool.Coalesce) *uint32 { return &c.TxCoalesceUsecsLow }},
	{"tx-frames-low", func(c *ethtool.Coalesce) *uint32 { return &c.TxMaxCoalescedFramesLow }},
	{"pkt-rate-high", func(c *ethtool.Coalesce) *uint32 { return &c.PktRateHigh }},
	{"rx-usecs-high", func(c *ethtool.Coalesce) *uint32 { return &c.RxCoalesceUsecsHigh }},
	{"rx-frames-high", func(c *ethtool.Coalesce) *uint32 { return &c.RxMaxCoalescedFramesHigh }},
	{"tx-usecs-high", func(c *ethtool.Coalesce) *uint32 { return &c.TxCoalesceUsecsHigh }},
	{"tx-frames-high", func(c *ethtool.Coalesce) *uint32 { return &c.TxMaxCoalescedFramesHigh }},
	{"sample-interval", func(c *ethtool.Coalesce) *uint32 { return &c.RateSampleInterval }},
}
