package sink

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// roundsOf asks for the rounds of a connection that brought b.
func roundsOf(t *testing.T, addr string, b []byte, round int64) Verdict {
	t.Helper()
	conn := dial(t, addr)
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	conn.CloseWrite()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		v, err := AskRounds(t.Context(), addr, []Query{{local(conn), round}})
		if err != nil {
			t.Fatal(err)
		}
		if v[0].State == StateEnded {
			return v[0]
		}
	}
	t.Fatal("the connection never ended")
	return Verdict{}
}

func TestRounds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := start(t, ctx, Config{Verify: true, SkipHash: true})
	const round = 16 << 10
	right := patterned(10*round + 5)
	for name, c := range map[string]struct {
		spoil   [][2]int // offset, bytes
		hit     int64
		extents [][2]int64
	}{
		"right":             {nil, 0, nil},
		"one byte":          {[][2]int{{3*round + 7, 1}}, 1, [][2]int64{{3*round + 7, 3*round + 8}}},
		"the last byte":     {[][2]int{{10*round + 4, 1}}, 1, [][2]int64{{10*round + 4, 10*round + 5}}},
		"two rounds":        {[][2]int{{round - 1, 2}}, 2, [][2]int64{{round - 1, round}}},
		"two parts":         {[][2]int{{100, 50}, {5000, 10}, {8 * round, 1}}, 2, [][2]int64{{100, 150}, {5000, 5010}}},
		"near each other":   {[][2]int{{100, 50}, {160, 10}}, 1, [][2]int64{{100, 170}}},
		"everything":        {[][2]int{{0, 10*round + 5}}, 11, [][2]int64{{0, round}}},
		"behind a long way": {[][2]int{{0, 1}, {9 * round, round}}, 2, [][2]int64{{0, 1}}},
	} {
		sent := slices.Clone(right)
		wrong := int64(0)
		for _, s := range c.spoil {
			for i := range s[1] {
				sent[s[0]+i] ^= 0xff
			}
			wrong += int64(s[1])
		}
		v := roundsOf(t, r.addr, sent, round)
		if v.WrongBytes != wrong || v.Rounds == nil || v.Rounds.All != 11 || v.Rounds.Hit != c.hit || v.Rounds.Bytes != round {
			t.Errorf("%s: %+v, %+v", name, v, v.Rounds)
			continue
		}
		if wrong == 0 {
			if v.Rounds.Sample != nil {
				t.Errorf("%s: a sample: %+v", name, v.Rounds.Sample)
			}
			continue
		}
		s := v.Rounds.Sample
		at := int64(c.spoil[0][0])
		end := min(at+sampleBytes, int64(len(sent)), (at/round+1)*round)
		if s.Offset != at || !slices.Equal(s.Extents, c.extents) || s.Arrived != hex.EncodeToString(sent[at:end]) || time.Since(s.Seen) > time.Minute {
			t.Errorf("%s: %+v, want %v", name, s, c.extents)
		}
	}
}

// The rounds counted from grains are those counted byte by byte.
func TestRoundsAreCountedRight(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var d damage
		round := int64(1+random.IntN(100)) * RoundGrain
		want := map[int64]bool{}
		at := int64(0)
		for i := range random.IntN(200) {
			at += 1 + random.Int64N(1+random.Int64N(200_000))
			if i == 0 {
				d.begin(at, nil)
			}
			d.note(at)
			want[at/round] = true
		}
		if got := d.hit(round); got != int64(len(want)) {
			t.Fatalf("%d rounds of %d bytes, want %d", got, round, len(want))
		}
	}
}

// What is remembered is bounded, and what was not remembered is said.
func TestDamageIsBounded(t *testing.T) {
	var d damage
	d.begin(0, nil)
	for i := range int64(3 * mostExtents) {
		d.note(i * 2 * nearby)
	}
	if len(d.extents) != mostExtents {
		t.Errorf("%d extents", len(d.extents))
	}
	d.note(mostGrains * RoundGrain)
	var v Verdict
	v.addRounds(RoundGrain, 1<<40, &d)
	if !strings.Contains(v.Err, "64 GiB") || len(d.grains) > 100 {
		t.Errorf("%q, %d words", v.Err, len(d.grains))
	}
}

func TestWrongRounds(t *testing.T) {
	for _, line := range []string{"10.0.0.1:1 0", "10.0.0.1:1 -1024", "10.0.0.1:1 1025", "10.0.0.1:1 x", "10.0.0.1:1  1024", "10.0.0.1:1 "} {
		if q, err := readQuery(line); err == nil {
			t.Errorf("%q: %+v", line, q)
		}
	}
	asked := []Query{{netip.MustParseAddrPort("10.0.0.1:1"), 1024}}
	const answer = `{"schema":"xsend.verdict/1","connections":[{"remote":"10.0.0.1:1","state":"ended","bytes":5}]}`
	if _, err := parseAnswer([]byte(answer), asked); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an answer without rounds: %v", err)
	}
}
