package netem

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Flood sends a frame again and again from an interface of the thread's network namespace, at a rate in bits of
// frame per second, for that long: to show what a wire carries. It returns the number of frames that the kernel
// took, which is less than the rate asks for where the machine can't do it.
func Flood(ctx context.Context, name string, frame []byte, rate int64, d time.Duration) (sent uint64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := openSocket(name)
	if err != nil {
		return 0, err
	}
	defer s.close()
	each := serialization(len(frame), rate)
	begin := time.Now()
	for ctx.Err() == nil {
		passed := min(time.Since(begin), d)
		n, err := s.burst(frame, uint64(Time(passed)/each)-sent)
		sent += n
		if err != nil {
			return sent, fmt.Errorf("%s: send: %w", name, err)
		}
		if passed == d {
			return sent, nil
		}
		if err := interrupted(pollBriefly(nil, quantum)); err != nil {
			return sent, err
		}
	}
	return sent, context.Cause(ctx)
}

// burst sends so many frames, or as many as the kernel takes now.
func (s *socket) burst(frame []byte, n uint64) (sent uint64, err error) {
	for sent < n {
		for s.out.used = 0; s.out.used < batchSize && uint64(s.out.used) < n-sent; {
			s.out.add(frame)
		}
		took, err := s.out.send(s.fd, 0)
		sent += uint64(took)
		if err != nil {
			return sent, s.excuse("send", err)
		}
	}
	return sent, nil
}
