package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/pattern"
)

// patterned are the pattern's first bytes.
func patterned(n int) []byte {
	b := make([]byte, n)
	pattern.At(b, 0)
	return b
}

func local(c net.Conn) netip.AddrPort { return c.LocalAddr().(*net.TCPAddr).AddrPort() }

// verdictOf asks until the connection has ended.
func verdictOf(t *testing.T, addr string, conn netip.AddrPort) Verdict {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		v, err := Ask(t.Context(), addr, []netip.AddrPort{conn})
		if err != nil {
			t.Fatal(err)
		}
		if v[0].State == StateEnded {
			return v[0]
		}
	}
	t.Fatalf("%v never ended", conn)
	return Verdict{}
}

func TestVerdicts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := start(t, ctx, Config{Verify: true, SkipHash: true})
	damaged := patterned(3 << 20)
	damaged[1_000_000] ^= 1
	damaged[2_000_000] ^= 0x80
	for _, c := range []struct {
		name  string
		sent  []byte
		wrong Comparison
	}{
		{"right", patterned(5<<20 + 3), Comparison{0, -1}},
		{"damaged", damaged, Comparison{2, 1_000_000}},
		{"shifted by a byte", patterned(100_000)[1:], Comparison{0, 0}},
		{"nothing", nil, Comparison{0, -1}},
		{"a part of the greeting", []byte(greeting[:5]), Comparison{5, 0}},
	} {
		conn := dial(t, r.addr)
		if _, err := conn.Write(c.sent); err != nil {
			t.Fatal(err)
		}
		conn.CloseWrite()
		v := verdictOf(t, r.addr, local(conn))
		if c.name == "shifted by a byte" { // a few bytes are the same by chance
			if v.FirstWrong != 0 || v.WrongBytes < 99_000 {
				t.Errorf("%s: %+v", c.name, v)
			}
		} else if v.Comparison != c.wrong || v.Bytes != int64(len(c.sent)) || v.Err != "" {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	cancel()
	<-r.done
	if s := Summarize("", r.results); len(s.Streams) != 5 || s.Wrong != 3 || s.Streams[1].Conn != 2 {
		t.Errorf("questions are no connections: %+v", s)
	}
}

func TestVerdictOfWhatIsOpenOrUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := start(t, ctx, Config{Verify: true})
	conn := dial(t, r.addr)
	conn.Write(patterned(1000))
	stranger := netip.MustParseAddrPort("192.0.2.1:9")
	for {
		v, err := Ask(t.Context(), r.addr, []netip.AddrPort{local(conn), stranger})
		if err != nil {
			t.Fatal(err)
		}
		if v[1].State != StateUnknown || v[1].FirstWrong != -1 {
			t.Fatalf("%+v", v)
		}
		if v[0].State == StateOpen { // its first byte may not have come yet
			break
		}
	}
	conn.SetLinger(0) // a reset
	conn.Close()
	if v := verdictOf(t, r.addr, local(conn)); v.Err == "" || v.Bytes > 1000 || v.WrongBytes != 0 {
		t.Errorf("%+v", v)
	}
	if v, err := Ask(t.Context(), r.addr, nil); err != nil || len(v) != 0 {
		t.Errorf("nothing asked: %v, %v", v, err)
	}
	if _, err := Ask(t.Context(), r.addr, make([]netip.AddrPort, 300)); err == nil || !strings.Contains(err.Error(), "refuses") {
		t.Errorf("too much asked: %v", err)
	}
}

// TestWhoAnswersNoQuestions: a sink without Verify takes the question for data, and ends.
func TestWhoAnswersNoQuestions(t *testing.T) {
	r := start(t, t.Context(), Config{Count: 1})
	if _, err := Ask(t.Context(), r.addr, nil); !errors.Is(err, ErrNoVerdict) {
		t.Errorf("a sink without Verify: %v", err)
	}
	if res := r.wait(t); res[0].Bytes != int64(len(greeting))+1 || res[0].Err != "" {
		t.Errorf("%+v", res[0])
	}
	if _, err := Ask(t.Context(), r.addr, nil); err == nil || errors.Is(err, ErrNoVerdict) {
		t.Errorf("nobody: %v", err)
	}
}

// TestCountWithQuestions: questions don't count, and who has said nothing when all have come is sent away.
func TestCountWithQuestions(t *testing.T) {
	r := start(t, t.Context(), Config{Count: 2, Verify: true})
	silent := dial(t, r.addr)
	send(t, r.addr, patterned(100))
	for range 3 {
		if _, err := Ask(t.Context(), r.addr, nil); err != nil {
			t.Fatal(err)
		}
	}
	send(t, r.addr, patterned(200))
	res := r.wait(t)
	if len(res) != 2 || res[0].Bytes != 100 || res[1].Bytes != 200 || res[1].Conn != 2 {
		t.Errorf("%+v", res)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection got something")
	}
}

func TestQuestionsHaveBounds(t *testing.T) {
	for name, text := range map[string]string{
		"no end":       "10.0.0.1:1\n",
		"no address":   "10.0.0.1\n\n",
		"too many":     strings.Repeat("10.0.0.1:1\n", maxAsked+1) + "\n",
		"a long line":  strings.Repeat("x", maxQuestion+1) + "\n\n",
		"long, at all": strings.Repeat("[fd77:7873::1%a-zone-of-some-sixty-bytes-so-that-there-are-many-bytes-in-all]:1\n", maxAsked) + "\n",
	} {
		if asked, err := readQuestion(strings.NewReader(text)); err == nil || asked != nil {
			t.Errorf("%s: %v, %v", name, asked, err)
		}
	}
	whole := strings.Repeat("[fd77:7873::1]:65535\n", maxAsked) + "\nrest"
	if asked, err := readQuestion(strings.NewReader(whole)); err != nil || len(asked) != maxAsked {
		t.Errorf("%d, %v", len(asked), err)
	}
}

func TestSameAddress(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10.0.0.1:1", "10.0.0.1:1", true}, {"10.0.0.1:1", "[::ffff:10.0.0.1]:1", true}, {"[fe80::1%a]:1", "[fe80::1%b]:1", true},
		{"10.0.0.1:1", "10.0.0.1:2", false}, {"10.0.0.1:1", "10.0.0.2:1", false},
	} {
		if sameAddress(at(c.a), at(c.b)) != c.want {
			t.Errorf("%s and %s: not %v", c.a, c.b, c.want)
		}
	}
}

// TestVerdictNames pins the names that programs read.
func TestVerdictNames(t *testing.T) {
	got, err := json.Marshal(Verdicts{Schema: VerdictSchema, Connections: []Verdict{{
		Remote: netip.MustParseAddrPort("10.0.0.1:1"), State: StateEnded, Bytes: 5, Seconds: 2, Comparison: Comparison{1, 3}, Err: "e",
	}}})
	const want = `{"schema":"xsend.verdict/1","connections":[{"remote":"10.0.0.1:1","state":"ended","bytes":5,"seconds":2,"wrong_bytes":1,"first_wrong":3,"error":"e"}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

// FuzzQuestion: whatever stands behind the greeting, what is taken from it is within bounds and means the same when it
// is asked again.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte("10.0.0.1:40000\n[fe80::1%eth0]:1\n\n"))
	f.Add([]byte("\n"))
	f.Add([]byte("10.0.0.1:1\r\n\r\n"))
	f.Add([]byte("10.0.0.1:99999\n\n"))
	f.Add([]byte("10.0.0.1:1 65536\n\n"))
	f.Add([]byte("10.0.0.1:1 65537\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		asked, err := readQuestion(bytes.NewReader(text))
		if err != nil {
			if asked != nil {
				t.Errorf("%v with %v", asked, err)
			}
			return
		}
		var again bytes.Buffer
		if err := writeQuestion(&again, asked); err != nil || len(asked) > maxAsked {
			t.Fatalf("%d asked, %v", len(asked), err)
		}
		again.Next(len(greeting))
		if again.Len() > maxQuestion { // an address may be spelled longer than it was
			return
		}
		if got, err := readQuestion(&again); err != nil || !slices.Equal(got, asked) {
			t.Errorf("asked again: %v, %v, want %v", got, err, asked)
		}
	})
}

// FuzzAnswer: an answer is for what was asked, or none.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"schema":"xsend.verdict/1","connections":[{"remote":"10.0.0.1:1","state":"ended","bytes":5}]}`))
	f.Add([]byte(`{"schema":"xsend.verdict/1","connections":[],"error":"no"}`))
	f.Add([]byte(`{"schema":"xsend.verdict/1","connections":[{"remote":"10.0.0.2:1"}]}`))
	asked := []Query{{Remote: netip.MustParseAddrPort("10.0.0.1:1")}}
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := parseAnswer(text, asked); err == nil && (len(v) != 1 || v[0].Remote != asked[0].Remote) {
			t.Errorf("%+v", v)
		}
	})
}

// slowConn is a peer that begins like a question and then says nothing until its deadline.
type slowConn struct {
	net.Conn
	said []byte
}

func (s *slowConn) Read(b []byte) (int, error) {
	if len(s.said) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, s.said[:1])
	s.said = s.said[1:]
	return n, nil
}

func (s *slowConn) SetReadDeadline(time.Time) error { return nil }

func TestWhoStopsInTheGreetingIsData(t *testing.T) {
	b, question := begin(t.Context(), &slowConn{said: []byte(greeting[:7])})
	if question || b.err != nil || string(b.head) != greeting[:7] {
		t.Errorf("%+v, %v", b, question)
	}
	b, question = begin(t.Context(), &slowConn{said: []byte(greeting + "rest")})
	if !question || string(b.head) != greeting {
		t.Errorf("%+v, %v", b, question)
	}
	b = &begun{head: []byte("ab"), err: io.ErrUnexpectedEOF}
	if all, err := io.ReadAll(io.LimitReader(b, 2)); string(all) != "ab" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v: an error must not get lost", n, err)
	}
}
