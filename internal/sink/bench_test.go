package sink

import (
	"io"
	"testing"
)

// BenchmarkLoopback measures one connection over loopback: what the receiver can take.
func BenchmarkLoopback(b *testing.B) {
	for name, cfg := range map[string]Config{
		"sha256":     {Count: 1},
		"count only": {Count: 1, SkipHash: true},
		"discard":    {Count: 1, SkipHash: true, Out: io.Discard},
	} {
		b.Run(name, func(b *testing.B) {
			block := make([]byte, 1<<20)
			b.SetBytes(int64(len(block)))
			done := make(chan error, 1)
			ln, err := Config{Listen: "127.0.0.1:0"}.listen(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			cfg.Listener = ln
			go func() { _, err := Run(b.Context(), cfg); done <- err }()
			c := dial(b, ln.Addr().String())
			for b.Loop() {
				if _, err := c.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
