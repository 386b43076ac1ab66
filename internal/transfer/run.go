package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/metrics"
	"github.com/xsend/xsend/internal/pcap"
)

// errInterrupted is in the error of a stream that was cut short because the user asked for it.
var errInterrupted = errors.New("interrupted")

// world is what a run needs of the machine; a test stands in for it.
type world struct {
	resolve func(context.Context, *Config) (remote netip.AddrPort, link string, err error)
	open    func(context.Context, session.Config) (network, error)
}

// run is one call of Run.
type run struct {
	cfg Config
	world
	stop context.Context // its end: read no more, close, drain
	cut  context.Context // its end: reset everything

	net     network
	remote  netip.AddrPort
	link    string // the interface that the route leaves by
	input   *input // nil with a pattern
	capture *pcap.Writer
	trace   *trace.Writer
	senders []*sender

	once    sync.Once // the first connection stands
	told    sync.Once // OnStart
	meter   *Meter
	sampler *sampler
	cpu     cpuTime

	mu     sync.Mutex
	stood  []*sender // those that are connected, or were, in order of their numbers
	trying int       // those that are not decided
	end    time.Time // of the last stream so far

	stray      *Stray          // guarded by mu
	books      *bookkeeper     // nil without Config.Books
	metrics    *metrics.Server // nil without Config.Metrics
	unbalanced error           // what does not add up

	report Report
}

// Run sends what cfg describes and reports. When stop ends, it reads no more, closes the streams behind what
// was read, and drains for at most the linger time; when cut ends, it resets what is left. The report is
// complete either way, and holds the error and the exit code.
func Run(stop, cut context.Context, cfg Config) Report {
	return start(stop, cut, cfg, world{resolve: resolve, open: openSession}).all()
}

func start(stop, cut context.Context, cfg Config, w world) *run {
	cfg.setDefaults()
	r := &run{cfg: cfg, world: w, stop: stop, cut: cut}
	r.report = Report{
		Schema: Schema, Version: cfg.Version, Title: cfg.Title, Release: cfg.Release, Checksum: "sw", SG: "off", Offload: []Knob{},
		Streams: []StreamReport{}, Intervals: []Interval{},
		Start: Start{Time: time.Now(), Kernel: kernelRelease(), Target: cfg.Target, Parameters: cfg.Parameters, Connected: []Connected{}},
	}
	if cfg.Release == "" {
		r.report.Release = dataplane.ReleaseAck.String()
	}
	return r
}

func (r *run) all() Report {
	err := r.prepare()
	if err == nil {
		err = r.transfer()
	}
	r.release()
	r.judge(err)
	return r.report
}

// prepare does everything that can fail before a SYN leaves.
func (r *run) prepare() (err error) {
	if err := r.cfg.validate(); err != nil {
		return err
	}
	if err := r.openInput(); err != nil {
		return err
	}
	if err := r.serveMetrics(); err != nil {
		return err
	}
	if r.remote, r.link, err = r.resolve(r.stop, &r.cfg); err != nil {
		return err
	}
	r.report.Start.Remote = r.remote
	sc, err := r.cfg.sessionConfig(r.remote)
	if err != nil {
		return err
	}
	if err := r.openCapture(&sc); err != nil {
		return err
	}
	if err := r.openTrace(&sc); err != nil {
		return err
	}
	if r.net, err = r.open(r.stop, sc); err != nil {
		return err
	}
	if r.capture != nil {
		if err := r.capture.Start(); err != nil {
			return err
		}
	}
	if r.trace != nil {
		if err := r.trace.Start(); err != nil {
			return err
		}
	}
	if r.metrics != nil {
		r.metrics.Show(r.net)
	}
	r.describe(r.net.Info())
	return nil
}

func (r *run) openInput() (err error) {
	r.report.Start.Source = r.cfg.Path
	if r.cfg.Pattern {
		r.report.Start.Source = "pattern"
		return nil
	}
	if r.input, err = openInput(r.stop, r.cfg.Path, r.cfg.Stdin); err != nil {
		return err
	}
	r.report.Start.Source = r.input.name
	if r.cfg.Parallel > 1 && !r.input.repeatable() {
		return fmt.Errorf("%s with -P %d: it can be read once only; give a regular file, or leave -P out", r.input.name, r.cfg.Parallel)
	}
	return nil
}

func (r *run) openCapture(sc *session.Config) (err error) {
	if r.cfg.Pcap == "" {
		return nil
	}
	if r.capture, err = pcap.Create(r.cfg.Pcap, r.link, "xsend "+r.cfg.Version); err != nil {
		return err
	}
	if r.input != nil && r.input.file != nil && r.capture.SameFile(r.input.file) {
		return fmt.Errorf("capture %s: it is the file that is to be sent: give another name", r.cfg.Pcap)
	}
	sc.Tap = r.capture.Tap
	return nil
}

func (r *run) describe(info session.Info) {
	rep := &r.report
	rep.Start.Interface, rep.Start.Driver, rep.Start.Queues = info.Interface, info.Driver, info.Queues
	rep.Binding, rep.Attach, rep.Mode, rep.MTU = string(info.Binding), info.Attach, info.Mode, info.MTU
	if info.SG {
		rep.SG = "on"
	}
	r.describeOffload()
}

// describeOffload takes over what became of each setting, as far as that is known.
func (r *run) describeOffload() {
	rep := &r.report
	rep.Offload = []Knob{}
	for _, k := range r.net.Knobs() {
		rep.Offload = append(rep.Offload, Knob(k))
		if k.Name == "checksum" {
			rep.Checksum, rep.ChecksumWhere = k.Active, k.Where
		}
	}
}

// transfer runs the connections to their ends, and then the session.
func (r *run) transfer() error {
	r.meter = &Meter{total: r.total()}
	for i := range r.cfg.Parallel {
		s := &sender{run: r, id: i + 1, dial: r.cfg.dialConfig(r.remote, i), source: r.newSource}
		r.senders = append(r.senders, s)
	}
	r.meter.senders, r.trying = r.senders, len(r.senders)
	r.sampler = &sampler{run: r, meter: r.meter, quit: make(chan struct{})}
	r.keepBooks()
	r.each((*sender).send)
	if r.sampler.started {
		r.sampler.stop()
		r.report.CPU = readCPU().since(r.cpu)
	}
	r.each((*sender).farewell)
	r.sumUp()
	return r.close()
}

// each calls a method of all senders at once and waits for them.
func (r *run) each(do func(*sender)) {
	var wait sync.WaitGroup
	for _, s := range r.senders {
		wait.Go(func() { do(s) })
	}
	wait.Wait()
}

// began notes that a connection stands; the first one starts the clock.
func (r *run) began(s *sender) {
	r.mu.Lock()
	r.stood = append(r.stood, s)
	slices.SortFunc(r.stood, func(a, b *sender) int { return a.id - b.id })
	r.mu.Unlock()
	r.once.Do(func() {
		r.meter.begin, r.cpu = time.Now(), readCPU()
		r.sampler.start()
		if r.cfg.OnBegin != nil {
			r.cfg.OnBegin(r.meter)
		}
	})
	if r.cfg.OnStream != nil {
		r.cfg.OnStream(s.connected)
	}
}

// decided notes that one connection more stands or won't; the last one is the start.
func (r *run) decided() {
	r.mu.Lock()
	r.trying--
	all := r.trying == 0 && len(r.stood) > 0
	r.mu.Unlock()
	if all {
		r.announce()
	}
}

// announce tells of the start once, at the latest before the first sample: some connection may still be trying then.
func (r *run) announce() {
	r.told.Do(func() {
		if r.cfg.OnStart == nil {
			return
		}
		start := r.report.Start
		start.Connected = r.connected()
		r.cfg.OnStart(start)
	})
}

// standing are the senders whose connections stand, or stood.
func (r *run) standing() []*sender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stood)
}

func (r *run) connected() []Connected {
	all := []Connected{}
	for _, s := range r.standing() {
		all = append(all, s.connected)
	}
	return all
}

// ended notes that a stream has ended.
func (r *run) ended(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = at
}

// patience is how long a stream may drain: until the user loses his.
func (r *run) patience() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.cut)
	unhook := context.AfterFunc(r.stop, func() {
		time.AfterFunc(r.cfg.Linger, func() { cancel(errInterrupted) })
	})
	return ctx, func() { unhook(); cancel(nil) }
}

// total is the number of bytes to send over all streams, -1 where nobody knows.
func (r *run) total() int64 {
	each := int64(-1)
	switch {
	case r.input != nil:
		each = r.input.want
	case r.cfg.Bytes > 0:
		each = r.cfg.Bytes
	}
	if each < 0 {
		return -1
	}
	return each * int64(r.cfg.Parallel)
}

func (r *run) newSource() (source, error) {
	if r.input != nil {
		return r.input.open()
	}
	g := &generator{want: r.cfg.Bytes, now: time.Now}
	if r.cfg.Bytes == 0 {
		g.want, g.until = -1, time.Now().Add(r.cfg.Omit+r.cfg.Time)
	}
	return g, nil
}

// close ends the session and takes its figures.
func (r *run) close() error {
	r.books.stop()
	left, err := r.net.Close()
	r.describeOffload()
	rep, c := &r.report, &left.Counters
	rep.Frames = Frames{Total: left.Frames.Total, Free: left.Frames.Free, Leaked: left.Frames.Leaked, Quarantined: left.Frames.Quarantined}
	rep.Descs = Descriptors{Submitted: c.Submitted, Completed: c.Completed, Quarantined: c.Quarantined, Spurious: c.Spurious + c.Duplicate, OutOfRange: c.OutOfRange}
	rep.Kicks = Kicks{
		OK: c.Kicks[dataplane.KickOK], Again: c.Kicks[dataplane.KickAgain], Dropped: c.Kicks[dataplane.KickDropped],
		Down: c.Kicks[dataplane.KickDown], Dead: c.Kicks[dataplane.KickDead], Rebuilds: c.Rebuilds,
	}
	rep.Rx = Rx{Packets: c.RxPackets, TCP: c.RxTCP, ICMP: c.RxICMP, Unknown: c.RxUnknown, Checksum: c.RxChecksum, Bad: c.RxBad}
	rep.BytesWritten, rep.BytesReleased, rep.BytesDemoted, rep.BytesAborted = c.BytesWritten, c.BytesReleased, c.BytesDemoted, c.BytesAborted
	rep.Hold = holdOf(c)
	rep.LentWhileHeld, rep.RewrittenInFlight = c.LentWhileHeld, left.RewrittenInFlight
	r.describeEvidence(&left)
	r.balance(&left)
	rep.Settings, rep.Restored = left.Settings, left.Restored
	rep.Witnessed = r.cfg.Rewrite || r.wrongMode()
	if r.capture != nil {
		rep.Pcap = &PcapSummary{File: r.cfg.Pcap, Lost: c.TapLost}
	}
	if r.trace != nil {
		rep.Trace = &TraceSummary{File: r.cfg.Trace}
	}
	return err
}

// release closes what prepare opened besides the session.
func (r *run) release() {
	if r.metrics != nil {
		r.metrics.Close()
	}
	if r.input != nil {
		if n := r.input.grew(); n > 0 && r.report.Bytes > 0 {
			r.cfg.Warn(fmt.Sprintf("%s grew while it was sent: the %d bytes that it had at first were sent, the %d new ones weren't", r.input.name, r.input.want, n))
		}
		r.input.close()
	}
	r.closeTrace()
	if r.capture == nil {
		return
	}
	packets, err := r.capture.Close()
	if err != nil {
		r.cfg.Warn(err.Error())
	}
	if r.report.Pcap == nil { // nothing was started, so nothing is left behind
		return
	}
	r.report.Pcap.Packets = packets
	if n := r.report.Pcap.Lost; n > 0 {
		r.cfg.Warn(fmt.Sprintf("capture %s: %d packets are missing: writing it was slower than sending", r.cfg.Pcap, n))
	}
}
