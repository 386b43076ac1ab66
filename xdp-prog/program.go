package xdpprog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Program is the steering program, attached to one interface.
type Program struct {
	nic     nic
	mode    Mode
	refused error
	id      uint32
	queues  int

	mu   sync.RWMutex // link and objs against Close
	link link.Link    // nil once closed
	objs *steerObjects
}

// Mode is how the program is attached: ModeNative or ModeGeneric.
func (p *Program) Mode() Mode { return p.mode }

// NativeRefused is why ModeAuto settled for ModeGeneric; nil if it didn't.
func (p *Program) NativeRefused() error { return p.refused }

// ID is the kernel's id of the program, as ip link and bpftool show it.
func (p *Program) ID() uint32 { return p.id }

// Queues is how many RX queues, from 0, can have a socket.
func (p *Program) Queues() int { return p.queues }

// do runs f while the maps are open.
func (p *Program) do(operation string, f func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	err := ErrClosed
	if p.link != nil {
		err = f()
	}
	if err != nil {
		return fmt.Errorf("XDP program on %s: %s: %w", p.nic.name, operation, err)
	}
	return nil
}

// portKey is a port as the map has it: two bytes in network order.
func portKey(port uint16) (key [2]byte) {
	binary.BigEndian.PutUint16(key[:], port)
	return key
}

// AddPort makes a local TCP port ours: from now on segments to it go to our sockets or
// nowhere. Add it before the first SYN leaves. Adding it twice is the same as once.
func (p *Program) AddPort(port uint16) error {
	return p.do(fmt.Sprintf("add port %d", port), func() error {
		if port == 0 {
			return errors.New("TCP has no port 0")
		}
		return p.objs.Ports.Put(portKey(port), uint8(1))
	})
}

// RemovePort gives a port back to the kernel, which resets what still arrives for it.
// A port that isn't there is no error.
func (p *Program) RemovePort(port uint16) error {
	return p.do(fmt.Sprintf("remove port %d", port), func() error {
		return unlessAbsent(p.objs.Ports.Delete(portKey(port)))
	})
}

// RegisterSocket makes fd, an AF_XDP socket, the destination of our frames that arrive
// on an RX queue. It takes the place of one registered before; closing the socket
// unregisters it. The socket has to have an RX ring and to be bound to this interface
// and queue: the kernel accepts any other too, drops the frames, and they count as
// redirected.
func (p *Program) RegisterSocket(queue int, fd int) error {
	return p.do(fmt.Sprintf("register socket for queue %d", queue), func() error {
		if err := p.checkQueue(queue); err != nil {
			return err
		}
		if fd < 0 {
			return fmt.Errorf("file descriptor %d: %w", fd, unix.EBADF)
		}
		if err := p.objs.Xsks.Put(uint32(queue), uint32(fd)); err != nil {
			return fmt.Errorf("file descriptor %d: %w (want an AF_XDP socket with an RX ring)", fd, err)
		}
		return nil
	})
}

// UnregisterSocket leaves a queue without a socket: our TCP segments that arrive there
// are dropped and counted. A queue that has none is no error.
func (p *Program) UnregisterSocket(queue int) error {
	return p.do(fmt.Sprintf("unregister socket of queue %d", queue), func() error {
		if err := p.checkQueue(queue); err != nil {
			return err
		}
		return unlessAbsent(p.objs.Xsks.Delete(uint32(queue)))
	})
}

func (p *Program) checkQueue(queue int) error {
	if queue < 0 || queue >= p.queues {
		return fmt.Errorf("the program was attached with queues 0 to %d (Config.Queues)", p.queues-1)
	}
	return nil
}

func unlessAbsent(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// Close detaches the program and frees its maps; the interface is the kernel's alone.
// Detach before closing the sockets. The second Close does nothing.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	// Closing the link detaches too, but the kernel may defer that; Detach has happened when it returns.
	err := errors.Join(p.link.Detach(), p.link.Close(), p.objs.Close())
	p.link = nil
	if err != nil {
		return fmt.Errorf("XDP program on %s: detach: %w", p.nic.name, err)
	}
	return nil
}
