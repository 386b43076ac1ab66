package hw

import (
	"encoding/binary"
	"testing"

	pair "github.com/xsend/xsend/internal/lab"
	"golang.org/x/sys/unix"
)

// A veth does nothing in zero-copy, and claims that its device computes checksums until that is turned off.
func TestReadTxChecksum(t *testing.T) {
	l := newLab(t)
	va, err := Lookup("va")
	l.ok(err)
	got, err := ReadTxChecksum(va)
	if err != nil || got != (TxChecksum{Device: true}) {
		t.Errorf("%+v, %v", got, err)
	}
	va.Index, va.Name = 99999, "nosuch"
	_, err = ReadTxChecksum(va)
	wantIs(t, err, unix.ENODEV)
}

// The lab turns it off.
func TestReadTxChecksumOff(t *testing.T) {
	needRoot(t)
	l, err := pair.Up(t.Context(), pair.Config{Name: "hwtx"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Do(pair.Sender, func() error {
		i, err := Lookup(l.Sender().Interface)
		if err != nil {
			return err
		}
		got, err := ReadTxChecksum(i)
		if got != (TxChecksum{}) {
			t.Errorf("%+v", got)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// attribute is one of a message, padded.
func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// The features as a driver has them that no machine here has, and what no kernel sends.
func TestParseXSKFeatures(t *testing.T) {
	eight := binary.NativeEndian.AppendUint64(nil, 6)
	four := binary.NativeEndian.AppendUint32(nil, 2)
	index := attribute(netdevDevIfindex, 3, 0, 0, 0)
	join := func(parts ...[]byte) []byte {
		b := []byte{1, 1, 0, 0}
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	for name, c := range map[string]struct {
		message []byte
		want    uint64
		ok      bool
	}{
		"eight bytes": {join(index, attribute(5, eight...), attribute(6, eight...)), 6, true},
		"four bytes":  {join(attribute(6, four...)), 2, true},
		"none":        {join(index), 0, false},
		"odd size":    {join(attribute(6, 1, 2, 3)), 0, false},
		"cut":         {join(attribute(6, eight...))[:10], 0, false},
		"no header":   {[]byte{1, 1}, 0, false},
		"empty":       {nil, 0, false},
	} {
		if got, ok := parseXSKFeatures(c.message); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %v, want %d, %v", name, got, ok, c.want, c.ok)
		}
	}
}
