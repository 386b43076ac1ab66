package tcp

import "math"

// fixed is no congestion control: a constant window, and with Config.Rate a constant
// rate. It is for NIC qualification on a path that is nobody else's; on a shared one it
// breaks https://www.rfc-editor.org/rfc/rfc5681#section-3 on purpose.
type fixed struct {
	cwnd int // bytes; 0 until start
	set  int // what the configuration asks for; 0 = no limit but the peer's window
}

func (f *fixed) start(_ Time, mss, _ int) {
	f.cwnd = maxCwnd
	if f.set > 0 {
		f.cwnd = max(f.set, mss)
	}
}

func (f *fixed) setMSS(mss int)            { f.cwnd = max(f.cwnd, mss) }
func (f *fixed) window() int               { return f.cwnd }
func (f *fixed) memory() int               { return 2 * f.cwnd }
func (f *fixed) threshold() int            { return math.MaxInt }
func (f *fixed) state() string             { return "fixed" }
func (f *fixed) pacing(Duration) uint64    { return 0 }
func (f *fixed) proportional() bool        { return false }
func (f *fixed) onAck(*sample)             {}
func (f *fixed) onLoss(Time, int)          {}
func (f *fixed) onCE(Time, int)            {}
func (f *fixed) onTimeout(Time, int, bool) {}
func (f *fixed) setWindow(int)             {}
func (f *fixed) save()                     {}
func (f *fixed) undo(Time)                 {}
func (f *fixed) onRecovered(Time)          {}
func (f *fixed) onIdle(Time, int)          {}
func (f *fixed) onRestart(Time) bool       { return false }
