// Command verdict judges what a guest left behind: for each run that the scenario names in the
// file "runs", the reports of both ends and the wire's own capture must tell the same story.
//
//	verdict DIR
//
// Each line of runs is "NAME PORT VLAN EXPECT", VLAN 0 for no tags; beside it lie wire.pcap, NAME.sha256 (of the
// file that was sent), NAME.send.json and NAME.sink.json. It prints one line per run and exits 1 when one of
// them isn't as expected, 2 when the files can't be read.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verdict DIR")
		os.Exit(2)
	}
	runs, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(2)
	}
	failed := false
	for _, r := range runs {
		fmt.Println(r)
		for _, problem := range judge(r) {
			fmt.Printf("  %s: %s\n", r.name, problem)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}
