package xdpprog_test

import (
	"errors"
	"fmt"
	"log"
	"net"

	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// Steer one connection's segments to a socket that is bound to queue 0.
func Example() {
	nic, err := net.InterfaceByName("eth1")
	if err != nil {
		log.Fatal(err)
	}
	prog, err := xdpprog.Attach(xdpprog.Config{Ifindex: nic.Index})
	if busy := (*xdpprog.BusyError)(nil); errors.As(err, &busy) {
		log.Fatalf("%s belongs to %s: %v", busy.Interface, busy.ProgramName, err)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer prog.Close()
	fmt.Println("attached", prog.Mode())

	var socket int // an AF_XDP socket of queue 0 with an RX ring
	if err := prog.RegisterSocket(0, socket); err != nil {
		log.Fatal(err)
	}
	if err := prog.AddPort(40123); err != nil { // before its SYN leaves
		log.Fatal(err)
	}
}

// When a connection can't be opened, tell where its replies went.
func ExampleProgram_Counters() {
	var prog *xdpprog.Program // from Attach
	c, err := prog.Counters()
	if err != nil {
		log.Fatal(err)
	}
	for queue, n := range c.NoSocketQueue {
		if n > 0 {
			fmt.Printf("%d replies arrived on queue %d, which has no socket\n", n, queue)
		}
	}
}
