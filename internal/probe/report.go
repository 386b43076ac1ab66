package probe

import (
	"bytes"
	"encoding/json"
)

// Schema names the shape of the JSON object; a change that breaks readers changes it.
const Schema = "xsend.probe/1"

// Report is the result. Its JSON names are stable.
type Report struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"version"`
	Kernel    string    `json:"kernel"`
	Interface Interface `json:"interface"`
	Claims    Claims    `json:"claims"`
	Abilities Findings  `json:"abilities"` // of the interface
	Quirks    Findings  `json:"quirks"`    // of the kernel, on a private veth pair
	Restored  Restored  `json:"restored"`
}

// Interface is what there is to know of the NIC without trying. Empty and 0 mean that nobody says.
type Interface struct {
	Name          string   `json:"name"`
	Index         int      `json:"ifindex"`
	Kind          string   `json:"kind"`
	MAC           string   `json:"mac"`
	Up            bool     `json:"up"`
	Carrier       bool     `json:"carrier"`
	Unusable      string   `json:"unusable"` // why xsend send can't use it now
	Driver        string   `json:"driver"`
	DriverVersion string   `json:"driver_version"`
	Firmware      string   `json:"firmware"`
	Bus           string   `json:"bus"`
	NUMANode      int      `json:"numa_node"` // -1: none, or not known
	Speed         int      `json:"speed_mbits"`
	Duplex        string   `json:"duplex"` // "full" or "half"
	MTU           int      `json:"mtu"`
	RxQueues      int      `json:"rx_queues"`
	TxQueues      int      `json:"tx_queues"`
	QueueSource   string   `json:"queue_source"`
	Channels      Channels `json:"channels"`
	Rings         Rings    `json:"rings"`
	XDPProgram    uint32   `json:"xdp_program"`
	XDPMode       string   `json:"xdp_mode"`
}

// Channels are those in use, and as many as there can be.
type Channels struct {
	Rx          int `json:"rx"`
	Tx          int `json:"tx"`
	Combined    int `json:"combined"`
	MaxRx       int `json:"max_rx"`
	MaxTx       int `json:"max_tx"`
	MaxCombined int `json:"max_combined"`
}

// Rings are the descriptors of each queue of the driver.
type Rings struct {
	Rx    int `json:"rx"`
	Tx    int `json:"tx"`
	MaxRx int `json:"max_rx"`
	MaxTx int `json:"max_tx"`
}

// Claims are what the driver says by itself.
type Claims struct {
	Unknown         string    `json:"unknown"` // why the four below can't be read; empty: they were
	Features        []string  `json:"xdp_features"`
	ZeroCopyMaxSegs int       `json:"xdp_zc_max_segs"`
	RxMetadata      []string  `json:"xdp_rx_metadata_features"`
	XSK             []string  `json:"xsk_features"`
	Ethtool         []Feature `json:"ethtool_features"` // those that matter here
}

// Feature is one of ethtool's, by the kernel's name.
type Feature struct {
	Name       string `json:"name"`
	Active     bool   `json:"active"`
	Requested  bool   `json:"requested"`
	Changeable bool   `json:"changeable"`
	Means      string `json:"means"`
}

// What a finding says of its ability.
const (
	Yes     = "yes"
	No      = "no"
	Untried = "untried"
)

// Finding is one ability or quirk.
type Finding struct {
	Name      string `json:"-"`
	Label     string `json:"-"`
	Claimed   string `json:"claimed"` // Yes, No, or empty: nobody claims anything
	ClaimedBy string `json:"claimed_by"`
	Found     string `json:"found"` // Yes, No or Untried
	Value     int    `json:"value"` // in Unit; 0 where there is none
	Unit      string `json:"unit"`
	Errno     string `json:"errno"`  // the kernel's answer, as "EOPNOTSUPP"
	Reason    string `json:"reason"` // what that means here, or why nothing was tried
	Remedy    string `json:"remedy"` // a command, or what else to do about it
	How       string `json:"how"`    // it was found
	Means     string `json:"means"`  // for sending
}

// Findings are printed in their order; in JSON they are an object with their names.
type Findings []Finding

// MarshalJSON keeps the order, which a map would not.
func (f Findings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range f {
		text, err := json.Marshal(f[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + f[i].Name + `":`)
		b.Write(text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Named returns the finding of that name; nil if there is none.
func (f Findings) Named(name string) *Finding {
	for i := range f {
		if f[i].Name == name {
			return &f[i]
		}
	}
	return nil
}

// Restored compares the interface before with the interface after.
type Restored struct {
	Exact       bool     `json:"exact"`
	Settings    int      `json:"settings"`    // that were compared
	Differences []string `json:"differences"` // "name: before, now after"
}
