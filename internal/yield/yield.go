// Package yield has work in the background give way to those who wait for an answer.
package yield

import (
	"runtime"
	"time"
)

// Now lets others run: the goroutines that are ready on this processor, and the threads that are on the system's. Both may wait although another
// processor is idle: the kernel of a virtual machine takes one that is halted for one that is taken, and wakes a thread up on the processor of whoever wakes
// it. It takes some 2 µs if nothing else is ready; where the processors are busy, as long as the time slices of all that is.
func Now() {
	runtime.Gosched()
	osYield()
}

const (
	// Records is how many small records work goes through between two rests: some tens of µs. Bytes is the same for large ones.
	Records = 64
	Bytes   = 64 << 10
	// RunLeast is how long work runs at least between two yields, and as long as the last one took.
	RunLeast = 50 * time.Microsecond
)

// Yielder yields now and then, for work that must go on also where the processors are busy: at most half of the time goes into yields. While this
// process keeps its processors busy there are none: what others wait for then is each other, and the work would only be in their way for longer. The zero value is
// ready. One goroutine at a time uses it.
type Yielder struct {
	// Yield, if not nil, is called in place of Now, however busy the processors are. It is for tests.
	Yield func()
	// next is when the next yield may be.
	next time.Time
	// load is what is looked at; nil is that of the process.
	load *load
}

// Rest yields, unless it has just done so. It is for calls after each few records.
func (y *Yielder) Rest() {
	began := time.Now()
	if began.Before(y.next) {
		return
	}
	load := &process
	if y.load != nil {
		load = y.load
	}
	if (y.Yield == nil || y.load != nil) && load.busy(began) {
		y.next = began.Add(lookInterval)
		return
	}
	if y.Yield != nil {
		y.Yield()
	} else {
		Now()
	}
	ended := time.Now()
	y.next = ended.Add(max(ended.Sub(began), RunLeast))
}
