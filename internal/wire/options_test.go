package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
)

// parseOptions has Parse read an option field, padded with End of Option List to a multiple of 4.
func parseOptions(t testing.TB, b []byte) wire.Options {
	t.Helper()
	opts := append(bytes.Clone(b), make([]byte, -len(b)&3)...)
	var tmpl wire.Template
	tmpl.Init(flow4, wire.Path{})
	buf := make([]byte, wire.MaxHeaderLen)
	n := tmpl.Put(buf, &wire.Header{Options: opts}, 0, 0)
	s := dirty()
	if err := wire.Parse(buf[len(buf)-n:], true, &s); err != nil {
		t.Fatalf("options % x: %v", b, err)
	}
	return s.Options
}

func TestOptions(t *testing.T) {
	mss := wire.Options{HasMSS: true, MSS: 1460}
	broken := wire.Options{HasMSS: true, MSS: 1460, Malformed: true}
	for _, row := range []struct {
		name string
		b    []byte
		want wire.Options
	}{
		{"none", nil, wire.Options{}},
		{"MSS", []byte{2, 4, 5, 180}, mss},
		{"NOPs around", []byte{1, 1, 2, 4, 5, 180, 1, 1}, mss},
		{"behind the end", []byte{2, 4, 5, 180, 0, 3, 3, 7}, mss},
		{"unknown skipped", []byte{254, 6, 2, 4, 9, 9, 2, 4, 5, 180}, mss},
		{"unknown, empty", []byte{99, 2, 2, 4, 5, 180}, mss},
		{"known with a wrong length", []byte{2, 3, 9, 3, 4, 9, 9, 2, 4, 5, 180}, mss},
		{"length 0", []byte{2, 4, 5, 180, 8, 0, 4, 2}, broken},
		{"length 1", []byte{2, 4, 5, 180, 8, 1, 4, 2}, broken},
		{"length beyond", []byte{2, 4, 5, 180, 8, 10, 1, 2}, broken},
		{"length 255", []byte{2, 4, 5, 180, 77, 255, 4, 2}, broken},
		{"kind without length", []byte{2, 4, 5, 180, 1, 1, 1, 8}, broken},
		{"the last counts", []byte{2, 4, 0, 1, 2, 4, 5, 180}, mss},
		{"shift 14", []byte{1, 3, 3, 14}, wire.Options{HasWScale: true, WScale: 14}},
		{"shift 15 counts as 14", []byte{1, 3, 3, 15}, wire.Options{HasWScale: true, WScale: 14}},
		{"shift 255 counts as 14", []byte{1, 3, 3, 255}, wire.Options{HasWScale: true, WScale: 14}},
		{"SACK-permitted", []byte{4, 2, 1, 1}, wire.Options{SACKPermitted: true}},
		{"SACK without a block", []byte{5, 2, 1, 1}, wire.Options{}},
		{"SACK of a block and a half", append([]byte{5, 14}, make([]byte, 12)...), wire.Options{}},
		{"timestamps alone, unaligned", []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1}, wire.Options{HasTS: true, TSVal: 1, TSEcr: 2}},
		{"timestamps, aligned", []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, wire.Options{HasTS: true, TSVal: 1, TSEcr: 2}},
		{"looks aligned, wrong length", []byte{1, 1, 8, 9, 0, 0, 0, 1, 0, 0, 0, 0}, wire.Options{}},
	} {
		if got := parseOptions(t, row.b); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

// TestEncodersFit fills an array of 40 bytes and expects the layouts that everybody sends.
func TestEncodersFit(t *testing.T) {
	var array [wire.MaxOptionLen]byte
	blocks := []wire.SACKBlock{{Start: 1, End: 2}, {Start: 3, End: 4}, {Start: 5, End: 6}, {Start: 7, End: 8}, {Start: 9, End: 10}}
	syn := wire.PutWScale(wire.PutTimestamps(wire.PutSACKPermitted(wire.PutMSS(array[:0], 1460)), 1, 2), 7)
	want := []byte{2, 4, 5, 180, 1, 1, 4, 2, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}
	if !bytes.Equal(syn, want) || &syn[0] != &array[0] {
		t.Errorf("SYN options % x, want % x in the caller's array", syn, want)
	}
	if b := wire.PutWScale(nil, 200); b[3] != wire.MaxWScale {
		t.Errorf("shift %d went out", b[3])
	}
	for room, n := range map[int]int{0: 4, 4: 4, 8: 3, 12: 3, 16: 2, 24: 1, 28: 1, 32: 0, 40: 0} {
		full := wire.PutSACK(array[:room], blocks)
		grown := 4 + 8*n
		if n == 0 {
			grown = 0
		}
		if len(full) != room+grown || &full[:1][0] != &array[0] {
			t.Errorf("behind %d bytes: %d bytes, want %d blocks in the same array", room, len(full)-room, n)
		}
	}
	if b := wire.PutSACK(nil, nil); len(b) != 0 {
		t.Errorf("no blocks took % x", b)
	}
}

// slowOptions reads an option field byte by byte, without what Parse does to be quick.
func slowOptions(b []byte) (w wire.Options) {
	for i := 0; i < len(b) && b[i] != 0; {
		if b[i] == 1 {
			i++
			continue
		}
		if i+1 >= len(b) || b[i+1] < 2 || i+int(b[i+1]) > len(b) {
			w.Malformed = true
			return w
		}
		take(&w, tcpOption(b[i:i+int(b[i+1])]))
		i += int(b[i+1])
	}
	return w
}

func tcpOption(b []byte) layers.TCPOption {
	return layers.TCPOption{OptionType: layers.TCPOptionKind(b[0]), OptionLength: b[1], OptionData: b[2:]}
}

func FuzzOptions(f *testing.F) {
	for seed := range uint64(16) {
		b, _ := newRandom(seed).options()
		f.Add(b)
	}
	f.Add([]byte{8, 0})
	f.Add([]byte{5, 34, 1})
	f.Add([]byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), wire.MaxOptionLen)&^3]
		if got, want := parseOptions(t, b), slowOptions(b); got != want {
			t.Fatalf("% x\ngot  %+v\nwant %+v", b, got, want)
		}
	})
}
