package matrix

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/hw/settings"
	"github.com/xsend/xsend/internal/ethtool"
)

// carrierWait is how long a link may take to come back when an MTU was set.
const carrierWait = 10 * time.Second

// set sets the interface for a row of the kernel's TCP as "xsend send" does for one of xsend's, and returns what puts it back. The error is a
// refusal, and everything is as it was then; or it is settings.ErrNotRestored.
func (c *Config) set(ctx context.Context, change settings.Change) (restore func() error, err error) {
	run, err := settings.Begin(ctx, settings.Config{Interface: c.Interface, Change: change, Force: c.Force, Guardian: c.Guardian})
	if err != nil {
		return nil, err
	}
	restore = func() error {
		_, err := run.Restore()
		return errors.Join(err, carrier(context.WithoutCancel(ctx), c.Interface))
	}
	for _, s := range run.Settings() {
		if s.Clamped {
			return nil, errors.Join(fmt.Errorf("%s: set %s %s: the driver made it %s", c.Interface, s.Name, s.Requested, s.Active), restore())
		}
	}
	if err := carrier(ctx, c.Interface); err != nil {
		return nil, errors.Join(err, restore())
	}
	return restore, nil
}

// carrier waits until the link is there.
func carrier(ctx context.Context, name string) error {
	link, err := hw.Lookup(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierWait)
	defer cancel()
	return hw.WaitCarrier(ctx, link.Index)
}

// change is what a row of the kernel's TCP needs to be set, to a peer of that family on an interface with that MTU.
func (c Cell) change(mtu int, v6 bool) settings.Change {
	change := settings.Change{}
	if c.TSO != asIs {
		change[settings.Feature] = segmentation(c.TSO, v6)
	}
	if c.MTU != mtu {
		change[settings.MTU] = settings.Values{"": strconv.Itoa(c.MTU)}
	}
	return change
}

// segmentation are the features that TSO and GSO consist of. On are those that the peer's family needs; off are all.
func segmentation(state string, v6 bool) settings.Values {
	v := settings.Values{"tx-generic-segmentation": state}
	switch {
	case state == "on" && v6:
		v["tx-tcp6-segmentation"] = state
	case state == "on":
		v["tx-tcp-segmentation"] = state
	default:
		for _, k := range []string{"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation"} {
			v[k] = state
		}
	}
	return v
}

// uneven tells whether one of TSO and GSO is on and the other off, so that neither row is there without a change. What can't be
// read can't be set either, which the rows say.
func uneven(link string) bool {
	tso, err := ethtool.TSO.Read(link)
	if err != nil {
		return false
	}
	gso, err := ethtool.GSO.Read(link)
	return err == nil && tso != gso
}

// settable finds out whether TSO and GSO can be both on, or both off.
func (m *matrix) settable(ctx context.Context) (bool, error) {
	for _, state := range []string{"on", "off"} {
		restore, err := m.set(ctx, Cell{TSO: state, MTU: m.link.MTU}.change(m.link.MTU, m.v6()))
		if errors.Is(err, settings.ErrNotRestored) {
			return false, err
		}
		if err == nil {
			return true, restore()
		}
	}
	return false, nil
}

// v6 tells the peer's family.
func (m *matrix) v6() bool { return !m.to.Addr().Unmap().Is4() }
