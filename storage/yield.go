package storage

import "runtime"

// yieldRecords is how many records work in the background goes through between two yields: some tens of µs.
const yieldRecords = 64

// yield lets others run: goroutines that wait for this processor, and threads that wait for the one that this thread is on. There may
// be some although another processor is idle: a virtual machine may take one that is halted for one that others have, and then wakes a
// thread up where the one runs that wakes it. With nobody there it takes 2 µs.
func yield() {
	runtime.Gosched()
	yieldThread()
}
