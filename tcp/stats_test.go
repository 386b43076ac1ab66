package tcp

import "testing"

// What congestion control does has a name at every moment; what loss recovery does has its own.
func TestCongestionState(t *testing.T) {
	h := flightOf(t, 20, func(c *Config, _ *harness) { c.Congestion, c.Rate, c.NoPacing = Reno, 1_000_000_000, true })
	want := func(state, phase string) {
		t.Helper()
		if st := h.c.Stats(); st.CongestionState != state || st.Phase != phase || st.PacingRate != 1_000_000_000 {
			t.Fatalf("%s, %s, paced with %d; want %s, %s", st.CongestionState, st.Phase, st.PacingRate, state, phase)
		}
	}
	want("slow-start", "open")
	h.ack(0, [2]int{4 * mss, 20 * mss})
	if h.c.Stats().Phase != "recovery" {
		t.Fatalf("phase %s", h.c.Stats().Phase)
	}
	h.out = nil
	h.advance(Millisecond)
	h.ack(20 * mss)
	want("avoidance", "open")
	f := flightOf(t, 2, func(c *Config, _ *harness) { c.Congestion = Fixed })
	if st := f.c.Stats(); st.CongestionState != "fixed" || st.PacingRate != 0 {
		t.Fatalf("%s, paced with %d", st.CongestionState, st.PacingRate)
	}
}
