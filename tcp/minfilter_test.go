package tcp

import (
	"math/rand/v2"
	"testing"
)

// Against a filter that keeps every sample: never less than the truth, and the truth
// exactly while the least sample is young.
func TestMinFilter(t *testing.T) {
	const window = 100
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var f minFilter
		var all []timed
		now := Time(0)
		for range 300 {
			now += Time(r.IntN(12))
			v := Duration(100 + r.IntN(1000))
			all = append(all, timed{now, v})
			got, least := f.update(now, v, window), timed{0, 1 << 30}
			for _, s := range all {
				if now-s.at <= window && s.value <= least.value {
					least = s
				}
			}
			if got < least.value {
				t.Fatalf("%d is less than any sample of the window", got)
			}
			if f.best[0].at < now-window {
				t.Fatalf("a sample of %d at %d", f.best[0].at, now)
			}
		}
	}
}

// A path that gets longer is believed after a window, and one that gets shorter at once.
func TestMinFilterFollows(t *testing.T) {
	var f minFilter
	for now := Time(0); now < 300; now += 5 {
		v := Duration(10)
		if now >= 100 {
			v = 20
		}
		got := f.update(now, v, 100)
		if now < 195 && got != 10 || now > 201 && got != 20 {
			t.Fatalf("%d at %d", got, now)
		}
	}
	if f.update(300, 5, 100) != 5 {
		t.Fatal("a shorter path is not seen")
	}
}
