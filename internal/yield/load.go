package yield

import (
	"runtime"
	"sync"
	"time"
)

const (
	// lookInterval is how often it is looked how busy the processors are, and busyShare from which part of their time on they are.
	lookInterval = 50 * time.Millisecond
	busyShare    = 0.85
)

// load is how busy this process keeps its processors. That others keep them busy is not seen.
type load struct {
	// used is the time for which it had one, of all threads.
	used func() time.Duration

	mu     sync.Mutex
	looked time.Time
	before time.Duration
	isBusy bool
}

var process = load{used: processorTime}

// busy says whether they were until the last look, which is now if it is time for one. In a test with a fake clock they never are.
func (l *load) busy(now time.Time) bool {
	if now == now.Round(0) { // a fake clock has no monotonic reading, and says nothing of time on a processor
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.looked); passed >= lookInterval {
		used := l.used()
		l.isBusy = float64(used-l.before) > busyShare*float64(passed)*float64(runtime.GOMAXPROCS(0))
		l.looked, l.before = now, used
	}
	return l.isBusy
}
