// Package yield has work in the background give way to those who wait for an answer.
package yield

import (
	"runtime"
	"time"
)

// Now lets others run: the goroutines that are ready on this processor, and the threads that are on the system's. Both may wait although another
// processor is idle: the kernel of a virtual machine takes one that is halted for one that is taken, and wakes a thread up on the processor of whoever wakes
// it. It takes some 2 µs where nobody is ready, and as long as all others who are where the processors are busy.
func Now() {
	runtime.Gosched()
	thread()
}

const (
	// Records is how many small records work goes through between two rests: some tens of µs. Bytes is the same for large ones.
	Records = 64
	Bytes   = 64 << 10
	// RunLeast is how long work runs at least between two yields.
	RunLeast = 50 * time.Microsecond
	// 1/share is how much of the time may go into yields, and spareMost how much of that may be put by.
	share     = 4
	spareMost = 10 * time.Millisecond
)

// Yielder yields now and then, for work that must go on also where the processors are busy: at most a quarter of the time goes into its yields. The zero
// value is ready. One goroutine at a time uses it.
type Yielder struct {
	// Yield is called in place of Now, if it is not nil.
	Yield func()
	// looked is when Rest was called last, ran when the last yield ended. spare is for how long it may be at yields.
	looked, ran time.Time
	spare       time.Duration
}

// Rest yields, unless it has just done so. It is for calls after each few records.
func (y *Yielder) Rest() {
	now := time.Now()
	if y.looked.IsZero() {
		y.looked = now
	}
	y.spare = min(y.spare+now.Sub(y.looked)/share, spareMost)
	y.looked = now
	if y.spare <= 0 || now.Sub(y.ran) < RunLeast {
		return
	}
	if y.Yield != nil {
		y.Yield()
	} else {
		Now()
	}
	y.ran = time.Now()
	y.spare -= y.ran.Sub(now)
}
