package vfs

import (
	"runtime"
	"sync/atomic"
	"time"
)

// blocking counts the calls of Read that wait for a disk in a system call, as far as others look meanwhile.
var blocking atomic.Int32

// blockingMax is how many of them may: half of the processors that there were at the start, at least one.
var blockingMax = int32(max(runtime.GOMAXPROCS(0)/2, 1))

const (
	// looksMax and lookWait bound how often and for how long each other one looks for its bytes: for about as long as a disk takes. Where the
	// processors are busy with other things a yield may take a whole time slice, and then there is no other.
	looksMax = 60
	lookWait = 200 * time.Microsecond
	// lookBytesMax is how large a read is at most that looks: larger ones come from those who read on and on.
	lookBytesMax = 64 << 10
)

// Read is f.ReadAt for reads of any place in a file that may not be in the page cache. A system call that waits for the disk keeps its
// processor until the runtime takes it back, which takes about as long as the disk: so no more reads would be under way than there are
// processors, and all other goroutines would wait for these. Instead most readers look again and again for what the first look has had the
// kernel begin to read (Linux 5.10 and later), and let others run in between.
func Read(f File, p []byte, off int64) (n int, err error) {
	n, coming := f.ReadAtCached(p, off)
	if coming && n < len(p) && len(p) <= lookBytesMax {
		began := time.Now()
		for look := 0; n < len(p) && coming && look < looksMax && blocking.Load() >= blockingMax; look++ {
			runtime.Gosched()
			var more int
			more, coming = f.ReadAtCached(p[n:], off+int64(n))
			n += more
			if time.Since(began) > lookWait {
				break
			}
		}
	}
	if n == len(p) {
		return n, nil
	}
	blocking.Add(1)
	defer blocking.Add(-1)
	more, err := f.ReadAt(p[n:], off+int64(n))
	return n + more, err
}
