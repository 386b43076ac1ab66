// Package matrix measures what offload settings do on a real path: xsend with each of them, and the kernel's own TCP beside
// it, every row in turn, with every byte compared by the receiver.
//
// # What it owns
//
// The rows (checksum, scatter-gather, mode, attach, MTU; of the kernel's TCP the call, and TSO with GSO), their order, the
// runs, and what is concluded from them. A run of xsend is "xsend send --pattern" as a child, with the flags that anybody
// could give; a run of the kernel's TCP is a child too (Baseline), which sends the same pattern, made as it is sent, with
// send(2), sendfile(2) or MSG_ZEROCOPY over cubic. In a turn every row runs once, every second turn backwards.
//
// The receiver is "xsend sink --verify" somewhere. Goodput is what it has read and compared, over the time from its first byte
// to its last one, of all senders alike. Processor time is that of the sending process from its connection to its end,
// the making of the pattern included; what the kernel does in interrupts on other processes' account is not in it.
//
// A row that is refused is a row with the reason; one in which anything was other than asked for has failed.
//
// # What it changes
//
// What "xsend send" changes for a run and puts back; and, for rows of the kernel's TCP, TSO, GSO and the MTU of the interface. They
// go through hw/settings as those of "xsend send" do: put back after each run, and by a guardian where the matrix is killed. If that
// fails the matrix ends.
//
// # What it refuses
//
// A receiver that gives no verdicts; to go on with the runs of another version or with other settings.
//
// # Goroutines
//
// Measure returns when all it started has ended.
package matrix
