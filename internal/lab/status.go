package lab

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	"github.com/xsend/xsend/internal/ethtool"
	"golang.org/x/sys/unix"
)

// Status is what is there of a lab. Its JSON names are stable.
type Status struct {
	Name     string       `json:"name"`
	Exists   bool         `json:"exists"`   // at least one of its namespaces is there
	Complete bool         `json:"complete"` // both ends are there with their interfaces, and the wire, if there is one, runs
	Sender   EndStatus    `json:"sender"`
	Receiver EndStatus    `json:"receiver"`
	Loss     LossRule     `json:"loss"`
	Counters LossCounters `json:"loss_counters"`
	Wire     *WireStatus  `json:"wire,omitempty"` // absent where the ends are joined directly
}

// EndStatus is one end of a lab. Packets and bytes are those of the interface since it was made.
type EndStatus struct {
	Namespace    string   `json:"namespace"`
	Exists       bool     `json:"exists"`
	Interface    string   `json:"interface"`
	Up           bool     `json:"up"`      // set up by the administrator
	Carrier      bool     `json:"carrier"` // and so is the other end
	MAC          string   `json:"mac"`
	MTU          int      `json:"mtu"`       // bytes
	Addresses    []string `json:"addresses"` // with prefix length, link-local ones left out
	Queues       int      `json:"queues"`
	TxChecksum   bool     `json:"tx_checksumming"`
	Segmentation bool     `json:"segmentation"` // TSO or GSO
	VLAN         int      `json:"vlan"`         // that the end's kernel talks in; 0: none
	XDPProgram   uint32   `json:"xdp_program"`  // number of the attached XDP program, 0 without one
	RxPackets    uint64   `json:"rx_packets"`
	TxPackets    uint64   `json:"tx_packets"`
	RxBytes      uint64   `json:"rx_bytes"`
	TxBytes      uint64   `json:"tx_bytes"`
	RxDropped    uint64   `json:"rx_dropped"`
	TxDropped    uint64   `json:"tx_dropped"`
}

// ReadStatus returns what is there of the lab called name ("" is DefaultName). No lab is no error.
func ReadStatus(name string) (Status, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return Status{}, err
	}
	l := &Lab{name: name}
	s := Status{Name: name}
	var err error
	if s.Sender, err = l.readEnd(Sender); err != nil {
		return s, err
	}
	if s.Receiver, err = l.readEnd(Receiver); err != nil {
		return s, err
	}
	if s.Wire, err = l.readWire(); err != nil {
		return s, err
	}
	s.Exists = s.Sender.Exists || s.Receiver.Exists || s.Wire != nil
	s.Complete = s.Sender.MTU > 0 && s.Receiver.MTU > 0 && (s.Wire == nil || s.Wire.Running)
	if !s.Complete {
		return s, nil
	}
	s.Loss, s.Counters, err = l.Loss()
	return s, err
}

func (l *Lab) readEnd(end string) (EndStatus, error) {
	e := l.end(end)
	s := EndStatus{Namespace: e.Namespace, Interface: e.Interface, Addresses: []string{}}
	is, err := isNamespace(namespacePath(e.Namespace))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("network namespace %s: %w", e.Namespace, err)
	}
	s.Exists = true
	if !is {
		return s, nil // a bare name: a lab half made
	}
	if err := checkMark(e.Namespace, mark(l.name)); err != nil {
		return s, err
	}
	return s, l.Do(end, s.readLink)
}

// readLink fills in what the interface says; a missing interface is a lab half made.
func (s *EndStatus) readLink() error {
	link, err := netlink.LinkByName(s.Interface)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", s.Interface, err)
	}
	a := link.Attrs()
	s.Up = a.RawFlags&unix.IFF_UP != 0
	s.Carrier = a.RawFlags&unix.IFF_LOWER_UP != 0
	s.MAC, s.MTU, s.Queues = a.HardwareAddr.String(), a.MTU, a.NumTxQueues
	if a.Xdp != nil && a.Xdp.Attached {
		s.XDPProgram = a.Xdp.ProgId
	}
	if st := a.Statistics; st != nil {
		s.RxPackets, s.TxPackets = st.RxPackets, st.TxPackets
		s.RxBytes, s.TxBytes = st.RxBytes, st.TxBytes
		s.RxDropped, s.TxDropped = st.RxDropped, st.TxDropped
	}
	s.VLAN, err = readVLAN(link)
	return errors.Join(err, s.readOffloads(), s.readAddresses(link))
}

func (s *EndStatus) readOffloads() error {
	tx, err := ethtool.TxChecksum.Read(s.Interface)
	if err != nil {
		return err
	}
	tso, err := ethtool.TSO.Read(s.Interface)
	if err != nil {
		return err
	}
	gso, err := ethtool.GSO.Read(s.Interface)
	s.TxChecksum, s.Segmentation = tx, tso || gso
	return err
}

func (s *EndStatus) readAddresses(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", s.Interface, err)
	}
	for _, addr := range addrs {
		if !addr.IP.IsLinkLocalUnicast() {
			s.Addresses = append(s.Addresses, addr.IPNet.String())
		}
	}
	return nil
}
