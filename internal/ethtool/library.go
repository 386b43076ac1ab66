package ethtool

import (
	"fmt"

	library "github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/steady"
)

// Ask lets f ask github.com/safchain/ethtool about the interface called name, in the network namespace of the calling thread and on a stack that
// stays where it is. The error is f's, or unix.ENODEV for a name that no interface can have, which the library would cut.
func Ask[T any](name string, f func(*library.Ethtool) (T, error)) (out T, err error) {
	if len(name) >= unix.IFNAMSIZ {
		return out, unix.ENODEV
	}
	e, err := library.NewEthtool()
	if err != nil {
		return out, fmt.Errorf("open socket for ethtool: %w", err)
	}
	defer e.Close()
	steady.Call(func() { out, err = f(e) })
	return out, err
}

// Channels reads an interface's channels (ETHTOOL_GCHANNELS).
func Channels(name string) (library.Channels, error) {
	return Ask(name, func(e *library.Ethtool) (library.Channels, error) { return e.GetChannels(name) })
}
