package rpc

import (
	"sync"
	"sync/atomic"
)

// idleWorkersMax is how many goroutines are kept for the next requests, a few kilobytes each.
const idleWorkersMax = 512

// workers run requests, each on a goroutine of its own that is used again: to grow the stack of a fresh one for each request
// took 9 % of a node's CPU. There are as many as there are requests under way; admission bounds them.
type workers struct {
	// next hands a request to a worker that waits.
	next    chan request
	idle    atomic.Int32
	running sync.WaitGroup
}

func newWorkers() *workers { return &workers{next: make(chan request)} }

// run begins a request; it does not wait.
func (w *workers) run(q request) {
	select {
	case w.next <- q:
	default:
		w.running.Go(func() { w.work(q) })
	}
}

func (w *workers) work(q request) {
	for ok := true; ok; {
		q.run()
		q = request{} // a worker that waits must not keep a message alive
		if w.idle.Add(1) > idleWorkersMax {
			w.idle.Add(-1)
			return
		}
		q, ok = <-w.next
		w.idle.Add(-1)
	}
}

// close ends the workers and waits for them. No request may be begun any more.
func (w *workers) close() {
	close(w.next)
	w.running.Wait()
}
