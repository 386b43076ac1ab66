package session

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw/settings"
)

// sockets is the kernel as far as a socket's options go.
type sockets struct {
	open func(context.Context, afxdp.Config) (*afxdp.Socket, error) // nil = afxdp.Open
	got  func(*afxdp.Socket) granted                                // nil = what the socket says
}

// granted is what a socket has of what was asked for.
type granted struct {
	zeroCopy bool
	budget   int
	busyPoll time.Duration
}

func readGranted(sock *afxdp.Socket) granted {
	return granted{sock.Caps().ZeroCopy, sock.Budget(), sock.BusyPoll()}
}

// unasked is what was requested where nothing was.
const unasked = "default"

// request is a value as it was asked for.
func request(asked bool, value any) string {
	if !asked {
		return unasked
	}
	return fmt.Sprint(value)
}

// obeyedKnob is one that has what it was asked for: a session that has not is not opened.
func obeyedKnob(name, requested, active, evidence string) Knob {
	return Knob{Name: name, Requested: requested, Accepted: active, Active: active, Proved: true, Evidence: evidence}
}

// tunedKnobs are doorbell, memory, queues and MTU.
func (s *Session) tunedKnobs() []Knob {
	return []Knob{s.wakeupKnob(), s.budgetKnob(), s.busyPollKnob(), s.hugePagesKnob(), s.queuesKnob(), s.mtuKnob()}
}

func (s *Session) wakeupKnob() Knob {
	how := "the socket was bound with XDP_USE_NEED_WAKEUP"
	switch {
	case s.cfg.Binding == BindingAsavie:
		how = "github.com/asavie/xdp binds without XDP_USE_NEED_WAKEUP"
	case !s.info.Wakeup:
		how = "the socket was bound without XDP_USE_NEED_WAKEUP"
	case s.info.Mode == "copy":
		how += ", and in copy mode the kernel always asks for the doorbell"
	}
	return obeyedKnob("wakeup", request(s.cfg.Wakeup != WakeupDefault, s.cfg.Wakeup), onOff(s.info.Wakeup), how)
}

func (s *Session) budgetKnob() Knob {
	k := obeyedKnob("budget", request(s.cfg.Budget != 0, s.cfg.Budget), strconv.Itoa(s.info.Budget), "XDP_MAX_TX_SKB_BUDGET was taken")
	switch {
	case s.info.Mode == "zerocopy":
		k.Accepted, k.Active, k.Evidence = "none", "none", "in zero-copy mode the driver takes what it likes"
	case s.cfg.Binding == BindingAsavie:
		k.Accepted, k.Active, k.Proved, k.Evidence = strconv.Itoa(minBudget), strconv.Itoa(minBudget), false, "github.com/asavie/xdp leaves it to the kernel, which doesn't tell"
	case s.info.Budget == minBudget && s.cfg.Budget != minBudget:
		k.Evidence = "the kernel has no XDP_MAX_TX_SKB_BUDGET, and takes so many (TX_BATCH_SIZE)"
	}
	return k
}

func (s *Session) busyPollKnob() Knob {
	k := obeyedKnob("busy-poll", request(s.cfg.BusyPoll != 0, s.cfg.BusyPoll), s.info.BusyPoll.String(), "SO_BUSY_POLL reads back so; it does something only where the queue has a NAPI instance")
	if s.info.BusyPoll == 0 {
		k.Accepted, k.Active, k.Evidence = "off", "off", "SO_BUSY_POLL reads back as 0, or the kernel has none"
	}
	return k
}

// readBusyPoll is the socket's; 0 where the kernel was built without.
func readBusyPoll(fd int) time.Duration {
	us, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUSY_POLL)
	if err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

func (s *Session) hugePagesKnob() Knob {
	how := "the region was mapped without MFD_HUGETLB"
	switch {
	case s.info.HugePages:
		how = "the region was mapped with MFD_HUGETLB"
	case s.cfg.Binding == BindingAsavie:
		how = "github.com/asavie/xdp maps the usual pages"
	}
	return obeyedKnob("hugepages", request(s.cfg.HugePages, "on"), onOff(s.info.HugePages), how)
}

func (s *Session) queuesKnob() Knob {
	return obeyedKnob("queues", request(s.asked.queues != 0, s.asked.queues), strconv.Itoa(len(s.queues)), fmt.Sprintf("%d of %d RX queues of %s have a socket that is bound", len(s.queues), s.link.RxQueues, s.link.Name))
}

func (s *Session) mtuKnob() Knob {
	asked := s.cfg.Settings.Change[settings.MTU][""]
	how := "the interface's own"
	if asked != "" {
		how = "read back from the interface"
	}
	k := obeyedKnob("mtu", request(asked != "", asked), strconv.Itoa(s.link.MTU), how)
	if why := s.refusedSetting("mtu"); why != "" {
		k.Evidence = "fell back: " + why
	}
	return k
}

// refusedSetting is why a setting of the NIC was left out; "" if it was not.
func (s *Session) refusedSetting(name string) string {
	if s.set == nil {
		return ""
	}
	for _, of := range s.set.Settings() {
		if of.Name == name {
			return of.Refused
		}
	}
	return ""
}
