package tcp

// State is a connection's place in https://www.rfc-editor.org/rfc/rfc9293#section-3.3.2.
// There is no LISTEN: this engine opens, it is not opened.
type State uint8

// The states.
const (
	Closed State = iota
	SynSent
	SynReceived // simultaneous open
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
)

// String is the state's name as in the RFC, in lower case.
func (s State) String() string {
	return [...]string{"closed", "syn-sent", "syn-received", "established", "fin-wait-1", "fin-wait-2",
		"close-wait", "closing", "last-ack", "time-wait"}[min(int(s), 9)]
}

// maySend reports that Queue takes data.
func (s State) maySend() bool { return s == Established || s == CloseWait }

// sending reports that queued data and our FIN may go out.
func (s State) sending() bool {
	return s == Established || s == CloseWait || s == FinWait1 || s == Closing || s == LastAck
}

// synchronized reports that both sides know each other's sequence numbers.
func (s State) synchronized() bool { return s >= SynReceived }

// receiving reports that the peer may still send data.
func (s State) receiving() bool { return s == Established || s == FinWait1 || s == FinWait2 }
