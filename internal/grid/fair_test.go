package grid

import "testing"

func TestFairness(t *testing.T) {
	races := func(mixed, own float64, lost uint64) FairResult {
		return FairResult{Goal: FairGoal, Races: []Race{
			{Flows: [2]string{Xsend, Linux}, Share: mixed}, {Flows: [2]string{Xsend, Xsend}, Share: own, Unintended: lost},
			{Flows: [2]string{Xsend, Linux}, Share: mixed}, {Flows: [2]string{Xsend, Xsend}, Share: 1 - own},
		}}
	}
	for _, c := range []struct {
		name string
		r    FairResult
		met  bool
	}{
		{"even", races(0.5, 0.5, 0), true},
		{"at the goal", races(0.35, 0.36, 0), true},
		{"xsend gets too little", races(0.34, 0.5, 0), false},
		{"xsend takes too much", races(0.66, 0.5, 0), false},
		{"two of xsend apart", races(0.5, 0.7, 0), false},
		{"a packet got lost by itself", races(0.5, 0.5, 1), false},
	} {
		if c.r.conclude(); c.r.Met != c.met {
			t.Errorf("%s: %+v", c.name, c.r)
		}
	}
}

func TestFairDefaults(t *testing.T) {
	var c FairConfig
	c.setDefaults()
	if err := c.validate(); err != nil || c.Queue != 165 || c.wire().Forward.Queue != 165 || c.wire().Forward.Rate != 100_000_000 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []FairConfig{{Congestion: "vegas"}, {Rate: MaxRate + 1}, {Rounds: -1}, {RTT: -1}} {
		bad.setDefaults()
		if bad.validate() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
