// Package trap makes a store to a frame that is not its writer's a fault, at the instruction that does it.
//
// It owns the protection of the writers' view of a region, and a table in a memfd that says of each frame who holds it (the pool's
// own ledger, umem.Pool.Share) and who wrote to it last. A frame may be written from Reserve to Commit or Abandon, and from
// taking its release until the function that is told of it returns (with Writer.Releases: until the writer's next Reserve, Releases or Wait). At
// any other time it may only be read, on a writer's own stack of free frames too. The engine's view is another mapping: that a packet's
// headers are written, and a frame received into, is no matter. That takes four calls of mprotect for each frame sent, all of them
// the writer's: the poller makes none.
//
// What happens to a stray store depends on who makes it:
//
//   - a goroutine under Guard (Writer.Go, Writer.Guard) gets a *StrayWrite as its error: frame, offset, holder, stack;
//   - any other goroutine ends the process, as faults do in Go, and a child process (Watch, Monitor) that has the table says below Go's
//     own words which frame it was, who held it and who wrote to it last;
//   - a system call (read(2) into such a frame) fails with EFAULT, which Explain makes the same *StrayWrite of.
//
// It refuses frames that are not exactly a page, huge pages, more frames than the kernel has mappings for, and memory of
// somebody else's (Check, New). It cannot see what the kernel, a device, or the engine's view of the same memory are used to write; the audit of payload
// (dataplane.PayloadAudit) sees that.
//
// Goroutines: none of its own but the one that waits for the child. Allow, Forbid and Wrote are for whoever holds the frame; everything else for anybody.
package trap
