package probe

import (
	"github.com/safchain/ethtool"

	lib "github.com/xsend/xsend/internal/ethtool"
)

func readFeatures(name string) (map[string]ethtool.FeatureState, error) {
	return lib.Ask(name, func(e *ethtool.Ethtool) (map[string]ethtool.FeatureState, error) { return e.FeaturesWithState(name) })
}

// setFeatures asks for features. The kernel can refuse without an error: read them back.
func setFeatures(name string, want map[string]bool) error {
	_, err := lib.Ask(name, func(e *ethtool.Ethtool) (struct{}, error) { return struct{}{}, e.Change(name, want) })
	return err
}

func readChannels(name string) (Channels, error) {
	c, err := lib.Channels(name)
	return Channels{
		Rx: int(c.RxCount), Tx: int(c.TxCount), Combined: int(c.CombinedCount),
		MaxRx: int(c.MaxRx), MaxTx: int(c.MaxTx), MaxCombined: int(c.MaxCombined),
	}, err
}

func readRings(name string) (Rings, error) {
	return lib.Ask(name, func(e *ethtool.Ethtool) (Rings, error) {
		r, err := e.GetRing(name)
		return Rings{Rx: int(r.RxPending), Tx: int(r.TxPending), MaxRx: int(r.RxMaxPending), MaxTx: int(r.TxMaxPending)}, err
	})
}

// readSpeed returns Mbit/s and duplex; 0 and "" where the link has none or doesn't say. The library's other question
// (ETHTOOL_GLINKSETTINGS) prints to standard output.
func readSpeed(name string) (mbits int, duplex string) {
	cmd, err := lib.Ask(name, func(e *ethtool.Ethtool) (ethtool.EthtoolCmd, error) {
		var cmd ethtool.EthtoolCmd
		_, err := e.CmdGet(&cmd, name)
		return cmd, err
	})
	if err != nil {
		return 0, ""
	}
	speed := int(cmd.Speed_hi)<<16 | int(cmd.Speed)
	if speed == 0xffff || speed == 0xffffffff { // SPEED_UNKNOWN
		speed = 0
	}
	return speed, map[uint8]string{0: "half", 1: "full"}[cmd.Duplex]
}
