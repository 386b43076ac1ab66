package netem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// address is an abstract unix socket's. Such addresses belong to the network namespace: nobody else's wire
// is there, no file stays behind, and nothing outside can reach it.
const address = "@xsend-wire"

// patience is how long a client and the wire wait for each other.
const patience = 2 * time.Second

// What a client may ask for.
const (
	askStatus = "status"
	askSet    = "set"
	askStop   = "stop"
)

// question and answer are one line of JSON each, one pair to a connection.
type question struct {
	Ask    string  `json:"ask"`
	Config *Config `json:"config,omitempty"`
}

type answer struct {
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// desk answers clients.
type desk struct {
	wire *wire
	ln   net.Listener
	wg   sync.WaitGroup
}

func (w *wire) listen() (*desk, error) {
	ln, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w: a wire runs in this network namespace already", err)
	}
	d := &desk{wire: w, ln: ln}
	d.wg.Go(d.serve)
	return d, nil
}

func (d *desk) close() {
	d.ln.Close()
	d.wg.Wait()
}

func (d *desk) serve() {
	for {
		conn, err := d.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			d.attend(conn)
		}
	}
}

// attend answers one client; one that says nothing is sent away.
func (d *desk) attend(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // can't fail on an open socket
	var q question
	if err := json.NewDecoder(conn).Decode(&q); err != nil {
		return
	}
	_ = json.NewEncoder(conn).Encode(d.reply(q)) // a client that is gone needs no answer
}

func (d *desk) reply(q question) (a answer) {
	var err error
	switch {
	case q.Ask == askStop:
		d.wire.stop()
	case q.Ask == askSet && q.Config != nil:
		err = d.wire.set(*q.Config)
	case q.Ask == askStatus:
		var s Status
		s, err = d.wire.status()
		a.Status = &s
	default:
		err = fmt.Errorf("wire: can't do %q", q.Ask)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}
