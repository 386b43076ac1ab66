package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/matrix"
)

// matrix runs "xsend matrix" at the sender's end.
func (r *rig) matrix(to string, args ...string) *proc {
	r.t.Helper()
	return r.start(lab.Sender, nil, append([]string{"matrix", "veth-a", to, "--checksum", "sw", "-t", "0.2"}, args...)...)
}

func (p *proc) matrix() (res matrix.Result) {
	p.t.Helper()
	p.want(0)
	if err := json.Unmarshal([]byte(p.out.String()), &res); err != nil {
		p.t.Fatalf("%v: %s", err, p.out.String())
	}
	return res
}

// noTSO is the reason of rows with TSO on an interface without checksums.
const noTSO = "set tx-tcp-segmentation=on: refused: the kernel keeps it off"

// TestMatrix: every copy cell is measured and every byte of it compared; zero-copy cells are rows with the reason; and so
// is TSO, which an interface without checksums can't have.
func TestMatrix(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{})
	s, to := r.sink("--verify", "--no-hash")
	dir := t.TempDir()
	state, page := filepath.Join(dir, "state"), filepath.Join(dir, "page.html")
	p := r.matrix(to, "--turns", "2", "--state", state, "--html", page, "--json")
	res := p.matrix()
	for _, row := range res.Rows {
		switch {
		case row.Mode == "zerocopy" && row.Attach == "native":
			reasoned(t, row, "operation not supported")
		case row.Mode == "zerocopy":
			reasoned(t, row, "zero-copy needs a native XDP program")
		case row.TSO == "on":
			reasoned(t, row, noTSO)
		default:
			measured(t, row, 2)
		}
	}
	if len(res.Rows) != 14 || res.Done != 7 || res.Impossible != 7 || res.MTU != 1500 || res.Driver != "veth" {
		t.Errorf("%+v", res)
	}
	if text := p.err.String(); !strings.Contains(text, "28/28") || !strings.Contains(text, "ETA 0s") {
		t.Errorf("progress: %q", text)
	}
	if b, err := os.ReadFile(page); err != nil || strings.Count(string(b), "<svg") != 3 || !strings.Contains(string(b), "operation not supported") {
		t.Errorf("page: %d bytes, %v", len(b), err)
	}
	// Going on with a whole state runs nothing, whatever is printed.
	again := r.matrix(to, "--turns", "2", "--state", state, "--csv")
	again.want(0)
	if lines, err := csv.NewReader(strings.NewReader(again.out.String())).ReadAll(); err != nil || len(lines) != 15 || again.err.String() != "" {
		t.Errorf("%d lines, %v, said %q", len(lines), err, again.err.String())
	}
	r.matrix(to, "--state", state, "-t", "0.3").want(2, state, "give another file")
	s.signal(syscall.SIGINT)
	s.want(130)
	if n := s.report().number(t, "bytes"); n < float64(res.Rows[0].Bytes) {
		t.Errorf("the sink has %v bytes", n)
	}
	r.clean()
}

func reasoned(t *testing.T, row matrix.Row, why string) {
	t.Helper()
	if row.Outcome != matrix.Impossible || !strings.Contains(row.Reason, why) || row.N != 0 || row.Refused != 2 {
		t.Errorf("%v: %+v, want the reason %q", row.Cell, row, why)
	}
}

func measured(t *testing.T, row matrix.Row, n int) {
	t.Helper()
	if row.Outcome != matrix.Done || row.N != n || row.Bytes < 1<<20 || row.WrongBytes != 0 || row.FirstWrong != -1 {
		t.Errorf("%v: %+v", row.Cell, row)
	}
	b := row.BitsPerSecond
	if b.Low <= 0 || b.Median < b.Low || b.High < b.Median || row.Packets.Median < 100 || row.UserPerGB.Median+row.SystemPerGB.Median <= 0 {
		t.Errorf("%v: %+v", row.Cell, row)
	}
	if row.Sender == matrix.Xsend && (row.Kicks == nil || row.Kicks.Median <= 0 || row.Kicks.Median > 2) {
		t.Errorf("%v: kicks %+v", row.Cell, row.Kicks)
	}
	active := func(name string) string {
		for _, k := range row.Knobs {
			if k.Name == name {
				return string(k.Active)
			}
		}
		return ""
	}
	if row.Sender == matrix.Xsend && (active("sg") != row.SG || active("mode") != row.Mode || active("attach") != row.Attach) {
		t.Errorf("%v: %+v", row.Cell, row.Knobs)
	}
	if row.Sender == matrix.Linux && (active("congestion") != "cubic" || active("tso") != row.TSO || active("gso") != row.TSO) {
		t.Errorf("%v: %+v", row.Cell, row.Knobs)
	}
}

// TestMatrixOfJumboPackets: without scatter-gather they are refused, with it they arrive whole.
func TestMatrixOfJumboPackets(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{MTU: 9000})
	_, to := r.sink("--verify", "--no-hash")
	res := r.matrix(to, "--mode", "copy", "--turns", "2", "--json").matrix()
	for _, row := range res.Rows {
		switch {
		case row.SG == "off":
			reasoned(t, row, "9000")
		case row.TSO == "on":
			reasoned(t, row, noTSO)
		default:
			measured(t, row, 2)
			if row.MSS < 8900 {
				t.Errorf("%v: MSS %d", row.Cell, row.MSS)
			}
		}
	}
	if res.Done != 5 || res.Impossible != 5 {
		t.Errorf("%d done, %d impossible", res.Done, res.Impossible)
	}
	r.clean()
}

// TestMatrixToASmallReceiver: rows of jumbo packets that the peer doesn't take are labelled, for people and for programs.
func TestMatrixToASmallReceiver(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{MTU: 9000})
	if err := r.SetEndMTU(lab.Receiver, 1500); err != nil {
		t.Fatal(err)
	}
	_, to := r.sink("--verify", "--no-hash")
	const why = "segments carry 1448 of 8948 bytes: peer's MSS 1460, with timestamps"
	args := []string{"--mode", "copy", "--sg", "on", "--attach", "generic", "--turns", "1"}
	res := r.matrix(to, append(args, "--json")...).matrix()
	for _, row := range res.Rows {
		if row.N > 0 && (row.Limited != why || row.MSS != 1448) || row.N == 0 && row.TSO != "on" {
			t.Errorf("%v: %+v", row.Cell, row)
		}
	}
	p := r.matrix(to, args...)
	p.want(0, why)
	if strings.Count(p.out.String(), "LIMITED: "+why) != res.Done || !strings.Contains(p.out.String(), "with smaller segments than their MTU allows") || strings.Contains(p.out.String(), "default") {
		t.Error(p.out.String())
	}
	for _, text := range []string{"--set, too", "give that with"} { // a flag that it hasn't got
		if strings.Contains(p.out.String(), text) {
			t.Errorf("%q in %s", text, p.out.String())
		}
	}
	r.clean()
}

// TestMatrixSetsTSO on and off, and puts it back, also where it is interrupted; then it goes on.
func TestMatrixSetsTSO(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{TxChecksum: true, Segmentation: true})
	_, to := r.sink("--verify", "--no-hash")
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"--mode", "copy", "--attach", "generic", "--sg", "off", "--turns", "1", "--state", state, "--json"}
	p := r.matrix(to, args...)
	p.says("5/7") // it is at a row with TSO off
	p.signal(syscall.SIGINT)
	p.want(130)
	r.segmented()
	again := r.matrix(to, args...)
	res := again.matrix()
	if len(res.Rows) != 7 || res.Done != 7 || strings.Contains(again.err.String(), "5/7") {
		t.Errorf("%+v; said %q", res, again.err.String())
	}
	for _, row := range res.Rows {
		measured(t, row, 1)
	}
	r.segmented()
	r.clean()
}

// segmented fails the test unless TSO and GSO of the sender's interface are on.
func (r *rig) segmented() {
	r.t.Helper()
	s, err := lab.ReadStatus(r.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	if !s.Sender.Segmentation {
		r.t.Error("TSO and GSO are off")
	}
}

// TestMatrixOfAllCells: whatever checksum, layout, attachment and MTU, a row is a figure of right bytes or a refusal with its reason, with the offloads of
// both ends off, and on. Everything is as before afterwards.
func TestMatrixOfAllCells(t *testing.T) {
	for name, cfg := range map[string]lab.Config{"off": {}, "on": {TxChecksum: true, Segmentation: true}} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			r := newRig(t, cfg)
			if err := r.SetEndMTU(lab.Receiver, 9000); err != nil {
				t.Fatal(err)
			}
			before := r.nic()
			_, to := r.sink("--verify", "--no-hash")
			res := r.start(lab.Sender, nil, "matrix", "veth-a", to, "--mode", "copy", "--mtu", "1500,9000", "-t", "0.1", "--turns", "1", "--json").matrix()
			for _, row := range res.Rows {
				switch {
				case row.Checksum == "kernel" && row.SG == "on":
					refused(t, row, "of packets of several descriptors the kernel sums the first only")
				case row.SG == "off" && row.MTU == 9000:
					refused(t, row, "a frame of 4096 carries 3818: leave --sg off out")
				case row.TSO == "on" && !cfg.Segmentation:
					refused(t, row, noTSO)
				default:
					arrived(t, row)
				}
			}
			if n := 3 * 2 * 2 * 2; len(res.Rows) != n+12 || res.Done+res.Impossible != n+12 {
				t.Errorf("%d rows, %d done, %d impossible", len(res.Rows), res.Done, res.Impossible)
			}
			if after := r.nic(); after != before {
				t.Errorf("afterwards %+v, want %+v", after, before)
			}
			r.clean()
			empty(t, dir)
		})
	}
}

// refused fails the test unless a row of one turn is impossible for that reason.
func refused(t *testing.T, row matrix.Row, why string) {
	t.Helper()
	if row.Outcome != matrix.Impossible || !strings.Contains(row.Reason, why) || row.N != 0 || row.Refused != 1 {
		t.Errorf("%v: %+v, want the reason %q", row.Cell, row, why)
	}
}

// arrived fails the test unless a row has figures, and right bytes in packets of its MTU.
func arrived(t *testing.T, row matrix.Row) {
	t.Helper()
	if row.Outcome != matrix.Done || row.N != 1 || row.Bytes == 0 || row.WrongBytes != 0 || row.BitsPerSecond.Median <= 0 || row.MSS < row.MTU-60 || row.MSS >= row.MTU {
		t.Errorf("%v: %+v", row.Cell, row)
	}
	if len(row.Knobs) < 3 {
		t.Errorf("%v: %+v", row.Cell, row.Knobs)
	}
}

// TestMatrixThatIsKilled at a row of the kernel's TCP: the guardian puts TSO, GSO and MTU back.
func TestMatrixThatIsKilled(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{TxChecksum: true, Segmentation: true})
	before := r.nic()
	_, to := r.sink("--verify", "--no-hash")
	p := r.start(lab.Sender, nil, "matrix", "veth-a", to, "--checksum", "sw", "--mode", "copy", "--attach", "generic", "--sg", "off", "--mtu", "1400", "-t", "1", "--turns", "1")
	p.says("4/7") // the next one is the first without TSO
	r.becomes("without TSO, at an MTU of 1400", func(s nicState) bool {
		return s.mtu == 1400 && !s.has("tx-tcp-segmentation") && !s.has("tx-generic-segmentation")
	})
	p.signal(syscall.SIGKILL)
	p.want(-1, "was killed; veth-a restored: exact (")
	if after := r.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	r.clean()
	empty(t, dir)
}

// TestMatrixNeedsForce where the machine is reached by the interface and its MTU is to be set; it goes to rows of both senders.
func TestMatrixNeedsForce(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{TxChecksum: true, Segmentation: true})
	_, to := r.sink("--verify", "--no-hash")
	t.Setenv("SSH_CONNECTION", "10.77.0.2 50000 10.77.0.1 22")
	args := []string{"matrix", "veth-a", to, "--checksum", "sw", "--mode", "copy", "--attach", "generic", "--sg", "off", "--mtu", "1400", "-t", "0.1", "--turns", "1", "--json"}
	for _, row := range r.start(lab.Sender, nil, args...).matrix().Rows {
		refused(t, row, "set mtu 1400: could cut this machine off: the SSH connection")
	}
	for _, row := range r.start(lab.Sender, nil, append(args, "--force")...).matrix().Rows {
		arrived(t, row)
	}
	r.clean()
}

// TestMatrixFinds what went wrong: a receiver that takes data and gives no verdicts, and one that ends in the middle.
func TestMatrixFinds(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{})
	_, plain := r.sink()
	r.matrix(plain).want(2, plain, "answers no questions", "xsend sink --verify")
	s, to := r.sink("--verify", "--no-hash")
	p := r.matrix(to, "--mode", "copy", "--attach", "generic", "--turns", "1")
	p.says("1/8")
	s.signal(syscall.SIGTERM)
	p.want(1, "failed", "8/8")
	if out := p.out.String(); !strings.Contains(out, "failed") || !strings.Contains(out, "COARSE") || !strings.Contains(out, noTSO) {
		t.Errorf("printed %q", out)
	}
	r.clean()
}

func TestMatrixPrice(t *testing.T) {
	r := newRig(t, lab.Config{})
	p := r.matrix("10.77.0.2:9", "--dry-run", "--mtu", "1500,9000", "--turns", "5", "--time", "10")
	p.want(0)
	for _, want := range []string{"28 rows (16 of xsend, 12 of the kernel's TCP), 5 turns of 10 s each: 140 runs, about 25.7 minutes", "MTU is set to 9000 for 70 runs, and put back to 1500", "TSO and GSO"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("no %q in %q", want, p.out.String())
		}
	}
	var price matrix.Price
	asJSON := r.matrix("10.77.0.2:9", "--dry-run", "--json")
	asJSON.want(0)
	if err := json.Unmarshal([]byte(asJSON.out.String()), &price); err != nil || price.Rows != 14 || price.Turns != 3 {
		t.Errorf("%+v, %v", price, err)
	}
	r.clean()
}

func TestMatrixBadInput(t *testing.T) {
	r := newRig(t, lab.Config{})
	_, to := r.sink("--verify")
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []bad{
		{"no arguments", nil, 2, []string{"arg(s)", "--help"}},
		{"no target", []string{"veth-a"}, 2, []string{"arg(s)", "--help"}},
		{"no such interface", []string{"eth99", to}, 2, []string{"eth99", "no such", "veth-a"}},
		{"no port", []string{"veth-a", "10.77.0.2"}, 2, []string{"10.77.0.2", "HOST:PORT"}},
		{"port 0", []string{"veth-a", "10.77.0.2:0"}, 2, []string{`"0"`, "1 to 65535"}},
		{"no host", []string{"veth-a", ":9000"}, 2, []string{"no host", "HOST:PORT"}},
		{"unknown host", []string{"veth-a", "no-such-host.invalid:9000"}, 2, []string{"no-such-host.invalid"}},
		{"no route", []string{"veth-a", "192.0.2.1:9000"}, 2, []string{"192.0.2.1", "no route"}},
		{"nobody there", []string{"veth-a", "10.77.0.2:9"}, 2, []string{"10.77.0.2:9", "refused", "xsend sink --verify"}},
		{"loopback", []string{"lo", to}, 2, []string{"lo", "Ethernet"}},
		{"--checksum", []string{"veth-a", to, "--checksum", "sw,best"}, 2, []string{"--checksum best", "sw, hw, kernel"}},
		{"--sg", []string{"veth-a", to, "--sg", "auto"}, 2, []string{"--sg auto", "off, on"}},
		{"--mode", []string{"veth-a", to, "--mode", "auto"}, 2, []string{"--mode auto", "copy, zerocopy"}},
		{"--attach twice", []string{"veth-a", to, "--attach", "native,native"}, 2, []string{"--attach native", "twice"}},
		{"--mtu", []string{"veth-a", to, "--mtu", "1500,9"}, 2, []string{"--mtu 9", "68 to 65535"}},
		{"--mtu nonsense", []string{"veth-a", to, "--mtu", "big"}, 2, []string{"--mtu", "big"}},
		{"--mtu empty", []string{"veth-a", to, "--mtu", ""}, 2, []string{"--mtu"}},
		{"--time 0", []string{"veth-a", to, "--time", "0"}, 2, []string{"--time 0", "100ms to 1h"}},
		{"--time", []string{"veth-a", to, "--time", "2h"}, 2, []string{"--time 2h", "100ms to 1h"}},
		{"--turns 0", []string{"veth-a", to, "--turns", "0"}, 2, []string{"--turns 0", "1 to 1000"}},
		{"--turns", []string{"veth-a", to, "--turns", "-1"}, 2, []string{"--turns -1", "1 to 1000"}},
		{"--json and --csv", []string{"veth-a", to, "--json", "--csv"}, 2, []string{"--json and --csv", "choose one"}},
		{"page", []string{"veth-a", to, "--html", dir + "/none/x.html"}, 2, []string{dir + "/none/x.html", "give another"}},
		{"foreign state", []string{"veth-a", to, "--state", foreign}, 2, []string{foreign, "give another file"}},
		{"state in no directory", []string{"veth-a", to, "--state", dir + "/none/x"}, 2, []string{dir + "/none/x", "no such file"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := &rig{t, r.Lab}
			p := at.start(lab.Sender, nil, append([]string{"matrix"}, row.args...)...)
			p.want(row.code, row.texts...)
			if out := p.out.String(); out != "" {
				t.Errorf("printed %q on standard output", out)
			}
		})
	}
	if left, _ := filepath.Glob(dir + "/*"); !slices.Equal(left, []string{foreign}) {
		t.Errorf("left behind: %q", left)
	}
	r.clean()
}
