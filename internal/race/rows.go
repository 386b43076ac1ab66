package race

import (
	"fmt"
	"slices"
)

// Roles of a row.
const (
	RoleReference = "reference" // right: must not corrupt anything
	RoleBug       = "bug"       // the API says "yours again" too early, and nobody can use it otherwise
	RoleMisuse    = "misuse"    // the API says when, and the writer doesn't wait for it
	RoleControl   = "control"   // xsend, wrong on purpose
	RoleOurs      = "ours"      // must not corrupt anything
)

// The senders.
const (
	Send             = "send"
	Sendfile         = "sendfile"
	SendfileOther    = "sendfile-other"
	Splice           = "splice"
	ZerocopyReturn   = "zerocopy-return"
	ZerocopyNotified = "zerocopy-notified"
	SendZCReturn     = "sendzc-return"
	SendZCNotified   = "sendzc-notified"
	Submit           = "submit"
	Completion       = "completion"
	Acked            = "acked"
	Ack              = "ack"
	AckLate          = "ack-late"
)

// Sender is what a row is about. Its JSON names are stable.
type Sender struct {
	Name string `json:"sender"`
	Call string `json:"call"` // for people
	When string `json:"when"` // the writer rewrites
	Role string `json:"role"`

	release  string // xsend's mode; "" is the kernel's TCP
	late     bool   // completions are handed on late
	optional bool   // some kernels haven't got it
}

// Senders are all rows, in the order of the table.
var Senders = []Sender{
	{Name: Send, Call: "kernel send()", When: "after return (it copies)", Role: RoleReference},
	{Name: Sendfile, Call: "kernel sendfile()", When: "after return", Role: RoleBug},
	{Name: SendfileOther, Call: "kernel sendfile()", When: "after return, by another process", Role: RoleBug},
	{Name: Splice, Call: "kernel vmsplice(), splice()", When: "after return", Role: RoleBug, optional: true},
	{Name: ZerocopyReturn, Call: "kernel MSG_ZEROCOPY", When: "after return", Role: RoleMisuse, optional: true},
	{Name: ZerocopyNotified, Call: "kernel MSG_ZEROCOPY", When: "after the notification", Role: RoleReference, optional: true},
	{Name: SendZCReturn, Call: "kernel io_uring SEND_ZC", When: "after return", Role: RoleMisuse, optional: true},
	{Name: SendZCNotified, Call: "kernel io_uring SEND_ZC", When: "after the notification", Role: RoleReference, optional: true},
	{Name: Submit, Call: "xsend --release submit", When: "after the doorbell", Role: RoleControl, release: "submit"},
	{Name: Completion, Call: "xsend --release completion", When: "when the NIC is done", Role: RoleControl, release: "completion"},
	{Name: Acked, Call: "xsend --release acked", When: "when ACKed; completions late", Role: RoleControl, release: "acked", late: true},
	{Name: Ack, Call: "xsend --release ack", When: "when ACKed and the NIC is done", Role: RoleOurs, release: "ack"},
	{Name: AckLate, Call: "xsend --release ack", When: "the same; completions late", Role: RoleOurs, release: "ack", late: true},
}

// ShortRows are the rows of the short race.
var ShortRows = []string{Send, Sendfile, Completion, Ack}

// lookup is the sender of that name.
func lookup(name string) (Sender, error) {
	i := slices.IndexFunc(Senders, func(s Sender) bool { return s.Name == name })
	if i < 0 {
		return Sender{}, fmt.Errorf("no such row: %q: choose from %v", name, Names())
	}
	return Senders[i], nil
}

// Names are the names of all rows.
func Names() (names []string) {
	for _, s := range Senders {
		names = append(names, s.Name)
	}
	return names
}
