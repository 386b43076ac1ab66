package tcp

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Scripts that must be refused, and scripts that must fail: a runner that passes those
// proves nothing with the others.

// played runs the lines of a script over a connection that is open, and gives the error.
func played(t *testing.T, text string) error {
	t.Helper()
	sc, err := parseScript("x.pkt", text)
	if err != nil {
		t.Fatal(err)
	}
	return sc.play(stageRegion(t))
}

// wantError wants an error that holds every one of parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("passes; want an error with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("want %q in:\n%v", p, err)
		}
	}
}

// What is no script is refused, and the line is named.
func TestScriptRefused(t *testing.T) {
	for line, complaint := range map[string]string{
		"0 frobnicate":                                  `"frobnicate" is no verb`,
		"10 write 5":                                    `"10" is no span of time`,
		"+ write 5":                                     "no span of time",
		"10ms~ > . 1:1(0)":                              `"" is no span of time`,
		"10ms~soon > . 1:1(0)":                          `"soon" is no span of time`,
		"+~10ms > . 1:1(0)":                             `"+" is no span of time`,
		"~10ms > . 1:1(0)":                              `"~10ms" is no verb`,
		"10ms~20 > . 1:1(0)":                            `"20" is no span of time`,
		"10ms~20ms~30ms > . 1:1(0)":                     `"20ms~30ms" is no span of time`,
		"10ms ~ 20ms > . 1:1(0)":                        `"~" is no verb`,
		"20ms~10ms > . 1:1(0)":                          "20ms~10ms is not FROM~TO, the later one last",
		"10ms~10ms > . 1:1(0)":                          "is not FROM~TO",
		"+10ms~5ms > . 1:1(0)":                          "is not FROM~TO",
		"10ms~-20ms > . 1:1(0)":                         "is not FROM~TO",
		"+10ms~+20ms > . 1:1(0)":                        "without a sign",
		"10ms~20ms < . 1:1(0) ack 1":                    "only > has a time from one moment to another",
		"10ms~20ms = cwnd 10":                           "only > has",
		"+10ms~20ms write 5":                            "only > has",
		"10ms~20ms":                                     "only > has",
		"10ms~20ms > .":                                 "a segment is FLAGS",
		"0 > P. 1:1001 ack 1":                           "is not FROM:TO(LENGTH)",
		"0 > P. 1:1001(900) ack 1":                      "are 1000 bytes",
		"0 > P. 1:1001(3*900) ack 1":                    "are 1000 bytes",
		"0 > P. 1:1001(1000)x ack 1":                    "is not FROM:TO(LENGTH)",
		"0 > P. 1:1001(1000) ack":                       "a segment is FLAGS",
		"0 > P. 1:1001(1000) seq 1":                     `field "seq"`,
		"0 > X. 1:1001(1000) ack 1":                     `flag 'X'`,
		"0 > .. 1:1001(1000) ack 1":                     `flag '.'`,
		"0 > P 1:1001(1000) ack 1":                      "ack of a segment without the flag",
		"0 > [ect7] . 1:1(0) ack 1":                     "code point [ect7]",
		"0 > .":                                         "a segment is FLAGS",
		"0 > . 1:1(0) ack 1 <mss 70000>":                "is no number from 0 to 65535",
		"0 > . 1:1(0) ack 1 <wscale 15>":                "is no number from 0 to 14",
		"0 > . 1:1(0) ack 1 <sack>":                     "have mss N",
		"0 > . 1:1(0) ack 1 <sack 1-2>":                 "is not FROM:TO",
		"0 > . 1:1(0) ack 1 <sack 1:2 2:3 3:4 4:5 5:6>": "have mss N",
		"0 > . 1:1(0) ack 1 <TS val 1>":                 "want TS val N ecr N",
		"0 > . 1:1(0) ack 1 <TS val x ecr 1>":           "invalid syntax",
		"0 > . 1:1(0) ack 1 <>":                         "an empty option",
		"0 > . 1:1(0) ack 1 <sackOK":                    "options end with >",
		"0 < . 1:1(0)":                                  "says what it acknowledges",
		"0 < . 1:1(0) ack 1 <TS>":                       "says what it acknowledges, and its timestamps",
		"0 < . 1:1(0) ack 1 win 70000":                  "is no number from 0 to 65535",
		"0 < x* . 1:1(0) ack 1":                         `"x" is no number`,
		"0 < icmp too-big":                              "want icmp NAME quote SEQ",
		"0 < icmp too-small quote 1":                    "no ICMP error too-small",
		"0 < icmp too-big quote x":                      "is not FROM:TO",
		"0 < icmp too-big quote 1 mtu x":                "is no number",
		"0 = cwnd":                                      "is not WORD VALUE",
		"0 = cwnds 5":                                   "no such word",
		"0 = cwnd five":                                 "invalid syntax",
		"0 = cwnd > 5":                                  "one value",
		"0 = srtt 5":                                    "no span of time",
		"0 = timer rto":                                 "want timer NAME SPAN",
		"0 = timer rta 5ms":                             "no timer rta",
		"0 = timer rto soon":                            "no span of time",
		"0 = frame 1":                                   "want frames FIRST-LAST HOLDER",
		"0 = frames 3-1 tcp":                            "is no range of frames",
		"0 = frames 1 lost":                             "holder lost",
		"0 = err odd":                                   "no such ending",
		"0 = cwnd 5,":                                   "is not WORD VALUE",
		"0 write":                                       "want write N",
		"0 write x":                                     "is no number",
		"0 write 5 of 5":                                "have by and at",
		"0 hold":                                        "want hold all",
		"0 hold 5":                                      "is not FROM:TO",
		"0 complete 5:4":                                "is not FROM:TO",
		"0 complete":                                    "want complete all",
		"0 close now":                                   "nothing stands there",
		"0 mtu":                                         "one number",
		"config mms 5":                                  "no such field",
		"config mss x":                                  "invalid syntax",
		"config no-sack yes":                            "is no bool",
		"config rto-min 5":                              "no span of time",
		"config mss":                                    "is no int",
		"peer shy":                                      "have mss, no-mss",
		"peer mss x":                                    "is no number",
		"open":                                          "want open SPAN",
		"open soon":                                     "no span of time",
	} {
		_, err := parseScript("x.pkt", "// a comment\n\n"+line+"\n0 connect\n")
		wantError(t, err, "x.pkt:3: ", complaint)
	}
	_, err := parseScript("x.pkt", "// nothing\n")
	wantError(t, err, "x.pkt: no line has a time")
	_, err = parseScript("x.pkt", "0 connect\nconfig mss 5\n")
	wantError(t, err, "x.pkt:2: config stands before the first event")
}

// Every script of these is wrong in one place, which the error names.
func TestScriptFails(t *testing.T) {
	linearOnly(t)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a segment that does not come": {"open 10ms\n0 write 2000\n> P. 1:2001(2*1000) ack 1\n5ms > . 1:1001(1000) ack 1",
			[]string{"x.pkt:4: at 5ms: ", "want > . 1:1001(1000) ack 1, got nothing", "it waits until "}},
		"too late": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n215ms > P. 1:1001(1000) ack 1",
			[]string{"x.pkt:5: at 210ms: ", "emitted and not named:\n\t210ms > P. 1:1001(1000) ack 1"}},
		"too early": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n209ms > P. 1:1001(1000) ack 1",
			[]string{"x.pkt:5: at 209ms: ", "got nothing; it waits until 210ms"}},
		"after its span": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n200ms~209ms > P. 1:1001(1000) ack 1",
			[]string{"x.pkt:5: at 209ms: ", "want > P. 1:1001(1000) ack 1, got nothing; it waits until 210ms"}},
		"before its span": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n+211ms~220ms > P. 1:1001(1000) ack 1",
			[]string{"x.pkt:5: at 210ms: ", "emitted and not named:\n\t210ms > P. 1:1001(1000) ack 1"}},
		"never in its span": {"open 10ms\n5ms~10ms > P. 1:1001(1000) ack 1", []string{"x.pkt:2: at 10ms: ", "got nothing; it waits for nothing"}},
		"another in its span": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n200ms~220ms > . 1:1001(1000) ack 1",
			[]string{"x.pkt:5: at 210ms: ", "want > . 1:1001(1000) ack 1\n\tgot  > P. 1:1001(1000) ack 1"}},
		"the second of a span": {"open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n0~629ms > P. 1:1001(1000) ack 1\n0~629ms > P. 1:1001(1000) ack 1",
			[]string{"x.pkt:6: at 629ms: ", "got nothing; it waits until 630ms"}},
		"one of a span is not named":     {"open 10ms\n0 write 2000\n0~10ms > . 1:1001(1000) ack 1\n10ms", []string{"x.pkt:4: at 0s: ", "not named:\n\t0s > P. 1001:2001(1000)"}},
		"a span that is over":            {"open 10ms\n5ms\n0~4ms > P. 1:1001(1000) ack 1", []string{"x.pkt:3: ", "before 5ms, where the script stands"}},
		"not named, before an event":     {"open 10ms\n0 write 1000\nclose", []string{"x.pkt:3: at 0s: close", "not named:\n\t0s > P. 1:1001(1000) ack 1"}},
		"not named, before an assertion": {"open 10ms\n0 write 1000\n= cwnd 10", []string{"x.pkt:3: ", "not named"}},
		"not named, at the end":          {"open 10ms\n0 write 1000", []string{"x.pkt:2: ", "not named"}},
		"not named, in a pause":          {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1\n+1s", []string{"x.pkt:4: ", "not named"}},
		"one of many":                    {"open 10ms\n0 write 2000\n> . 1:1001(1000) ack 1", []string{"not named:\n\t0s > P. 1001:2001(1000)"}},
		"one too many":                   {"open 10ms\n0 write 2000\n> P. 1:3001(3*1000) ack 1", []string{"want > . 1001:2001(1000) ack 1\n\tgot  > P. 1001:2001(1000) ack 1"}},
		"flags":                          {"open 10ms\n0 write 1000\n> . 1:1001(1000) ack 1", []string{"x.pkt:3: ", "want > . 1:1001(1000) ack 1\n\tgot  > P. 1:1001(1000) ack 1"}},
		"sequence":                       {"open 10ms\n0 write 1000\n> P. 2:1002(1000) ack 1", []string{"got  > P. 1:1001(1000) ack 1"}},
		"length":                         {"open 10ms\n0 write 1000\n> P. 1:1002(1001) ack 1", []string{"got  > P. 1:1001(1000) ack 1"}},
		"ack":                            {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 2", []string{"got  > P. 1:1001(1000) ack 1"}},
		"window":                         {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1 win 5", []string{"got  > P. 1:1001(1000) ack 1 win 65535"}},
		"options that come":              {"open 10ms\npeer ts 7\n0 write 988\n> P. 1:989(988) ack 1", []string{"got  > P. 1:989(988) ack 1 <TS val 1000 ecr 7>"}},
		"options that don't":             {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1 <TS>", []string{"got  > P. 1:1001(1000) ack 1"}},
		"code point":                     {"open 10ms\n0 write 1000\n> [ect0] P. 1:1001(1000) ack 1", []string{"got  > P. 1:1001(1000) ack 1"}},
		"back in time":                   {"open 10ms\n5ms write 1000\n> P. 1:1001(1000) ack 1\n4ms close", []string{"x.pkt:4: ", "before 5ms, where the script stands"}},
		"segments":                       {"open 10ms\n0 = cwnd 11", []string{"want cwnd = 11, got 10"}},
		"bytes":                          {"open 10ms\n0 = cwnd 9999B", []string{"want cwnd = 9999B, got 10000"}},
		"at most":                        {"open 10ms\n0 = cwnd <= 9", []string{"want cwnd <= 9, got 10"}},
		"at least":                       {"open 10ms\n0 = cwnd >= 11", []string{"want cwnd >= 11, got 10"}},
		"a counter":                      {"open 10ms\n0 = segments-out 7", []string{"want segments-out = 7, got 2"}},
		"a span":                         {"open 10ms\n0 = srtt 11ms", []string{"want srtt = 11ms, got 10ms"}},
		"a word":                         {"open 10ms\n0 = phase loss", []string{"want phase loss, got open"}},
		"the second of two":              {"open 10ms\n0 = phase open, state closed", []string{"want state closed, got established"}},
		"a timer that runs":              {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1\n= timer rto off", []string{"want timer rto off, got 210ms"}},
		"a timer that does not":          {"open 10ms\n0 = timer rto 5ms", []string{"want timer rto 5ms, got off"}},
		"a frame":                        {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1\n= frame 1 released", []string{"want frame 1 released, got tcp"}},
		"a frame too many":               {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1\n= frames 1-2 tcp", []string{"frame 2: 1 were written"}},
		"no frame of the engine":         {"open 10ms\n0 hold all\nclose\n> FP. 1:1(0) ack 1\n= engine-frames 0", []string{"want engine-frames 0, got 1"}},
		"an ending":                      {"open 10ms\n0 = err reset", []string{"want err reset, got <nil>"}},
		"an ending, none":                {"open 10ms\n0 < R 1:1(0)\n= err none", []string{"want err none, got connection reset"}},
		"nothing is held":                {"open 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1\ncomplete 1:1001", []string{"holds no transmission of 1:1001"}},
		"connected already":              {"open 10ms\n0 connect", []string{"connection in use"}},
		"a write that is refused":        {"0 write 5", []string{"x.pkt:1: ", "refused in closed"}},
		"a configuration":                {"config mss 5\n0 connect", []string{"x.pkt:0: ", "before the first event", "bad configuration"}},
		"a bare peer":                    {"peer win 0\nopen 10ms\n0 write 1000\n> P. 1:1001(1000) ack 1", []string{"got nothing"}},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, played(t, c.text), c.want...) })
	}
}

// What comes in its span passes, at either end, and there the script goes on.
func TestScriptSpans(t *testing.T) {
	const head = "open 10ms\npeer no-sack\n0 write 1000\n0~1ms > P. 1:1001(1000) ack 1\n"
	for _, text := range []string{
		"210ms~220ms > P. 1:1001(1000) ack 1\n= timer rto 420ms",
		"200ms~210ms > P. 1:1001(1000) ack 1\n= timer rto 420ms",
		"+10ms~210ms > P. 1:1001(1000) ack 1\n+420ms > P. 1:1001(1000) ack 1",
		"0~1s > P. 1:1001(1000) ack 1\n0~1s > P. 1:1001(1000) ack 1\n630ms = timer rto 840ms",
		"209ms = timer rto 1ms\n0~210ms > P. 1:1001(1000) ack 1",
	} {
		if err := played(t, head+text); err != nil {
			t.Error(err)
		}
	}
	if err := played(t, "config pacing\nopen 10ms\n0 write 24000\n> . 1:10001(10*1000) ack 1\n10ms < . 1:1(0) ack 10001\n"+
		"10ms~20ms > P. 10001:24001(14*1000) ack 1\n20ms = in-flight 14"); err != nil {
		t.Error(err)
	}
}

// What the runner watches over whatever a script says: bytes, books and the kernel's
// packets. A script that is right fails when one of them is broken.
func TestScriptWatches(t *testing.T) {
	linearOnly(t)
	text := "open 10ms\n0 hold all\nwrite 2000\n> P. 1:2001(2*1000) ack 1\n5ms complete 1:1001\n10ms < . 1:1(0) ack 1001\n= frame 1 released"
	if err := played(t, text); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		breakIt func(*stage)
		want    string
	}{
		"a frame is given back while TCP holds it": {breakIt: func(s *stage) { s.book.frames[0].to = 1500 }, want: "frame 1 was released; it ends at 1500, the peer ACKed 1001"},
		"a frame is given back while the kernel holds it": {breakIt: func(s *stage) { s.book.frames[0].out = 1 },
			want: "frame 1 was released; the kernel holds it 1 times"},
		"a frame is nobody's":         {breakIt: func(s *stage) { s.book.frames[0].released = true }, want: "released and is nobody's"},
		"the pool counts differently": {breakIt: func(s *stage) { s.book.frames[1].out = 2 }, want: "frame 2: the kernel holds it 2 times, the pool says 1"},
		"a frame is kept":             {breakIt: func(s *stage) { s.book.frames[1].to, s.book.frames[1].out = 1, 0; s.pool.Complete(s.held[0].tx.Addr) }, want: "frame 2 is ACKed and completed, and was not released"},
		"a packet is written to":      {breakIt: func(s *stage) { s.pool.Bytes(s.held[0].tx.Frame)[payloadAt]++ }, want: "was written to while the kernel held it"},
		"a frame is lost":             {breakIt: func(s *stage) { s.pool.Alloc() }, want: "1 of 512 frames did not come back"},
		"a panic": {breakIt: func(s *stage) {
			s.pool.Complete(s.held[0].tx.Addr)
			s.pool.Drop(s.book.frames[1].frame)
			s.pool.Drop(s.book.frames[1].frame)
		}, want: "panic: "},
	} {
		t.Run(name, func(t *testing.T) {
			sc, err := parseScript("x.pkt", text)
			if err != nil {
				t.Fatal(err)
			}
			sc.steps[3].act = broken(sc.steps[3].act, c.breakIt)
			wantError(t, sc.play(stageRegion(t)), "x.pkt:", c.want)
		})
	}
}

func broken(act func(*stage) error, breakIt func(*stage)) func(*stage) error {
	return func(s *stage) error {
		err := act(s)
		breakIt(s)
		return err
	}
}

// Payload that is not what the writer wrote is seen.
func TestScriptSeesWrongBytes(t *testing.T) {
	sc, err := parseScript("x.pkt", "open 10ms\npeer no-sack\n0 write 1000\n> P. 1:1001(1000) ack 1\n210ms > P. 1:1001(1000) ack 1")
	if err != nil {
		t.Fatal(err)
	}
	sc.steps[1].act = broken(sc.steps[1].act, func(s *stage) {
		s.pool.Bytes(s.book.frames[0].frame)[payloadAt+500] ^= 1
		s.cfg.Resum = true
		s.c.cfg.Resum = true
	})
	wantError(t, sc.play(stageRegion(t)), "byte 500 of the stream is wrong")
}

// The notation reads what it writes.
func TestScriptNotation(t *testing.T) {
	for _, s := range []string{
		"- 1:1(0)", "S 0:0(0) win 5 <mss 1460,sackOK,TS val 1 ecr 4294967295,wscale 14>", "S. 0:0(0) ack 1",
		"FRPEWU. -5:7(12) ack -7 win 65535", ". 1:1(0) ack 1 <sack 1:2 -3:4 5:6 7:8>", "[ce] . 1:1(0) ack 1 <TS>",
	} {
		all, err := parseSegments(s)
		if err != nil || len(all) != 1 || all[0].String() != s {
			t.Errorf("%s: reads as %v, %v", s, all, err)
		}
	}
	all, err := parseSegments("P. 1:31(3*10) ack 1")
	if got := fmt.Sprint(all); err != nil || got != "[. 1:11(10) ack 1 . 11:21(10) ack 1 P. 21:31(10) ack 1]" {
		t.Errorf("%v, %v", got, err)
	}
}

// A script without a paragraph, or with a name that names no area, is refused.
func TestScriptHeads(t *testing.T) {
	const good = "// https://www.rfc-editor.org/rfc/rfc9293#section-3.5\n// what violates this paragraph, and what comes of it, in a sentence\n0 connect"
	for name, c := range map[string]struct{ file, text, want string }{
		"good":      {"area-situation.pkt", good, ""},
		"no link":   {"area-situation.pkt", strings.Replace(good, "https", "http", 1), "links a paragraph"},
		"no words":  {"area-situation.pkt", strings.Replace(good, "what", "\n//", 1)[:60] + "\n0 connect", "links a paragraph"},
		"late":      {"area-situation.pkt", "0 connect\n" + good, "links a paragraph"},
		"bad names": {"situation.pkt", good, "the name is not"},
	} {
		sc, err := parseScript(c.file, c.text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := sc.checkHead(); c.want != "" {
			wantError(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the README says of verbs is what there is.
func TestScriptReadme(t *testing.T) {
	text, err := os.ReadFile(scriptDir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := verbNames()
	for name := range icmpErrors {
		words = append(words, name)
	}
	for name := range askable {
		words = append(words, name)
	}
	for name := range endings {
		words = append(words, name)
	}
	for _, w := range words {
		if !strings.Contains(string(text), "`"+w) {
			t.Errorf("README.md does not say what %s is", w)
		}
	}
}
