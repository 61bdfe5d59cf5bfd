package storage

import (
	"context"
	"time"

	"github.com/ringcask/ringcask/internal/yield"
)

// throttle holds background work to a number of bytes a second on average, and lets others run each time that it is asked for some. One goroutine uses it.
type throttle struct {
	// bytesPerSecond is the rate; zero or less is no bound.
	bytesPerSecond int64
	next           time.Time
	yielder        yield.Yielder
}

// newThrottle is a throttle of the engine's work.
func (e *Engine) newThrottle(bytesPerSecond int64) throttle {
	return throttle{bytesPerSecond: bytesPerSecond, yielder: yield.Yielder{Yield: e.opts.yield}}
}

// wait returns when n more bytes are within the rate, or with the cause of ctx's end.
func (t *throttle) wait(ctx context.Context, n int64) error {
	if t.bytesPerSecond > 0 && n > 0 {
		now := time.Now()
		if t.next.Before(now) {
			t.next = now
		}
		t.next = t.next.Add(time.Duration(float64(n) / float64(t.bytesPerSecond) * float64(time.Second)))
		if wait := t.next.Sub(now); wait > time.Millisecond {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
	}
	if n > 0 {
		t.yielder.Rest()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// whileOpen is ctx, ended with ErrClosed as its cause when the engine closes. The caller calls done.
func (e *Engine) whileOpen(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.merger.stop, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
