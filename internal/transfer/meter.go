package transfer

import (
	"sync"
	"syscall"
	"time"
)

// Meter tells how far a run is. Its methods may be called from any goroutine.
type Meter struct {
	begin   time.Time
	total   int64
	senders []*sender
}

// Begin is when the first connection stood.
func (m *Meter) Begin() time.Time { return m.begin }

// Total is the number of bytes to send, over all streams; -1 where nobody knows.
func (m *Meter) Total() int64 { return m.total }

// Released is the number of bytes handed back up to now: ACKed by the peer and let go of by the NIC.
func (m *Meter) Released() int64 {
	var n int64
	for _, s := range m.senders {
		n += s.meter.released.Load()
	}
	return n
}

// Interval is a part of the run. Times are in seconds since its begin.
type Interval struct {
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Bytes         int64   `json:"bytes"` // handed back in it
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   uint64  `json:"retransmits"`
	Omitted       bool    `json:"omitted"`
}

// sampler takes an Interval now and then, and notes where the omitted part ends.
type sampler struct {
	run   *run
	meter *Meter
	quit  chan struct{}
	done  sync.WaitGroup

	started bool

	last        Interval
	lastBytes   int64
	lastRetrans uint64

	samples      []Interval
	omittedBytes int64
	omittedTime  time.Duration // 0 as long as nothing is omitted
}

func (s *sampler) start() {
	s.started = true
	s.done.Go(s.loop)
}

// stop ends the sampling with a last sample of what is left, unless that is next to nothing.
func (s *sampler) stop() {
	close(s.quit)
	s.done.Wait()
	if s.run.cfg.Interval > 0 && (len(s.samples) == 0 || time.Since(s.meter.begin).Seconds()-s.last.End > 0.05) {
		s.sample()
	}
}

func (s *sampler) loop() {
	var tick, omit <-chan time.Time
	if d := s.run.cfg.Interval; d > 0 {
		t := time.NewTicker(d)
		defer t.Stop()
		tick = t.C
	}
	if d := s.run.cfg.Omit; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		omit = t.C
	}
	for {
		select {
		case <-s.quit:
			return
		case <-omit:
			s.omittedBytes, s.omittedTime = s.meter.Released(), time.Since(s.meter.begin)
		case <-tick:
			s.sample()
		}
	}
}

func (s *sampler) sample() {
	now, bytes, retrans := time.Since(s.meter.begin).Seconds(), s.meter.Released(), s.run.retransmits()
	i := Interval{Start: s.last.End, End: now, Bytes: bytes - s.lastBytes, Retransmits: retrans - s.lastRetrans}
	i.BitsPerSecond = bitRate(uint64(i.Bytes), i.End-i.Start)
	i.Omitted = i.End <= s.run.cfg.Omit.Seconds()
	s.last, s.lastBytes, s.lastRetrans = i, bytes, retrans
	s.samples = append(s.samples, i)
	if s.run.cfg.OnSample != nil {
		s.run.cfg.OnSample(i)
	}
}

// cpuTime is what the process has used of processors.
type cpuTime struct {
	at           time.Time
	user, system time.Duration
}

func readCPU() cpuTime {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru) // fails for a bad argument only
	return cpuTime{at: time.Now(), user: time.Duration(ru.Utime.Nano()), system: time.Duration(ru.Stime.Nano())}
}

// since is the use from then to t in percent of the time that passed.
func (t cpuTime) since(then cpuTime) CPU {
	passed := t.at.Sub(then.at)
	if passed <= 0 {
		return CPU{}
	}
	percent := func(d time.Duration) float64 { return 100 * float64(d) / float64(passed) }
	user, system := percent(t.user-then.user), percent(t.system-then.system)
	return CPU{Total: user + system, User: user, System: system}
}
