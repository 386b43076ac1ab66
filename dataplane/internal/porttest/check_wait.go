package porttest

import (
	"time"

	"github.com/xsend/xsend/umem"
)

func checkWaitTimeout(b *bench) {
	const d = 20 * time.Millisecond
	start := time.Now()
	for end := start.Add(patience); time.Since(start) < d; b.Port.Wait(d) { // it may return early
		if time.Now().After(end) {
			b.Fatal("Wait does not end")
		}
	}
	if got := time.Since(start); got > patience {
		b.Errorf("waited %v, asked for %v", got, d)
	}
	b.Port.Wait(0)
	b.Port.Wait(-time.Second)
}

// checkWaitNoSpin counts how often Wait returns where there is room to send, and
// completions lie there, and nothing was received: by time only.
func checkWaitNoSpin(b *bench) {
	b.tx(0, 0, 100)
	b.push()
	b.arrived()
	const d, passes = 5 * time.Millisecond, 20
	n := 0
	for start := time.Now(); time.Since(start) < d*passes; n++ {
		b.Port.Wait(d)
	}
	if n > 2*passes {
		b.Errorf("Wait(%v) returned %d times in %v", d, n, d*passes)
	}
	b.drain()
}

func checkWaitFrame(b *bench) {
	b.fill(0, 4)
	b.send(9, 100)
	start := time.Now()
	b.Port.Wait(patience)
	for b.Port.Rx(make([]umem.Desc, 1)) == 0 {
		if time.Since(start) >= patience {
			b.Fatal("a frame arrived, and Wait went on")
		}
		b.Port.Wait(patience)
	}
	if got := time.Since(start); got >= patience {
		b.Errorf("Wait took %v with a frame there", got)
	}
}

// checkWaitWake wakes before Wait, and during it.
func checkWaitWake(b *bench) {
	start := time.Now()
	b.Port.Wake()
	b.Port.Wake()
	b.Port.Wait(patience)
	if got := time.Since(start); got >= patience {
		b.Errorf("woken before, Wait took %v", got)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; i < 100; i++ {
			b.Port.Wake()
		}
	}()
	b.Port.Wait(patience)
	<-done
	if got := time.Since(start); got >= patience {
		b.Errorf("woken meanwhile, Wait took %v", got)
	}
}
