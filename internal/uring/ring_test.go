package uring

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func ring(t *testing.T) *Ring {
	t.Helper()
	r, err := New(8)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// What is sent arrives, each request is answered by one completion with all its bytes, and by one notification behind it.
func TestSendZC(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := ring(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan []byte, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(conn)
		conn.Close()
		got <- b
	}()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f, err := conn.(*net.TCPConn).File()
	conn.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size, count = 100_000, 20
	mem, err := unix.Mmap(-1, 0, size*count, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	for i := range mem {
		mem[i] = byte(i / 7)
	}
	sent, notified := map[uint64]int{}, map[uint64]int{}
	take := func() {
		for c, ok := r.Next(); ok; c, ok = r.Next() {
			switch {
			case c.Err != nil:
				t.Fatal(c.Err)
			case c.Notification:
				notified[c.Cookie]++
				if sent[c.Cookie] == 0 {
					t.Errorf("notification %d before its completion", c.Cookie)
				}
			default:
				sent[c.Cookie] += c.Sent
				if !c.More {
					t.Errorf("completion %d announces no notification", c.Cookie)
				}
			}
		}
	}
	for i := range uint64(count) {
		if err := r.SendZC(int(f.Fd()), mem[i*size:(i+1)*size], i+1); err != nil {
			t.Fatal(err)
		}
		for sent[i+1] == 0 {
			if err := r.Enter(true); err != nil {
				t.Fatal(err)
			}
			take()
		}
	}
	for len(notified) < count {
		if err := r.Enter(true); err != nil {
			t.Fatal(err)
		}
		take()
	}
	f.Close()
	if b := <-got; !bytes.Equal(b, mem) {
		t.Errorf("%d bytes arrived, or others than were sent", len(b))
	}
	for i := range uint64(count) {
		if sent[i+1] != size || notified[i+1] != 1 {
			t.Errorf("request %d: %d bytes, %d notifications", i+1, sent[i+1], notified[i+1])
		}
	}
}

// A request that can't be is answered with the reason; a full ring is an error.
func TestRefusals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := ring(t)
	b := make([]byte, 1)
	for range 8 {
		if err := r.SendZC(-1, b, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SendZC(-1, b, 1); err == nil {
		t.Error("a ninth request in a ring of eight")
	}
	if err := r.Enter(true); err != nil {
		t.Fatal(err)
	}
	c, ok := r.Next()
	if !ok || !errors.Is(c.Err, unix.EBADF) {
		t.Errorf("%+v, %v", c, ok)
	}
	if _, err := New(0); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.EINVAL) {
		t.Errorf("a ring without entries: %v", err)
	}
}
