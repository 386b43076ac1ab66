package matrix

import (
	"fmt"
	"time"

	"github.com/xsend/xsend/hw"
)

// overhead is what a run is thought to take beside its time, before any has been seen: to attach, to wait for the
// verdict, and to detach.
const overhead = time.Second

// Price is what a matrix costs. Its JSON names are stable.
type Price struct {
	Schema    string   `json:"schema"`
	Interface string   `json:"interface"`
	Target    string   `json:"target"`
	Rows      int      `json:"rows"`
	Xsend     int      `json:"xsend"` // rows of xsend
	Linux     int      `json:"linux"` // rows of the kernel's TCP
	Turns     int      `json:"turns"`
	Time      float64  `json:"time_seconds"` // of each run
	Seconds   float64  `json:"seconds"`      // in all, about; rows that are refused take next to nothing
	Changes   []string `json:"changes"`      // of the interface, a sentence each
}

// PriceSchema names the shape of Price.
const PriceSchema = "xsend.matrix.price/1"

// Ask says what a matrix would cost, and changes nothing.
func Ask(cfg Config) (Price, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return Price{}, err
	}
	if _, err := splitTarget(cfg.Target); err != nil {
		return Price{}, err
	}
	link, err := hw.Lookup(cfg.Interface)
	if err != nil {
		return Price{}, err
	}
	return price(&cfg, link), nil
}

func price(cfg *Config, link hw.Interface) Price {
	if cfg.MTUs == nil {
		cfg.MTUs = []int{link.MTU}
	}
	p := Price{Schema: PriceSchema, Interface: link.Name, Target: cfg.Target, Turns: cfg.Turns, Time: cfg.Time.Seconds()}
	mtus := map[int]int{}
	for _, c := range cfg.cells() {
		p.Rows++
		if c.MTU != link.MTU {
			mtus[c.MTU]++
		}
		if c.Sender == Linux {
			p.Linux++
			continue
		}
		p.Xsend++
	}
	p.Seconds = float64(p.Rows*cfg.Turns) * (cfg.Time + overhead).Seconds()
	p.Changes = []string{fmt.Sprintf("%s: an XDP program is attached for each of %d runs, and gone after it; some drivers take the link down for a moment", link.Name, p.Xsend*cfg.Turns)}
	for _, mtu := range cfg.MTUs {
		if n := mtus[mtu]; n > 0 {
			p.Changes = append(p.Changes, fmt.Sprintf("%s: the MTU is set to %d for %d runs, and put back to %d", link.Name, mtu, n*cfg.Turns, link.MTU))
		}
	}
	p.Changes = append(p.Changes, fmt.Sprintf("%s: TSO and GSO are set, where the kernel lets them be, for %d runs of its own TCP, and put back after each", link.Name, p.Linux*cfg.Turns))
	return p
}
