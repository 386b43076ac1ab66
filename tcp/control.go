package tcp

import "fmt"

// control is a congestion control: numbers in, a window and perhaps a rate out. It is
// called once per ACK, never per segment, knows no connection, and computes in integers.
type control interface {
	start(now Time, mss, segments int) // the handshake is done
	setMSS(mss int)                    // the path changed
	window() int                       // congestion window, bytes
	memory() int                       // what a writer needs so that it is never what limits, bytes
	threshold() int                    // slow start threshold, bytes
	pacing(srtt Duration) uint64       // payload bytes per second; 0 = any rate
	proportional() bool                // fast recovery is for proportional rate reduction to pace
	onAck(a *sample)                   // every ACK that is not older than sndUna
	onLoss(now Time, flight int)       // fast recovery begins
	onCE(now Time, flight int)         // a mark of congestion came back, the first in a window
	onTimeout(now Time, flight int, first bool)
	setWindow(bytes int) // proportional rate reduction speaks
	onRecovered(now Time)
	save()                        // a reduction comes that may turn out to be needless
	undo(now Time)                // it was
	onIdle(now Time, restart int) // nothing was sent for a whole timeout; restart is the initial window, bytes
	onRestart(now Time) bool      // the writer had nothing more, all is ACKed, and now something is to be sent; true: at another pace
}

// sample is what a congestion control learns from one ACK. Bytes are sequence numbers.
type sample struct {
	now       Time
	acked     int // newly covered by the cumulative ACK
	delivered int // those plus newly SACKed, each counted once
	lost      losses
	grow      int  // of acked, what a window may grow by: none in fast recovery, or while something else limited us
	recovered int  // delivered by the ACK that ended a reduction, for losses or a mark
	prior     int  // in flight before the ACK
	inFlight  int  // in flight now
	limited   bool // the window had no room for a segment, some time in the last round trip
	sackOK    bool // more than one loss can be seen in a round trip
	rtt       Duration
	srtt      Duration
	minRTT    Duration
	phase     phase
	rate      rateSample
}

// control makes the congestion control that the configuration names.
func (cfg *Config) control() (control, error) {
	switch cfg.Congestion {
	case "", Cubic:
		return &cubic{}, nil
	case Reno:
		return &reno{}, nil
	case BBR:
		return &bbr{random: uint64(cfg.ISS)<<32 | uint64(cfg.TSOffset)}, nil
	case Fixed:
		return &fixed{set: cfg.FixedWindow}, nil
	}
	return nil, fmt.Errorf("%w: congestion control %q: have %v", ErrBadConfig, cfg.Congestion, Congestions())
}

// maxCwnd is the most that any of them asks for.
const maxCwnd = 1 << 30
