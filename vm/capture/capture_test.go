package capture

import (
	"bytes"
	"crypto/sha256"
	"math/rand"
	"reflect"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/vm/capture/capturetest"
)

// flowOf reads what was recorded, which must be one connection and nothing else.
func flowOf(t *testing.T, r *capturetest.Recording) *Flow {
	t.Helper()
	c, err := Read(&r.File, capturetest.SinkPort)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Flows) != 1 || c.Orphan+c.Broken != 0 {
		t.Fatalf("capture: %d connections, %d orphans, %d broken frames; want 1, 0, 0", len(c.Flows), c.Orphan, c.Broken)
	}
	return c.Flows[0]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func stream(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(1)).Read(b)
	return b
}

func TestStreamIsPutTogetherInAnyOrder(t *testing.T) {
	for name, set := range map[string]func(*capturetest.Recording){
		"ipv4": func(*capturetest.Recording) {},
		"ipv6": func(r *capturetest.Recording) { r.IPv6 = true },
		"vlan": func(r *capturetest.Recording) { r.VLAN = true },
	} {
		t.Run(name, func(t *testing.T) {
			r, want := capturetest.New(t), stream(5000)
			set(r)
			r.SYN()
			r.Answer(layers.TCP{SYN: true, ACK: true, Ack: r.ISS + 1})
			r.Data(0, want[:1000])
			r.Data(3000, want[3000:4000])
			r.Data(2000, want[2000:3000])
			r.ACK(1000)
			r.Data(1000, want[1000:2001]) // its last byte had left already
			r.Data(4000, want[4000:])
			r.FIN(5000)
			f := flowOf(t, r)
			if f.SHA256() != sha256.Sum256(want) || !f.Complete() || f.Length() != 5000 {
				t.Errorf("complete %t, length %d, hash equal %t", f.Complete(), f.Length(), f.SHA256() == sha256.Sum256(want))
			}
			if tags, bare := 7*btoi(r.VLAN), 7*btoi(!r.VLAN); f.Tags[7] != tags || f.Bare != bare || len(f.Tags) != btoi(r.VLAN) {
				t.Errorf("tags %v, %d frames without; want %d and %d", f.Tags, f.Bare, tags, bare)
			}
			if f.Segments != 5 || f.Resent != 1 || f.Retransmitted != 1 || f.Differing != nil || f.BadChecksums != 0 || f.Stray != 0 {
				t.Errorf("flow: %d segments, %d resent, %d bytes, differing %v, %d bad, %d stray", f.Segments, f.Resent, f.Retransmitted, f.Differing, f.BadChecksums, f.Stray)
			}
		})
	}
}

func TestResentSegments(t *testing.T) {
	want := stream(3000)
	flipped := bytes.Clone(want)
	flipped[1500] ^= 1
	marked := bytes.Repeat([]byte{0xee}, 3000)
	for name, c := range map[string]struct {
		again     []byte
		differing []Range
	}{
		"the same bytes":   {want[1000:2000], nil},
		"one flipped byte": {flipped[1000:2000], []Range{{Offset: 1500, Length: 1}}},
		"a marker":         {marked[1000:2000], []Range{{Offset: 1000, Length: 1000}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := capturetest.New(t)
			r.SYN()
			r.Data(0, want)
			r.ACK(1000)
			r.Data(1000, c.again)
			r.FIN(3000)
			f := flowOf(t, r)
			if !reflect.DeepEqual(f.Differing, c.differing) {
				t.Errorf("differing %v, want %v", f.Differing, c.differing)
			}
			if f.Resent != 1 || f.Retransmitted != 1000 || f.SHA256() != sha256.Sum256(want) {
				t.Errorf("%d resent, %d bytes, first transmission kept %t", f.Resent, f.Retransmitted, f.SHA256() == sha256.Sum256(want))
			}
		})
	}
}

func TestEveryFlippedBitIsABadChecksum(t *testing.T) {
	for _, ipv6 := range []bool{false, true} {
		good := capturetest.New(t)
		good.IPv6 = ipv6
		frame := good.Encode(layers.TCP{Seq: good.ISS + 1, SrcPort: good.From, DstPort: capturetest.SinkPort, ACK: true}, stream(100))
		for bit := 0; bit < 100*8; bit++ {
			r := capturetest.New(t)
			r.IPv6 = ipv6
			r.SYN()
			bad := bytes.Clone(frame)
			bad[len(bad)-1-bit/8] ^= 1 << (bit % 8)
			r.Frame(frame)
			r.Frame(bad)
			if f := flowOf(t, r); f.BadChecksums != 1 || len(f.Differing) != 1 {
				t.Fatalf("ipv6 %t, bit %d: %d bad checksums, differing %v, want 1 and one range", ipv6, bit, f.BadChecksums, f.Differing)
			}
		}
	}
}

func TestMissingBytesAreNotComplete(t *testing.T) {
	want := stream(3000)
	for name, send := range map[string]func(*capturetest.Recording){
		"hole":        func(r *capturetest.Recording) { r.Data(0, want[:1000]); r.Data(2000, want[2000:]); r.FIN(3000) },
		"no FIN":      func(r *capturetest.Recording) { r.Data(0, want) },
		"short":       func(r *capturetest.Recording) { r.Data(0, want[:2999]); r.FIN(3000) },
		"only a SYN":  func(*capturetest.Recording) {},
		"missing end": func(r *capturetest.Recording) { r.FIN(3000) },
	} {
		t.Run(name, func(t *testing.T) {
			r := capturetest.New(t)
			r.SYN()
			send(r)
			if f := flowOf(t, r); f.Complete() {
				t.Errorf("complete, although %s", name)
			}
		})
	}
}

func TestProbeIsNoRetransmission(t *testing.T) {
	r, want := capturetest.New(t), stream(1000)
	r.SYN()
	r.Data(0, want)
	r.ACK(1000)
	r.Data(999, []byte{want[999] ^ 0xff}) // asks an acknowledged byte again, with garbage
	r.Data(998, []byte{want[998] ^ 0xff}) // not where a probe stands
	r.FIN(1000)
	if f := flowOf(t, r); f.Probes != 1 || f.Resent != 1 || len(f.Differing) != 1 {
		t.Errorf("%d probes, %d resent, differing %v; want 1, 1, one range", f.Probes, f.Resent, f.Differing)
	}
}

// A probe with a wrong checksum is counted apart from other segments with one.
func TestPoisonedProbes(t *testing.T) {
	r, want := capturetest.New(t), stream(1000)
	spoil := func() { r.File.Bytes()[r.File.Len()-1-10] ^= 1 } // the window: behind it are ten bytes, padding among them
	r.SYN()
	r.ACK(0)
	for range 3 {
		r.Data(-1, []byte{0})
	}
	r.Data(-1, []byte{0})
	spoil()
	r.Data(0, want)
	r.FIN(1000)
	spoil()
	if f := flowOf(t, r); f.Probes != 4 || f.BadProbes != 1 || f.BadChecksums != 1 {
		t.Errorf("%d probes, %d of them wrong, %d others wrong; want 4, 1, 1", f.Probes, f.BadProbes, f.BadChecksums)
	}
}

func TestEmptyStreamIsComplete(t *testing.T) {
	r := capturetest.New(t)
	r.SYN()
	r.FIN(0)
	if f := flowOf(t, r); !f.Complete() || f.SHA256() != sha256.Sum256(nil) {
		t.Errorf("complete %t, hash equal %t", f.Complete(), f.SHA256() == sha256.Sum256(nil))
	}
}

func TestConnectionsAreKeptApart(t *testing.T) {
	r, want := capturetest.New(t), stream(2000)
	r.SYN()
	r.SYN() // resent, the same connection
	r.Data(0, want[:1000])
	r.From++
	r.SYN()
	r.Data(0, want[1000:])
	r.From--
	r.ISS += 1 << 20 // the port used again
	r.SYN()
	c, err := Read(&r.File, capturetest.SinkPort)
	if err != nil || len(c.Flows) != 3 {
		t.Fatalf("%d connections, error %v; want 3", len(c.Flows), err)
	}
	if c.Flows[0].SHA256() != sha256.Sum256(want[:1000]) || c.Flows[1].SHA256() != sha256.Sum256(want[1000:]) {
		t.Error("the streams of two connections are mixed")
	}
}

func TestOddSegmentsAreCounted(t *testing.T) {
	r := capturetest.New(t)
	r.Data(0, stream(10)) // no SYN yet
	r.SYN()
	r.Data(maxAhead+1, stream(10))
	r.Data(-1, stream(10))
	r.Answer(layers.TCP{RST: true})
	whole := r.Encode(layers.TCP{SrcPort: r.From, DstPort: capturetest.SinkPort}, nil)
	r.Frame(whole[:14+20+10]) // IP announces more than the frame holds
	c, err := Read(&r.File, capturetest.SinkPort)
	if err != nil {
		t.Fatal(err)
	}
	if c.Orphan != 1 || c.Broken != 1 || len(c.Flows) != 1 || c.Flows[0].Stray != 2 || !c.Flows[0].Reset {
		t.Errorf("%d orphans, %d broken, flows %+v; want 1, 1, one with 2 stray and a reset", c.Orphan, c.Broken, c.Flows)
	}
}

func TestDamagedFiles(t *testing.T) {
	r := capturetest.New(t)
	r.SYN()
	file := r.File.Bytes()
	cut := bytes.Clone(file)
	cut[24+8]-- // the record's captured length is one byte short of its length
	for name, b := range map[string][]byte{
		"empty":         nil,
		"not a pcap":    []byte("GIF89a and then some more bytes"),
		"cut record":    file[:len(file)-1],
		"short capture": cut[:len(cut)-1],
	} {
		if c, err := Read(bytes.NewReader(b), capturetest.SinkPort); err == nil {
			t.Errorf("%s: read as %+v, want an error", name, c)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, ipv6 := range []bool{false, true} {
		r := capturetest.New(f)
		r.IPv6 = ipv6
		r.SYN()
		r.Data(0, stream(100))
		r.ACK(50)
		r.Data(20, stream(40))
		r.FIN(100)
		f.Add(r.File.Bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Read(bytes.NewReader(file), capturetest.SinkPort)
		if err != nil {
			return
		}
		for _, flow := range c.Flows {
			if flow.Complete() && flow.Length() != flow.end {
				t.Errorf("complete stream of %d bytes, FIN at %d", flow.Length(), flow.end)
			}
			flow.SHA256()
		}
	})
}
