package hintedhandoff

import (
	"context"
	"sync"
	"time"
)

// pace holds all replays together to a number of bytes a second on average. Who waits has its turn: nobody overtakes.
type pace struct {
	// bytesPerSecond is the rate; negative is no bound.
	bytesPerSecond int64

	mu   sync.Mutex
	next time.Time
}

// wait returns when n more bytes are within the rate, or false when ctx is done.
func (p *pace) wait(ctx context.Context, n int) bool {
	if p.bytesPerSecond < 0 {
		return ctx.Err() == nil
	}
	return sleep(ctx, p.take(n), nil)
}

// take is how long to wait for one's turn.
func (p *pace) take(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	mine := p.next
	p.next = mine.Add(time.Duration(float64(n) / float64(p.bytesPerSecond) * float64(time.Second)))
	return mine.Sub(now)
}

// sleep waits for d, or until wake (which may be nil) is sent to. It is false when ctx is done.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-wake:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
