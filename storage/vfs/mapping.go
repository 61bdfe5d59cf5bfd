package vfs

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Mapping is a range of a file in memory, shared with everyone who reads or writes the file: what is written here is
// read there, and made durable by File.Sync.
//
// Touching Bytes faults where the disk cannot be read, where a write needs space that the disk does not have, and where
// the file does not reach: beyond its end, from the next page on, until WriteAt or Truncate make it longer. In between,
// up to the end of its last page, there are zeros, and what is written there is lost: only WriteAt and Truncate
// change a file's length. A fault ends the process, except under Guard. A system call that is given Bytes
// fails with EFAULT instead.
type Mapping struct {
	// Bytes is the range. It may be written to only if the mapping is writable (else it faults), and must not be used
	// once Unmap was called.
	Bytes []byte
	// Unmap ends the mapping. Later calls do nothing and return what the first one did.
	Unmap func() error
}

// FaultError is a fault of memory that Guard has caught.
type FaultError struct {
	// Addr is what could not be read or written.
	Addr uintptr
}

func (e *FaultError) Error() string { return fmt.Sprintf("memory fault at %#x", e.Addr) }

// Guard runs fn, which touches a Mapping, and returns a *FaultError if it faulted: then fn stopped at any point,
// with its own deferred calls done. Any other panic, a nil dereference too, passes through. It holds for
// the calling goroutine only, not for those that fn starts.
//
// It costs about 10 ns and does not allocate: fn may be a closure over local variables. (A deferred handler that is
// made by a call, defer Catch(&err)(), takes ten times as long and allocates.) Copy first, and check the copy.
func Guard(fn func()) (fault error) {
	before, done := debug.SetPanicOnFault(true), false
	defer func() {
		debug.SetPanicOnFault(before)
		if done {
			return // recover would cost more than all the rest
		}
		if r := recover(); r != nil {
			fault = asFault(r)
		}
	}()
	fn()
	done = true
	return nil
}

// asFault panics again with what is not a fault: the trace then still shows where it came from.
func asFault(r any) error {
	// Only faults at an unexpected address have an Addr, by the documentation of debug.SetPanicOnFault.
	if f, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		return &FaultError{Addr: f.Addr()}
	}
	panic(r)
}
