package transfer

import (
	"sync"
	"syscall"
	"time"

	"github.com/xsend/xsend/tcp"
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

// Released is the number of bytes handed back up to now: ACKed by the peer and let go of by the NIC. Of streams that have frames
// back before their ACK it is the bytes that were ACKed.
func (m *Meter) Released() int64 {
	var n int64
	for _, s := range m.senders {
		n += s.bytes()
	}
	return n
}

// sampler takes an Interval now and then, and notes where the omitted part ends.
type sampler struct {
	run   *run
	meter *Meter
	quit  chan struct{}
	done  sync.WaitGroup

	started bool
	last    Interval
	told    int64 // bytes in all samples so far

	samples      []Interval
	omittedBytes int64
	omittedTime  time.Duration // 0 as long as nothing is omitted
}

func (s *sampler) start() {
	s.started = true
	s.done.Go(s.loop)
}

// stop ends the sampling with a last sample of what is left, unless that is next to nothing: the samples add up to the
// run.
func (s *sampler) stop() {
	close(s.quit)
	s.done.Wait()
	if s.run.cfg.Interval == 0 {
		return
	}
	if s.told < s.meter.Released() || s.last.End == 0 || time.Since(s.meter.begin).Seconds()-s.last.End > 0.05 {
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

// sample takes an Interval. Each connection's poller is asked once.
func (s *sampler) sample() {
	s.run.announce()
	senders := s.run.standing()
	i := Interval{Span: s.span(), Streams: make([]StreamInterval, len(senders))}
	for n, snd := range senders { // all of them before the first poller is asked: they are of one moment
		i.Streams[n] = StreamInterval{ID: snd.id, Socket: snd.id, Span: i.Span}
		i.Streams[n].Bytes = snd.bytes()
	}
	for n, snd := range senders {
		st := &i.Streams[n]
		st.complete(&snd.sampled, snd.conn.Stats())
		i.Bytes += st.Bytes
		i.Retransmits += st.Retransmits
	}
	i.BitsPerSecond = bitRate(uint64(i.Bytes), i.Seconds)
	s.last = i
	s.told += i.Bytes
	if !s.run.cfg.Discard {
		s.samples = append(s.samples, i)
	}
	if s.run.cfg.OnSample != nil {
		s.run.cfg.OnSample(i)
	}
}

// span is the time since the last sample, with nothing in it yet.
func (s *sampler) span() Span {
	return spanOf(s.last.End, time.Since(s.meter.begin).Seconds(), s.run.cfg.Omit.Seconds())
}

// spanOf is omitted if most of it is: a sample that is due when the omitted part ends is a little late.
func spanOf(start, end, omit float64) Span {
	return Span{Start: start, End: end, Seconds: end - start, Omitted: start+end < 2*omit, Sender: true}
}

// sampled is what the last sample of a stream found; it belongs to the sampler.
type sampled struct {
	bytes       int64
	retransmits uint64
	losses      Losses
}

// complete makes an interval's figures of those since the connection stood.
func (i *StreamInterval) complete(last *sampled, st tcp.Stats) {
	now := sampled{bytes: i.Bytes, retransmits: st.Retransmits, losses: lossesOf(&st)}
	i.Bytes, i.Retransmits, i.Losses = now.bytes-last.bytes, now.retransmits-last.retransmits, now.losses.since(last.losses)
	i.BitsPerSecond = bitRate(uint64(i.Bytes), i.Seconds)
	i.Moment = momentOf(&st)
	*last = now
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
