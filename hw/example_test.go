package hw_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xsend/xsend/hw"
)

// What a sender asks before it opens a connection, and what it follows while the connection lives.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	path, err := hw.ResolvePath(ctx, netip.MustParseAddr("192.0.2.7"), hw.RouteOptions{Interface: "eth1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	nic, err := hw.LookupIndex(path.Route.Interface)
	if err != nil {
		fmt.Println(err)
		return
	}
	port, err := hw.ReservePort(netip.AddrPortFrom(path.Route.Source, 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer port.Close()
	watch, err := hw.NewWatch(context.Background(), hw.WatchConfig{Link: nic, Paths: []hw.Path{path}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watch.Close()
	for event := range watch.Events() {
		switch event.Kind {
		case hw.NeighbourChanged, hw.RouteChanged:
			path = event.Path // write these addresses into the next frame
		case hw.CarrierDown:
			fmt.Println("pause: frames don't leave")
		case hw.CarrierUp:
			fmt.Println("go on")
		}
	}
}

func ExampleResolveRoute() {
	_, err := hw.ResolveRoute(netip.MustParseAddr("127.0.0.1"), hw.RouteOptions{})
	fmt.Println(errors.Is(err, hw.ErrLocalDestination))
	// Output: true
}

func ExampleMissingCapabilities() {
	if missing := hw.MissingCapabilities(64 << 20); len(missing) > 0 {
		fmt.Println("missing:", missing)
	}
}

func ExampleSetcapLine() {
	fmt.Println(hw.SetcapLine("/usr/local/bin/xsend"))
	// Output: sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep /usr/local/bin/xsend
}
