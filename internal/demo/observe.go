package demo

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/xsend/xsend/internal/lab"
)

// observation is what the kernel counts at both ends.
type observation struct {
	outSegs int64 // of the sender's kernel, its own resets included
	packets int64 // received by the receiver's interface
	mtu     int
}

func observe(l *lab.Lab) (o observation, err error) {
	var text []byte
	err = l.Do(lab.Sender, func() (err error) {
		// /proc/net would be the first thread's namespace, and this thread has moved.
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return o, fmt.Errorf("the sender's counters: %w", err)
	}
	if o.outSegs, err = tcpCounter(string(text), "OutSegs"); err != nil {
		return o, fmt.Errorf("the sender's counters: %w", err)
	}
	resets, err := tcpCounter(string(text), "OutRsts")
	if err != nil {
		return o, fmt.Errorf("the sender's counters: %w", err)
	}
	o.outSegs += resets
	s, err := lab.ReadStatus(l.Name())
	o.packets, o.mtu = int64(s.Receiver.RxPackets), s.Sender.MTU
	return o, err
}

// tcpCounter reads one counter of /proc/net/snmp: a line of names, then a line of numbers.
func tcpCounter(snmp, name string) (int64, error) {
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			i := slices.Index(names, name)
			if i < 0 || i >= len(fields) {
				return 0, fmt.Errorf("no TCP counter %s", name)
			}
			return strconv.ParseInt(fields[i], 10, 64)
		}
	}
	return 0, errors.New("no TCP counters")
}
