package settings_test

import (
	"context"
	"fmt"
	"log"

	"github.com/xsend/xsend/hw/settings"
)

// A program that sets a NIC for as long as it works with it. It has no guardian: after a crash [settings.Recover] is called at its next start.
func Example() {
	change := settings.Change{}
	if err := change.Add(settings.Ring, "rx=4096,tx=4096"); err != nil {
		log.Fatal(err)
	}
	run, err := settings.Begin(context.Background(), settings.Config{Interface: "eth1", Change: change, StateDir: "/var/lib/my-program"})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range run.Settings() {
		fmt.Println(s.Name, s.Active, s.Clamped)
	}
	// ... work ...
	restored, err := run.Restore()
	fmt.Println("restored:", restored, err)
}

// What killed runs have left on any interface of this network namespace.
func ExampleRecover() {
	done, err := settings.Recover(context.Background(), "", "")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range done {
		fmt.Println(d.Journal.Interface, d.Restored, d.Err)
	}
}
