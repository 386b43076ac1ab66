package main

import (
	"fmt"
	"strings"

	"github.com/xsend/xsend/vm/capture"
)

// What a scenario can expect of a run. In each of them the receiver's stream is right: a late clone
// of acknowledged bytes is discarded there, so a broken promise shows on the wire and in the
// sender's own count, not at the sink.
const (
	intact       = "intact"        // nothing changed under the NIC
	intactResent = "intact-resent" // the same, and bytes were sent twice, so that it proves something
	broken       = "broken"        // memory changed before its last transmission
	byNIC        = "by-nic"        // copy mode: nothing changed, and the NIC computed the checksums, by the kprobe's evidence
	byKernel     = "by-kernel"     // the same, and the kernel did
)

var expectations = []string{intact, intactResent, broken, byNIC, byKernel}

// judge says what is wrong with a run; nothing means that it is as expected.
func judge(r run) (problems []string) {
	blame := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, c := range []func(run, func(string, ...any)){judgeSink, judgeSender, judgeChecksums, judgeWire} {
		c(r, blame)
	}
	return problems
}

func judgeSink(r run, blame func(string, ...any)) {
	sum, err := r.sink.text("sha256")
	switch {
	case err != nil:
		blame("sink: %v", err)
	case sum != r.want:
		blame("the sink received SHA-256 %s, sent was %s", sum, r.want)
	}
}

// judgeSender holds the sender to its own figures.
func judgeSender(r run, blame func(string, ...any)) {
	figure := func(path string) int64 {
		n, err := r.send.number(path)
		if err != nil {
			blame("send: %v", err)
		}
		return n
	}
	want := "zerocopy"
	if r.asks() {
		want = "copy"
	}
	if mode, err := r.send.text("mode"); err != nil || mode != want {
		blame("send: mode %q (%v), expected %s", mode, err, want)
	}
	if written, released := figure("bytes_written"), figure("bytes_released")+figure("bytes_demoted"); written != released {
		blame("send: %d bytes written, %d released", written, released)
	}
	if n := figure("frames.leaked"); n != 0 {
		blame("send: %d frames leaked", n)
	}
	submitted, back := figure("descriptors.submitted"), figure("descriptors.completed")+figure("descriptors.quarantined")
	if submitted != back {
		blame("send: %d descriptors submitted, %d completed or quarantined", submitted, back)
	}
	lent, rewritten := figure("lent_while_held"), figure("rewritten_in_flight")
	if r.expect != broken && lent+rewritten != 0 {
		blame("send: lent_while_held %d, rewritten_in_flight %d, expected none", lent, rewritten)
	}
}

// judgeChecksums holds a run that leaves its checksums to others to who did them, on what evidence: the canary's, and the
// kprobe's with a control that hits.
func judgeChecksums(r run, blame func(string, ...any)) {
	if !r.asks() {
		return
	}
	knob, err := r.send.knob("checksum")
	if err != nil {
		blame("send: %v", err)
		return
	}
	where, _ := knob.text("where")
	evidence, _ := knob.text("evidence")
	if "by-"+where != r.expect {
		blame("send: checksums were computed by %q", where)
	}
	none := strings.Contains(evidence, "kprobe on skb_checksum_help: 0 calls")
	for _, part := range []string{"canary proved", "kprobe on skb_checksum_help: ", "control 3 of 3 before and 3 of 3 after"} {
		if !strings.Contains(evidence, part) {
			blame("send: the evidence does not say %q", part)
		}
	}
	if none != (r.expect == byNIC) {
		blame("send: the evidence does not fit: %s", evidence)
	}
}

func judgeWire(r run, blame func(string, ...any)) {
	if len(r.wire.Flows) == 0 {
		blame("wire: no connection to port %d", r.port)
	}
	if r.wire.Orphan+r.wire.Broken > 0 {
		blame("wire: %d segments without a SYN, %d frames that hold no whole segment", r.wire.Orphan, r.wire.Broken)
	}
	changed, resent := 0, 0
	for _, f := range r.wire.Flows {
		judgeStream(r, f, blame)
		judgeTags(r, f, blame)
		changed += len(f.Differing) + f.BadChecksums + f.BadProbes
		resent += f.Resent
		if r.expect != broken {
			judgeUnchanged(f, blame)
			judgeProbes(r, f, blame)
		}
	}
	rewritten, _ := r.send.number("rewritten_in_flight")
	switch {
	case r.expect == intactResent && resent == 0:
		blame("wire: nothing was sent twice, so the run proves nothing")
	case r.expect == broken && changed == 0 && rewritten == 0:
		blame("nothing changed in flight, neither on the wire nor by the sender's count: the control has no power")
	}
}

func judgeStream(r run, f *capture.Flow, blame func(string, ...any)) {
	if !f.Complete() || f.Stray > 0 || f.Reset {
		blame("wire: stream complete %t, stray segments %d, reset %t", f.Complete(), f.Stray, f.Reset)
	}
	if sum := fmt.Sprintf("%x", f.SHA256()); sum != r.want {
		blame("wire: %d bytes left first as SHA-256 %s, sent was %s", f.Length(), sum, r.want)
	}
}

// judgeTags holds every frame of the sender to the VLAN of the run.
func judgeTags(r run, f *capture.Flow, blame func(string, ...any)) {
	all, right := f.Bare, f.Bare
	for _, n := range f.Tags {
		all += n
	}
	if r.vlan != 0 {
		right = f.Tags[r.vlan]
	}
	if right != all {
		blame("wire: %d of the sender's %d frames are in VLAN %d (0: none): tags %v, %d without", right, all, r.vlan, f.Tags, f.Bare)
	}
}

// judgeProbes looks for poisoned probes: a canary has to have sent some, and nobody else may.
func judgeProbes(r run, f *capture.Flow, blame func(string, ...any)) {
	switch {
	case r.asks() && (f.BadProbes == 0 || f.BadProbes == f.Probes):
		blame("wire: %d of %d probes have a wrong TCP checksum: no canary was sent", f.BadProbes, f.Probes)
	case !r.asks() && f.BadProbes > 0:
		blame("wire: %d of the sender's probes have a wrong TCP checksum", f.BadProbes)
	}
}

func judgeUnchanged(f *capture.Flow, blame func(string, ...any)) {
	if f.BadChecksums > 0 {
		blame("wire: %d of the sender's segments have a wrong TCP checksum", f.BadChecksums)
	}
	if n := len(f.Differing); n > 0 {
		blame("wire: %d resent ranges carried different bytes, the first at %d, %d long", n, f.Differing[0].Offset, f.Differing[0].Length)
	}
}
