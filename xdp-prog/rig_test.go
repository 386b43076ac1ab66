package xdpprog

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// tab is where the counters stood at the last look.
type tab struct {
	outcomes []uint64
	queues   []uint64 // dropped
}

// rig runs a program over frames with BPF_PROG_RUN, in the kernel but without a wire.
// Queue `served` has a real socket, `ours` is in the map.
type rig struct {
	*pair
	objs *steerObjects
	prog *ebpf.Program
	tab  *tab
}

func newRig(t testing.TB) *rig {
	t.Helper()
	p := newPair(t)
	objs, err := load(mappedSlots, allQueues)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objs.Close() })
	r := &rig{pair: p, objs: objs, prog: objs.XsendSteer, tab: &tab{make([]uint64, steerOutcomeOUTCOMES), make([]uint64, allQueues)}}
	socket := p.socketOn(t, served)
	if err := errors.Join(objs.Ports.Put(portKey(ours), uint8(1)), objs.Xsks.Put(uint32(served), uint32(socket.fd))); err != nil {
		t.Fatal(err)
	}
	return r
}

// variant is a rig over the same maps with another program.
func (r *rig) variant(spec *ebpf.ProgramSpec) (*rig, error) {
	spec = spec.Copy()
	for name, m := range map[string]*ebpf.Map{steerMapPorts: r.objs.Ports, steerMapXsks: r.objs.Xsks,
		steerMapFrames: r.objs.Frames, steerMapUnserved: r.objs.Unserved} {
		if err := spec.Instructions.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			return nil, err
		}
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, err
	}
	return &rig{pair: r.pair, objs: r.objs, prog: prog, tab: r.tab}, nil
}

// xdpMD is struct xdp_md, the program's argument.
type xdpMD struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// run runs the program; linear is how much of the frame lies in the first buffer.
func (r *rig) run(frame []byte, queue, linear int) (verdict uint32, err error) {
	md := xdpMD{DataEnd: uint32(linear), IngressIfindex: uint32(r.nearIndex), RxQueueIndex: uint32(queue)}
	err = r.near.in(func() (err error) {
		verdict, err = r.prog.Run(&ebpf.RunOptions{Data: frame, Context: md})
		return err
	})
	return verdict, err
}

// outcome runs the program and says what it did; an error if verdict and counters
// contradict each other.
func (r *rig) outcome(frame []byte, queue, linear int) (steerOutcome, error) {
	verdict, err := r.run(frame, queue, linear)
	if err != nil {
		return steerOutcomeOUTCOMES, err
	}
	outcomes, queues, err := r.counted()
	if err != nil {
		return steerOutcomeOUTCOMES, err
	}
	o := steerOutcome(max(0, slices.Index(outcomes, 1)))
	wantQueues := make([]uint64, allQueues)
	if o == dropped {
		wantQueues[queue] = 1
	}
	if verdict != verdicts[o] || sum(outcomes) != 1 || !slices.Equal(queues, wantQueues) {
		return steerOutcomeOUTCOMES, fmt.Errorf("verdict %d, counted by outcome %v, dropped by queue %v", verdict, outcomes, queues)
	}
	return o, nil
}

// counted is what the counters rose by since the last call.
func (r *rig) counted() (outcomes, queues []uint64, err error) {
	if outcomes, err = rise(r.objs.Frames, r.tab.outcomes); err == nil {
		queues, err = rise(r.objs.Unserved, r.tab.queues)
	}
	return outcomes, queues, err
}

// rise is what a map's counters rose by; last becomes where they stand now.
func rise(m *ebpf.Map, last []uint64) ([]uint64, error) {
	now, err := sums(m)
	if err != nil {
		return nil, err
	}
	delta := make([]uint64, len(now))
	for i := range now {
		delta[i] = now[i] - last[i]
	}
	copy(last, now)
	return delta, nil
}

func sum(ns []uint64) (total uint64) {
	for _, n := range ns {
		total += n
	}
	return total
}

// needSplits skips where the kernel doesn't let PROG_RUN choose how much of a frame is
// linear (before Linux 6.18).
func (r *rig) needSplits(t testing.TB) {
	t.Helper()
	_, err := r.run(eth4(ip4(protoTCP, tcp(80, other, "x"))), served, 20)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("needs Linux 6.18: PROG_RUN with a chosen linear size")
	}
	if err == nil {
		_, _, err = r.counted()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func init() {
	rlimit.RemoveMemlock()
}
