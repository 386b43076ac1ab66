package matrix

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xsend/xsend/internal/ethtool"
	"github.com/xsend/xsend/internal/kerneltcp"
	"golang.org/x/sys/unix"
)

// congestion is set explicitly: the machine's default may be anything.
const congestion = "cubic"

// farewell is how long the peer may take to close after everything was sent.
const farewell = 20 * time.Second

// BaselineReport is what the kernel's TCP did, with the names of "xsend send --json" where it has them. Its JSON names
// are stable.
type BaselineReport struct {
	Seconds     float64       `json:"seconds"` // from the connection to the peer's FIN
	Bytes       int64         `json:"bytes"`   // that the peer ACKed
	Segments    uint64        `json:"segments"`
	Retransmits uint64        `json:"retransmits"`
	MSS         int           `json:"mss"`
	CPU         CPU           `json:"cpu_utilization"`
	Streams     []LocalStream `json:"streams"`
	Offload     []Knob        `json:"offload"`
}

// CPU is the process's use of processors in percent of one. Its JSON names are stable.
type CPU struct {
	User   float64 `json:"host_user"`
	System float64 `json:"host_system"`
}

// LocalStream is a connection by its own address. Its JSON names are stable.
type LocalStream struct {
	Local   netip.AddrPort `json:"local"`
	PathMTU int            `json:"pmtu"` // bytes; 0: not known
}

// Baseline sends the pattern to ADDR:PORT by way of an interface with the kernel's TCP for that long, and waits until the
// peer has closed too.
func Baseline(call, target, link string, seconds float64) (r BaselineReport, err error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return r, err
	}
	fd, err := kerneltcp.Connect(to, congestion, link)
	if err != nil {
		return r, fmt.Errorf("%v: %w", to, err)
	}
	defer unix.Close(fd)
	f, err := newFeed(fd, call, blockSize, blocks)
	if err != nil {
		return r, err
	}
	defer f.close()
	begin, used := time.Now(), usage()
	if err := f.pour(begin.Add(time.Duration(seconds * float64(time.Second)))); err != nil {
		return r, fmt.Errorf("%s: %w", call, err)
	}
	if err := kerneltcp.Finish(fd, farewell); err != nil {
		return r, err
	}
	r.Seconds = time.Since(begin).Seconds()
	spent := usage()
	r.CPU = CPU{User: 100 * (spent.user - used.user) / r.Seconds, System: 100 * (spent.system - used.system) / r.Seconds}
	r.Bytes = f.sent
	return r, errors.Join(r.socket(fd), r.evidence(fd, f, link))
}

// socket takes over what the kernel counted.
func (r *BaselineReport) socket(fd int) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("read TCP_INFO: %w", err)
	}
	r.Segments, r.Retransmits, r.MSS = uint64(info.Segs_out), uint64(info.Total_retrans), int(info.Snd_mss)
	at, err := kerneltcp.Local(fd)
	if err != nil {
		return err
	}
	r.Streams = []LocalStream{{at, int(info.Pmtu)}}
	return nil
}

// evidence says what was in force.
func (r *BaselineReport) evidence(fd int, f *feed, link string) error {
	name, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return fmt.Errorf("read TCP_CONGESTION: %w", err)
	}
	r.Offload = append(r.Offload, Knob{"congestion", congestion, text(name), text(name), "read back from the socket"})
	for _, o := range []ethtool.Offload{ethtool.TSO, ethtool.GSO} {
		on, err := o.Read(link)
		if err != nil {
			return err
		}
		state := map[bool]text{true: "on", false: "off"}[on]
		r.Offload = append(r.Offload, Knob{Name: o.Name, Active: state, Evidence: "read back from the interface"})
	}
	if f.call == CallZerocopy {
		said := text(fmt.Sprintf("%d of %d notifications say that the kernel copied", f.copied, f.completed))
		r.Offload = append(r.Offload, Knob{"MSG_ZEROCOPY", "on", "on", "on", said})
	}
	return nil
}

// processor is time that this process has used, in seconds.
type processor struct{ user, system float64 }

func usage() processor {
	var ru unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &ru) // fails for a bad argument only
	return processor{time.Duration(ru.Utime.Nano()).Seconds(), time.Duration(ru.Stime.Nano()).Seconds()}
}
