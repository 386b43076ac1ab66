package netem

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		m    Impairment
		want string // in the error; "" for none
	}{
		{Impairment{}, ""},
		{Impairment{Loss: 100, Reorder: 100, Duplicate: 100, Corrupt: 100, Delay: MaxDelay, Jitter: MaxDelay, Hold: MaxDelay, Rate: maxRate, Queue: maxQueue, Mark: maxQueue}, ""},
		{Impairment{Loss: -1}, "loss of -1 percent"},
		{Impairment{Reorder: 101}, "reorder of 101 percent"},
		{Impairment{Duplicate: math.NaN()}, "duplicate of NaN"},
		{Impairment{Corrupt: math.Inf(1)}, "corrupt of +Inf"},
		{Impairment{Delay: MaxDelay + 1}, "choose 0 to 1s"},
		{Impairment{Delay: -1}, "delay of -1ns"},
		{Impairment{Delay: time.Millisecond, Jitter: time.Millisecond + 1}, "up to the delay, which is 1ms"},
		{Impairment{Hold: -1}, "hold"},
		{Impairment{Rate: -1}, "rate"},
		{Impairment{Rate: maxRate + 1}, "rate"},
		{Impairment{Rate: 1, Queue: -1}, "queue"},
		{Impairment{Rate: 1, Queue: maxQueue + 1}, "choose 1 to"},
		{Impairment{Queue: 5}, "without a rate"},
		{Impairment{Mark: 5}, "marks from 5 packets on without a rate"},
		{Impairment{Rate: 1, Mark: -1}, "marks from -1 packets"},
		{Impairment{Rate: 1, Mark: maxQueue + 1}, "choose 1 to"},
	} {
		for name, cfg := range map[string]Config{"forward": {Forward: c.m}, "reverse": {Reverse: c.m}} {
			err := cfg.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %+v: %v, want %q", name, c.m, err, c.want)
			}
		}
	}
}

// TestConfigSurvivesJSON: it goes to the wire's process as text.
func TestConfigSurvivesJSON(t *testing.T) {
	want := Config{Seed: math.MaxUint64, Forward: Impairment{Loss: 0.1, Delay: 40 * time.Millisecond, Rate: 200e6, Queue: 3, All: true}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s became %+v, %v", text, got, err)
	}
}

func TestSeedIsChosenOnce(t *testing.T) {
	if a, b := seeded(Config{}), seeded(Config{}); a.Seed == 0 || a.Seed == b.Seed {
		t.Errorf("seeds %d and %d", a.Seed, b.Seed)
	}
	if got := seeded(Config{Seed: 3}); got.Seed != 3 {
		t.Errorf("seed %d, want the one given", got.Seed)
	}
}
