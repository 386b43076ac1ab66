package transfer

import (
	"context"
	"io"
	"math"
	"time"

	"github.com/xsend/xsend/internal/pattern"
)

// generator is the source of a pattern.
type generator struct {
	offset int64
	want   int64 // bytes; -1: until the deadline
	until  time.Time
	now    func() time.Time
}

func (g *generator) size() int64 { return g.want }

func (g *generator) fill(_ context.Context, into [][]byte) (int, error) {
	left := int64(math.MaxInt64)
	switch {
	case g.want >= 0:
		left = g.want - g.offset
	case !g.now().Before(g.until):
		return 0, io.EOF
	}
	filled := 0
	for _, b := range into {
		b = b[:min(int64(len(b)), left)]
		pattern.At(b, g.offset)
		filled, left, g.offset = filled+len(b), left-int64(len(b)), g.offset+int64(len(b))
	}
	if left == 0 {
		return filled, io.EOF
	}
	return filled, nil
}
