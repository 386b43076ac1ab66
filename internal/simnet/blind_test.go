package simnet

import (
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

var forged = flag.Int("simnet.forged", 50_000, "segments that the blind attacker forges")

// transcript is all that an attack could change: each packet with something to say, when
// it left, and what the connection thinks at every 10 ms.
type transcript struct {
	packets []packet
	stats   []tcp.Stats
}

type packet struct {
	at    tcp.Time
	seq   uint32
	n     uint32
	flags uint8
}

// victim is a transfer of about 3 MB/s with loss that depends on what is lost and not on
// what else is sent, and with a NIC and links that nothing else delays: so whatever an
// attack changes is its own doing.
func victim(bytes int, log *transcript) Trial {
	return Trial{
		Seed: 1, Bytes: bytes, Frames: 512, Audit: 997, Congestion: tcp.Reno,
		Forward: LinkConfig{Delay: 10 * ms}, Back: LinkConfig{Delay: 10 * ms},
		Kernel: KernelConfig{Ring: 512, Budget: 512},
		At: []Action{{0, func(r *Run) {
			r.Forward.Filter(loseSome(r))
			r.Forward.Watch(func(frame []byte) { r.onWire(frame); log.packet(r) })
			log.sample(r)
		}}},
	}
}

// loseSome loses one segment in 256, by its sequence number, when it is sent for the first time.
func loseSome(r *Run) func(frame []byte) bool {
	sent := uint32(r.Streams[0].iss) + 1
	var seg wire.Segment
	return func(frame []byte) bool {
		if wire.Parse(frame, false, &seg) != nil || seg.PayloadLen <= 1 {
			return false
		}
		end := seg.Seq + seg.Len()
		fresh := before(sent, end)
		sent = later(sent, end)
		return fresh && Pattern(1).at(uint64(seg.Seq)) == 0
	}
}

// packet takes down what Run.onWire just parsed, unless it is a pure ACK: those are the
// answers to the attacker.
func (l *transcript) packet(r *Run) {
	if s := &r.seg; s.Len() > 0 || s.Flags&wire.FlagRST != 0 {
		l.packets = append(l.packets, packet{r.World.Now(), s.Seq, s.Len(), s.Flags})
	}
}

// sample takes down what the connection thinks, but for what counts forgeries.
func (l *transcript) sample(r *Run) {
	s := r.Streams[0].StatsNow()
	s.SegmentsIn, s.SegmentsOut = 0, 0
	s.OutOfWindow, s.PAWS, s.NoTimestamp, s.Challenges, s.ChallengesLimited, s.ICMPIgnored = 0, 0, 0, 0, 0, 0
	l.stats = append(l.stats, s)
	r.World.After(10*ms, func() { l.sample(r) })
}

// A blind attacker who knows the addresses and ports, and about which sequence numbers are
// in use, changes nothing: each packet leaves when it leaves without the attack, the
// connection thinks what it thinks, and the receiver gets what it gets
// (https://www.rfc-editor.org/rfc/rfc5961, https://www.rfc-editor.org/rfc/rfc5927).
func TestBlindAttacker(t *testing.T) {
	for name, edit := range map[string]func(*Trial){
		"timestamps": func(t *Trial) {},
		"plain-v6":   func(t *Trial) { t.Peer.NoTimestamps, t.Peer.NoSACK, t.IPv6 = true, true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := *forged
			if testing.Short() {
				n /= 20
			}
			without, _, _ := underAttack(t, n, edit, true)
			with, a, r := underAttack(t, n, edit, false)
			without.compare(t, with)
			s := r.Streams[0].StatsNow()
			t.Logf("%d forged %v: %d out of window, %d PAWS, %d without timestamps, %d challenges, %d more not sent, %d ICMP ignored",
				a.sent, a.segments, s.OutOfWindow, s.PAWS, s.NoTimestamp, s.Challenges, s.ChallengesLimited, s.ICMPIgnored)
			if min(s.OutOfWindow, s.Challenges, s.ChallengesLimited, s.ICMPIgnored) == 0 || !r.Trial.Peer.NoTimestamps && min(s.PAWS, s.NoTimestamp) == 0 {
				t.Error("the attack did not meet every defence: it tests too little")
			}
		})
	}
}

// underAttack is a transfer during which n segments are forged.
func underAttack(t *testing.T, n int, edit func(*Trial), spoil bool) (log *transcript, a *attacker, r *Run) {
	log = new(transcript)
	trial := victim(200*n, log) // longer than the attack
	edit(&trial)
	trial.At = append(trial.At, Action{100 * ms, func(r *Run) {
		a = newAttacker(r, 1)
		a.spoil = spoil
		r.Forward.Watch(func(frame []byte) {
			r.onWire(frame)
			log.packet(r)
			a.highest = later(a.highest, r.seg.Seq+r.seg.Len())
		})
		a.highest = uint32(r.Streams[0].iss) + 1 + uint32(r.peerOf(r.Streams[0]).Received())
		a.attack(n, 50*us)
	}})
	r, err := trial.Do()
	if err == nil {
		err = r.Complete()
	}
	if err != nil {
		t.Fatalf("spoiled %v, %d of %d forged: %v", spoil, a.sent, n, err)
	}
	if a.sent < n {
		t.Fatalf("the transfer was over when %d of %d were forged", a.sent, n)
	}
	return log, a, r
}

// compare fails at the first difference.
func (l *transcript) compare(t *testing.T, other *transcript) {
	t.Helper()
	if slices.Equal(l.packets, other.packets) && slices.Equal(l.stats, other.stats) {
		t.Logf("%d packets and %d samples are the same", len(l.packets), len(l.stats))
		return
	}
	for i := range min(len(l.packets), len(other.packets)) {
		if l.packets[i] != other.packets[i] {
			t.Errorf("packet %d: %+v, under attack %+v", i, l.packets[i], other.packets[i])
			break
		}
	}
	for i := range min(len(l.stats), len(other.stats)) {
		if l.stats[i] != other.stats[i] {
			t.Errorf("after %d ms: %+v\nunder attack: %+v", i*10, l.stats[i], other.stats[i])
			break
		}
	}
	t.Errorf("%d packets, %d samples; under attack %d and %d", len(l.packets), len(l.stats), len(other.packets), len(other.stats))
}

// The controls: who knows one number of the three does harm, and it is seen.
func TestInformedAttackerIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(a *attacker)
		harm  func(r *Run) bool
	}{
		"the sequence number that we expect": {
			func(a *attacker) {
				a.send(segment(&a.peers, &wire.Header{Seq: a.expected(), Flags: wire.FlagRST}, 0))
			},
			func(r *Run) bool { return errors.Is(r.Streams[0].Err(), tcp.ErrReset) },
		},
		"one that is outstanding": {
			func(a *attacker) {
				a.send(TooBig(segment(&a.ours, &wire.Header{Seq: a.highest - 1, Flags: wire.FlagACK}, 1000), 600))
			},
			func(r *Run) bool { return r.Streams[0].StatsNow().PathMTU == 600 },
		},
		"our window, what is outstanding, and a timestamp": {
			func(a *attacker) {
				h := wire.Header{Seq: a.expected() + 1, Ack: a.highest, Flags: wire.FlagACK, Window: 65535, Options: wire.PutTimestamps(nil, a.peer.clock(), 0)}
				a.send(segment(&a.peers, &h, 0))
			},
			func(r *Run) bool { return r.Findings().BeforeACK > 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			trial := victim(2_000_000, new(transcript))
			var a *attacker
			trial.At = append(trial.At, Action{105 * ms, func(r *Run) { // what was sent at 100 ms is still on its way
				a = newAttacker(r, 1)
				a.highest = uint32(r.Streams[0].iss) + 1 + uint32(r.Streams[0].StatsNow().BytesSent)
				c.forge(a)
			}}, Action{3 * tcp.Second, func(r *Run) { r.Poller.Abort(r.World.Now(), r.Streams[0].Stream) }})
			r, err := trial.Do()
			if err != nil {
				t.Fatal(err)
			}
			if !c.harm(r) {
				t.Errorf("it did no harm: %s", r.state())
			}
		})
	}
}
