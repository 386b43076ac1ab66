package hw

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/ethtool"
)

// driverInfo is what ETHTOOL_GDRVINFO tells.
type driverInfo struct {
	driver, version, firmware, bus string
}

// channelCounts are the queues in use by ETHTOOL_GCHANNELS; a combined channel has one of each.
type channelCounts struct{ rx, tx int }

func readDriver(name string) (driverInfo, error) {
	return withEthtool(func(fd int) (driverInfo, error) {
		d, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
		if err != nil {
			return driverInfo{}, err
		}
		return driverInfo{
			driver:   unix.ByteSliceToString(d.Driver[:]),
			version:  unix.ByteSliceToString(d.Version[:]),
			firmware: unix.ByteSliceToString(d.Fw_version[:]),
			bus:      unix.ByteSliceToString(d.Bus_info[:]),
		}, nil
	})
}

func readChannels(name string) (channelCounts, error) {
	c, err := ethtool.Channels(name)
	return channelCounts{rx: int(c.RxCount + c.CombinedCount), tx: int(c.TxCount + c.CombinedCount)}, err
}

// withEthtool opens a socket for ethtool ioctls: they act in the namespace of the socket, not of /sys.
func withEthtool[T any](f func(fd int) (T, error)) (T, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		var zero T
		return zero, fmt.Errorf("open socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	return f(fd)
}
