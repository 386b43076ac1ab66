package units

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "4096": 4096, "1K": 1024, "1k": 1024, "16M": 16 << 20, "1.5G": 3 << 29, "2T": 2 << 40,
		"9223372036854775807": 1<<63 - 1, "0.5K": 512, "1e3": 1000, "1e3K": 1024000, "1.9": 1,
	} {
		if got, err := ParseBytes(s); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "K", "-1", "-1K", "1Q", "1 K", "1KB", "NaN", "Inf", "9223372036854775808", "9T9", "0x10", "1_000", "8388608T", "∞"} {
		if got, err := ParseBytes(s); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", s, got)
		}
	}
}

func TestParseBitRate(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "100M": 100e6, "2.5g": 25e8, "950k": 950e3, "8": 8} {
		if got, err := ParseBitRate(s); err != nil || got != want {
			t.Errorf("ParseBitRate(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	if _, err := ParseBitRate("100M/s"); err == nil {
		t.Error("a rate with a unit was accepted")
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "250": 250 * time.Millisecond, "0.5": 500 * time.Microsecond, "2s": 2 * time.Second, "1m30s": 90 * time.Second,
	} {
		if got, err := ParseTime(s, time.Millisecond); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	if got, err := ParseTime("10", time.Second); err != nil || got != 10*time.Second {
		t.Errorf("ten seconds: %v, %v", got, err)
	}
	for _, s := range []string{"", "-1", "-1s", "1x", "NaN", "1e300", "+Inf"} {
		if got, err := ParseTime(s, time.Second); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", s, got)
		}
	}
}

func TestParseVLAN(t *testing.T) {
	for s, want := range map[string]uint16{"0": 0, "1": 1, "7": 7, "010": 10, "4094": 4094} {
		if got, err := ParseVLAN(s); got != want || err != nil {
			t.Errorf("ParseVLAN(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "+1", "4095", "4096", "65536", "18446744073709551616", "0x7", "7.0", "seven", " 7"} {
		if got, err := ParseVLAN(s); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q: give a number from 0 to 4094", s)) {
			t.Errorf("ParseVLAN(%q) = %d, %v; want an error", s, got, err)
		}
	}
}

// TestParseDSCP compares with the registry of code points.
func TestParseDSCP(t *testing.T) {
	for s, want := range map[string]uint8{
		"0": 0, "63": 63, "0x2e": 46, "056": 46, "cs0": 0, "cs1": 8, "CS5": 40, "cs7": 56, "be": 0, "le": 1,
		"af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26, "af32": 28, "af33": 30,
		"AF41": 34, "af42": 36, "af43": 38, "ef": 46, "va": 44,
	} {
		if got, err := ParseDSCP(s); err != nil || got != want {
			t.Errorf("ParseDSCP(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "64", "-1", "cs8", "af10", "af14", "af51", "af", "cs", "expedited", "46.0"} {
		if got, err := ParseDSCP(s); err == nil {
			t.Errorf("ParseDSCP(%q) = %d, want an error", s, got)
		}
	}
}

func TestPrint(t *testing.T) {
	for want, got := range map[string]string{
		"0 B": Bytes(0), "1023 B": Bytes(1023), "1.00 KiB": Bytes(1024), "16.0 MiB": Bytes(16 << 20), "8.00 EiB": Bytes(1<<63 - 1),
		"0 bit/s": BitRate(0), "9.41 Gbit/s": BitRate(9.41e9), "950 Mbit/s": BitRate(950e6), "5000 Tbit/s": BitRate(5e15),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "16M", "1.5G", "af11", "cs5", "0x2e", "2s", "-1", "NaN", "1e309", "K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseBytes(s); err == nil && n < 0 {
			t.Errorf("ParseBytes(%q) = %d", s, n)
		}
		if n, err := ParseBitRate(s); err == nil && n < 0 {
			t.Errorf("ParseBitRate(%q) = %d", s, n)
		}
		if d, err := ParseTime(s, time.Second); err == nil && d < 0 {
			t.Errorf("ParseTime(%q) = %v", s, d)
		}
		if v, err := ParseDSCP(s); err == nil && v > maxDSCP {
			t.Errorf("ParseDSCP(%q) = %d", s, v)
		}
	})
}
