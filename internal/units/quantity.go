package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	binary  = 1024 // sizes
	decimal = 1000 // rates
)

// ParseBytes reads a number of bytes: "4096", "16M", "1.5G". The suffixes K, M, G and T, in either case,
// are powers of 1024. A fraction of a byte is dropped.
func ParseBytes(s string) (int64, error) {
	n, err := parse(s, binary)
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", s, err)
	}
	return n, nil
}

// ParseBitRate reads a rate in bits per second: "950k", "100M", "2.5G". The suffixes are powers of 1000.
func ParseBitRate(s string) (int64, error) {
	n, err := parse(s, decimal)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	return n, nil
}

// ParseTime reads a span of time: a Go duration ("1.5s", "200ms"), or a plain number of unit.
func ParseTime(s string, unit time.Duration) (time.Duration, error) {
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		d := x * float64(unit)
		if !(d >= 0 && d < math.MaxInt64) {
			return 0, fmt.Errorf("time %q: must be from 0 to %v", s, time.Duration(math.MaxInt64).Round(time.Hour))
		}
		return time.Duration(d), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("time %q: give a number, or a duration such as 500ms or 2s", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("time %q: can't be negative", s)
	}
	return d, nil
}

func parse(s string, step float64) (int64, error) {
	digits, factor := s, 1.0
	if i := len(s) - 1; i > 0 {
		if power := strings.IndexByte("KMGT", s[i]&^0x20); power >= 0 {
			digits, factor = s[:i], math.Pow(step, float64(power+1))
		}
	}
	if factor == 1 {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 {
			return n, nil // exact, where a float would round
		}
	}
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.ContainsAny(digits, "xXpP_") {
		return 0, fmt.Errorf("give a number, with K, M, G or T behind it if you like")
	}
	if x *= factor; !(x >= 0 && x < math.MaxInt64) {
		return 0, fmt.Errorf("must be from 0 to %d", math.MaxInt64)
	}
	return int64(x), nil
}

// Bytes prints a size for people: "16.0 MiB".
func Bytes(n int64) string {
	return scaled(float64(n), binary, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// BitRate prints a rate, in bits per second, for people: "9.41 Gbit/s".
func BitRate(bitsPerSecond float64) string {
	return scaled(bitsPerSecond, decimal, []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"})
}

// scaled prints three significant digits.
func scaled(x, step float64, names []string) string {
	i := 0
	for x >= step && i < len(names)-1 {
		x /= step
		i++
	}
	switch {
	case i == 0:
		return fmt.Sprintf("%.0f %s", x, names[i])
	case x < 10:
		return fmt.Sprintf("%.2f %s", x, names[i])
	case x < 100:
		return fmt.Sprintf("%.1f %s", x, names[i])
	default:
		return fmt.Sprintf("%.0f %s", x, names[i])
	}
}
