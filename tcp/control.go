package tcp

import "fmt"

// control is a congestion control: numbers in, a window out. It is called once
// per ACK, knows no connection, and computes in integers.
type control interface {
	start(mss, segments int)     // the handshake is done
	setMSS(mss int)              // the path changed
	window() int                 // congestion window, bytes
	threshold() int              // slow start threshold, bytes
	onAck(acked int)             // acked new bytes, outside fast recovery, while the window was the limit
	onLoss(now Time, flight int) // fast recovery begins
	onTimeout(now Time, flight int, first bool)
	setWindow(bytes int) // proportional rate reduction speaks
	onRecovered()
	onIdle(restart int) // nothing was sent for a whole timeout; restart is the initial window, bytes
}

func newControl(name Congestion) (control, error) {
	switch name {
	case "", Reno:
		return &reno{}, nil
	}
	return nil, fmt.Errorf("%w: congestion control %q: have %v", ErrBadConfig, name, Congestions())
}
