package grid

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
)

// HeadroomSchema names the shape of Headroom.
const HeadroomSchema = "xsend.headroom/1"

// HeadroomGoal is how many times the largest rate of a path the wire is to carry.
const HeadroomGoal = 3

const (
	stepTime = 2 * time.Second
	// punctual is how late packets may be on average while the wire keeps up.
	punctual = time.Millisecond
	// offered is the part of a step's rate that the generator must reach for the step to count, in percent.
	offered = 95
)

// steps are the rates tried, in Mbit/s.
var steps = []int64{200, 400, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 2000, 2500, 3000}

// Headroom is what the wire carries. Its JSON names are stable.
type Headroom struct {
	Schema  string  `json:"schema"`
	Steps   []Step  `json:"steps"`
	Carried float64 `json:"carried_bits_per_second"` // largest rate of frames of 1514 bytes without a loss
	TCP     Run     `json:"tcp"`                     // the kernel's TCP without a bottleneck: what wire, sender and receiver do together
	Factor  float64 `json:"factor"`                  // Carried over the largest rate of a path
	Met     bool    `json:"met"`
}

// Step is one rate, for two seconds. Its JSON names are stable.
type Step struct {
	BitsPerSecond float64 `json:"bits_per_second"` // offered in fact
	Asked         float64 `json:"asked_bits_per_second"`
	Frames        uint64  `json:"frames"`
	Missing       int64   `json:"missing"`    // frames that didn't leave the wire
	Unintended    uint64  `json:"unintended"` // frames that it knows to have lost
	LateMean      float64 `json:"late_mean_us"`
	LateMax       float64 `json:"late_max_us"`
	Carried       bool    `json:"carried"`
}

// MeasureHeadroom sends frames through a wire at rising rates until it loses one or falls behind.
func MeasureHeadroom(ctx context.Context, self string, step func(Step)) (h Headroom, err error) {
	h.Schema = HeadroomSchema
	free := netem.Config{Seed: 1, Forward: netem.Impairment{Delay: 500 * time.Microsecond}, Reverse: netem.Impairment{Delay: 500 * time.Microsecond}}
	l, err := lab.Up(ctx, labConfig("xsend-room-"+strconv.Itoa(os.Getpid()), free, self))
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := widen(l); err != nil {
		return h, err
	}
	b := &bench{lab: l, self: self}
	if h.TCP, err = b.run(ctx, Linux, "cubic", free, Limits{Time: stepTime}); err != nil {
		return h, err
	}
	// What the receiver does with a frame is not the wire's work.
	if err := l.SetLoss(100); err != nil {
		return h, err
	}
	for _, rate := range steps {
		s, err := b.step(ctx, free, rate*1_000_000)
		if err != nil {
			return h, err
		}
		h.Steps = append(h.Steps, s)
		step(s)
		if !s.Carried {
			break
		}
		h.Carried = s.BitsPerSecond
	}
	h.Factor = h.Carried / MaxRate
	h.Met = h.Factor >= HeadroomGoal && h.TCP.Unintended == 0
	return h, nil
}

// step floods the wire at one rate.
func (b *bench) step(ctx context.Context, wire netem.Config, rate int64) (s Step, err error) {
	s.Asked = float64(rate)
	before, err := b.prepare(ctx, wire)
	if err != nil {
		return s, err
	}
	frame, err := b.frame()
	if err != nil {
		return s, err
	}
	if err := b.lab.Do(lab.Sender, func() error {
		s.Frames, err = netem.Flood(ctx, b.lab.Sender().Interface, frame, rate, stepTime)
		return err
	}); err != nil {
		return s, err
	}
	time.Sleep(10 * wire.Forward.Delay) // the last ones are under way; a wire that is behind has more
	st, err := lab.ReadStatus(b.lab.Name())
	if err != nil {
		return s, err
	}
	if st.Wire == nil || !st.Wire.Running {
		return s, errors.New("the wire has ended")
	}
	f := st.Wire.Status.Forward
	s.BitsPerSecond = float64(s.Frames) * frameSize * 8 / stepTime.Seconds()
	others := f.Packets - f.Numbered // neighbours being looked for
	s.Missing = int64(s.Frames) - int64(f.Sent-others)
	s.Unintended = st.Wire.Status.Unintended() + interfaceDrops(st) - before // what a program drops is none of it
	s.LateMean, s.LateMax = f.LateMean, f.LateMax
	s.Carried = s.Missing == 0 && s.Unintended == 0 && s.LateMean < float64(punctual.Microseconds()) && s.BitsPerSecond*100 >= s.Asked*offered
	return s, nil
}

// frame is a datagram to the receiver.
func (b *bench) frame() ([]byte, error) {
	st, err := lab.ReadStatus(b.lab.Name())
	if err != nil {
		return nil, err
	}
	f := make([]byte, frameSize)
	to, err := net.ParseMAC(st.Receiver.MAC)
	if err != nil {
		return nil, fmt.Errorf("the receiver's address: %w", err)
	}
	from, err := net.ParseMAC(st.Sender.MAC)
	if err != nil {
		return nil, fmt.Errorf("the sender's address: %w", err)
	}
	copy(f, to)
	copy(f[6:], from)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17 // UDP; nobody looks at the checksums
	binary.BigEndian.PutUint16(ip[2:], frameSize-14)
	return f, nil
}
