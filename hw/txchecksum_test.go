package hw

import (
	"testing"

	pair "github.com/xsend/xsend/internal/lab"
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
	wantIs(t, err, ErrNoInterface)
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
