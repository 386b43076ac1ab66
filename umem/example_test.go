package umem_test

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/umem"
)

func ExampleMap() {
	r, err := umem.Map(umem.Config{Frames: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()

	n := copy(r.WriterBytes(3), "a writer fills its view")
	fmt.Printf("frame 3 at %d: %q\n", r.Addr(3), r.Bytes(3)[:n])
	f, ok := r.FrameAt(r.Addr(3) + 256) // what a ring hands back
	fmt.Println(f, ok, r.Frames()*r.ChunkSize(), "bytes in", r.Views(), "views")
	// Output:
	// frame 3 at 6144: "a writer fills its view"
	// 3 true 131072 bytes in 2 views
}

func ExampleMap_refused() {
	_, err := umem.Map(umem.Config{Frames: 64, ChunkSize: 9000})
	fmt.Println(errors.Is(err, umem.ErrGeometry))
	fmt.Println(err)
	// Output:
	// true
	// umem: bad geometry: chunk size 9000: must be a power of two from 2048 to 4096
}

// The life of one frame: sent twice, because the first transmission was lost. The
// ACK is not the end, and neither is the first completion.
func ExamplePool() {
	r, err := umem.Map(umem.Config{Frames: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	p, err := umem.NewPool(r, 0, 16, 4)
	if err != nil {
		fmt.Println(err)
		return
	}

	f, _ := p.Lend() // the writer fills r.WriterBytes(f)
	p.Commit(f)      // one segment refers to it
	p.Submit(f)      // sent
	p.Submit(f)      // and sent again

	p.Complete(r.Addr(f))
	fmt.Println("one completion: acked", p.Acked(), "done", p.Done())
	p.Drop(f)
	fmt.Println("ACKed:          acked", p.Acked(), "done", p.Done())
	p.Complete(r.Addr(f))
	fmt.Println("the other:      acked", p.Acked(), "done", p.Done())
	p.Drain()

	_, fault := p.Complete(r.Addr(f)) // the kernel says it once more
	fmt.Println("spurious:", fault == umem.FaultSpurious)
	census, err := p.Audit()
	fmt.Println("writer", census.Writer, "free", census.Free, err)
	// Output:
	// one completion: acked [] done []
	// ACKed:          acked [0] done []
	// the other:      acked [0] done [0]
	// spurious: true
	// writer 1 free 15 <nil>
}

func ExampleNewRing() {
	put, take := umem.NewRing[string](4) // one end for each of two goroutines

	for i := range put.Reserve(8) { // asks for 8, is granted 4
		put.Put(fmt.Sprint("commit ", i))
	}
	fmt.Println(take.Peek(8), "before Submit")
	put.Submit()
	for range take.Peek(2) {
		fmt.Println(take.Take())
	}
	take.Release()
	fmt.Println(put.Pending(), "pending, room for", put.Reserve(8))
	// Output:
	// 0 before Submit
	// commit 0
	// commit 1
	// 2 pending, room for 2
}
