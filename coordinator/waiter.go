package coordinator

import (
	"context"
	"sync"
	"time"
)

// process is a part of a request that callbacks carry on, and that has to be woken when time passes.
// Implementations lock for themselves; both methods may be called after the end, with no effect.
type process interface {
	// tick is told the time and says when it is to be told next; zero is never.
	tick(now time.Time) time.Time
	// abandon ends the process at once because of err: nobody waits any longer.
	abandon(err error)
}

// waiter parks a request's goroutine until its processes have ended. Waiters are pooled for each Coordinator and not
// for the process, so that tests with a fake clock do not inherit another test's timer.
type waiter struct {
	ended chan struct{}
	timer *time.Timer
	// done wakes the goroutine. It must be called exactly once for each await.
	done func()
}

func newWaiter() *waiter {
	t := time.NewTimer(time.Hour)
	t.Stop()
	w := &waiter{ended: make(chan struct{}, 1), timer: t}
	w.done = func() { w.ended <- struct{}{} }
	return w
}

// await returns once done was called, having told p of the time whenever it wanted to know, and having abandoned p
// when ctx ended. p must see to it that done is called soon after it was abandoned.
func (w *waiter) await(ctx context.Context, p process) {
	select {
	case <-w.ended: // answered without waiting: no timer
		return
	default:
	}
	gone := ctx.Done()
	w.arm(p)
	for {
		select {
		case <-w.ended:
			w.timer.Stop()
			return
		case <-w.timer.C:
			w.arm(p)
		case <-gone:
			gone = nil
			p.abandon(context.Cause(ctx))
		}
	}
}

func (w *waiter) arm(p process) {
	now := time.Now()
	if next := p.tick(now); !next.IsZero() {
		w.timer.Reset(next.Sub(now))
	}
}

// alarm does for a process without a goroutine of its own what await does. The zero alarm is ready.
type alarm struct {
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

func (a *alarm) start(p process) {
	now := time.Now()
	next := p.tick(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped && !next.IsZero() {
		a.timer = time.AfterFunc(next.Sub(now), func() { a.ring(p) })
	}
}

func (a *alarm) ring(p process) {
	now := time.Now()
	next := p.tick(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped && !next.IsZero() {
		a.timer.Reset(next.Sub(now))
	}
}

// stop lets go of the process. It may come before start has returned, or before it was called.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
