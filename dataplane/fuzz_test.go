package dataplane

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// FuzzReceive gives a poller with a connection under way any packet, and any
// descriptor about it: nothing panics, and the books stay right. The first bytes say
// what the kernel claims.
func FuzzReceive(f *testing.F) {
	g := newRig(f, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	r := g.peer.flows[s.flow]
	h := wire.Header{Seq: r.sndNext, Ack: r.next, Flags: wire.FlagACK, Window: 100}
	buf := make([]byte, 300)
	ack := buf[256-r.tmpl.Put(buf[:256], &h, 10, 0) : 266]
	for i, b := range [][]byte{ack, ack[:40], make([]byte, 60), nil, {0xff}} {
		f.Add(uint8(i), uint64(0), uint32(0), b)
	}
	f.Add(uint8(9), uint64(1<<40), uint32(1<<31), ack)
	f.Fuzz(func(t *testing.T, lie uint8, addr uint64, length uint32, packet []byte) {
		if len(packet) > 1700 {
			return
		}
		g.port.deliver(packet)
		switch lie & 7 {
		case 1:
			g.port.krx.Put(umem.Desc{Addr: addr, Len: length})
			g.port.krx.Submit()
		case 2:
			g.port.complete(addr)
		}
		if b, ok := w.Reserve(s); ok {
			w.Commit(s, b, len(b.Bytes), 0)
		}
		for range 3 {
			g.p.Notify(g.p.Step(g.now) == 0)
			g.now += tcp.Microsecond
		}
		for w.Releases(make([]Release, 8)) > 0 {
		}
		if _, err := g.p.Audit(); err != nil {
			t.Fatal(err)
		}
		if s.Ended() { // a packet reset it
			s = g.open(w)
		}
	})
}
