package faulttest

import (
	"slices"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Kind is what goes wrong.
type Kind uint8

// The kinds.
const (
	None       Kind = iota
	Lost            // a completion never comes
	Twice           // a completion comes again
	Stray           // a completion of Config.Stray comes, which was not submitted
	OutOfRange      // a completion comes of an address behind the memory
	Late            // a completion comes Config.LateBy late
	Refused         // a descriptor reaches the kernel with an option that no kernel knows: completed, and not sent
	Rewritten       // a byte of payload changes before the kernel reads it, and is as it was when the completion was seen
)

// Config says what goes wrong when.
type Config struct {
	Kind   Kind
	After  int             // full packets that go well before
	Region *umem.Region    // with Stray, OutOfRange and Rewritten: what descriptors point into
	Stray  umem.Frame      // with Stray
	LateBy tcp.Duration    // with Late
	Now    func() tcp.Time // with Late: the poller's clock
}

// full is the least length of a packet that counts: with payload.
const full = 1000

// noneSuch is a descriptor option that no kernel knows.
const noneSuch = 1 << 15

// Fault goes wrong once, over however many ports of a queue that is opened again.
type Fault struct {
	cfg  Config
	seen int    // full packets so far
	addr uint64 // of the one that it happens to
	last uint64 // of its last byte
	due  tcp.Time
	at   stage
}

type stage uint8

const (
	waiting stage = iota
	chosen        // the descriptor is out
	kept          // its completion came, and waits
	changed       // the completion was handed on, and the byte is to be put back
	over
)

// New makes a fault.
func New(cfg Config) *Fault { return &Fault{cfg: cfg} }

// Happened reports that it did.
func (f *Fault) Happened() bool { return f.at > chosen }

// Wrap puts a port around p.
func (f *Fault) Wrap(p dataplane.Port) *Port { return &Port{Port: p, fault: f} }

// Port is a dataplane.Port in which the fault happens.
type Port struct {
	dataplane.Port
	fault *Fault
}

// Refused is what the port inside says.
func (p *Port) Refused() uint64 { return dataplane.Refused(p.Port) }

// Tx implements dataplane.Port.
func (p *Port) Tx(descs []umem.Desc) {
	if i := p.fault.choose(descs); i >= 0 {
		descs = slices.Clone(descs)
		p.fault.spoil(&descs[i])
	}
	p.Port.Tx(descs)
}

// choose is the descriptor that it happens to; -1: none of these.
func (f *Fault) choose(descs []umem.Desc) int {
	for i, d := range descs {
		if d.Len < full || f.at != waiting || f.cfg.Kind == None {
			continue
		}
		if f.seen++; f.seen > f.cfg.After {
			f.at, f.addr, f.last = chosen, d.Addr, d.Addr+uint64(d.Len)-1
			return i
		}
	}
	return -1
}

func (f *Fault) spoil(d *umem.Desc) {
	switch f.cfg.Kind {
	case Refused:
		d.Options |= noneSuch
	case Rewritten:
		f.flip()
	}
}

// flip changes a byte of the payload, and changes it back.
func (f *Fault) flip() { f.cfg.Region.Memory()[f.last] ^= 0xff }

// Reap implements dataplane.Port.
func (p *Port) Reap(addrs []uint64) int {
	f := p.fault
	if f.at == kept && f.cfg.Now() >= f.due {
		f.at, addrs[0] = over, f.addr
		return 1
	}
	n := p.Port.Reap(addrs[:len(addrs)-1]) // room for one more
	if f.at != chosen {
		return n
	}
	if i := slices.Index(addrs[:n], f.addr); i >= 0 {
		return f.happen(addrs, n, i)
	}
	return n
}

// Rx implements dataplane.Port. It comes between a completion and what is sent because of it: a byte that was changed is put back.
func (p *Port) Rx(descs []umem.Desc) int {
	if f := p.fault; f.at == changed {
		f.flip()
		f.at = over
	}
	return p.Port.Rx(descs)
}

// happen is the fault, where it is one of completions: addrs[i] of n is that of the chosen descriptor. It returns how
// many are handed on.
func (f *Fault) happen(addrs []uint64, n, i int) int {
	f.at = over
	switch f.cfg.Kind {
	case Late:
		f.at, f.due = kept, f.cfg.Now()+f.cfg.LateBy
		fallthrough
	case Lost:
		copy(addrs[i:n], addrs[i+1:n])
		return n - 1
	case Twice:
		addrs[n] = f.addr
	case Stray:
		addrs[n] = f.cfg.Region.Addr(f.cfg.Stray)
	case OutOfRange:
		addrs[n] = uint64(len(f.cfg.Region.Memory()))
	case Rewritten:
		f.at = changed
		return n
	default:
		return n
	}
	return n + 1
}
