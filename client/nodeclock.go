package client

import (
	"context"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

const (
	// estimateFresh is how long an estimate is used before another is asked for in the background, estimateMax how long it is used at all.
	estimateFresh = 10 * time.Second
	estimateMax   = time.Minute
	// wallJumpMax is how far the wall clock may part from the monotonic one, which stands still while the machine is suspended, before
	// an estimate is of no use. Slewing stays far below it in estimateMax.
	wallJumpMax = 100 * time.Millisecond
	// driftShift makes the error that two clocks are allowed to gather: one part in 1024, twice what slewing does.
	driftShift = 10
)

// estimate is what a connection knows of its node's wall clock: that it showed at most nowMicros at a moment of ours. It errs
// to the late side, by a ping's way there at most, so that no request is refused before its time.
type estimate struct {
	at time.Time
	// wallNanos is our wall clock at that moment.
	wallNanos int64
	// nowMicros is microseconds since the Unix epoch; zero if the node does not tell: requests then bring no deadline.
	nowMicros int64
}

// trust says how an estimate may be used.
type trust uint8

const (
	trustNone trust = iota
	// trustAging: use it, and ask for another.
	trustAging
	trustFully
)

// trust judges an estimate, nil for none, at a moment and what our wall clock shows then.
func (e *estimate) trust(now time.Time, wallNanos int64) trust {
	if e == nil {
		return trustNone
	}
	age := now.Sub(e.at)
	jump := time.Duration(wallNanos-e.wallNanos) - age
	switch {
	case age > estimateMax, jump > wallJumpMax, jump < -wallJumpMax:
		return trustNone
	case age > estimateFresh:
		return trustAging
	}
	return trustFully
}

// micros is what the node's clock shows at most at a moment of ours; zero if that is not known.
func (e *estimate) micros(t time.Time) int64 {
	if e.nowMicros == 0 {
		return 0
	}
	age := t.Sub(e.at)
	return e.nowMicros + (age + max(age, 0)>>driftShift).Microseconds() + 1
}

// estimateOf is the estimate by a ping that was sent at a moment, took so long, and was told the time; last is the one before. The node read
// its clock while the ping was under way. Where the last estimate agrees with that it is kept if it is the stricter one: a ping that
// waited in a queue says little.
func estimateOf(sent time.Time, took time.Duration, nowMicros int64, last *estimate) *estimate {
	e := &estimate{at: sent, wallNanos: sent.UnixNano(), nowMicros: nowMicros}
	if nowMicros != 0 && last.trust(sent, e.wallNanos) != trustNone {
		if m := last.micros(sent); m < nowMicros && m >= nowMicros-took.Microseconds() {
			e.nowMicros = m
		}
	}
	return e
}

// asking is a ping under way that asks for the time.
type asking struct {
	id   uint32
	sent time.Time
	// done is closed when it was answered or the connection has ended.
	done chan struct{}
}

// nodeClock is the estimate for a request that is sent now, within the wait. Where there is none to be trusted it waits for one.
// Errors: why nothing can be sent.
func (c *conn) nodeClock(ctx context.Context, now time.Time, wait time.Duration) (*estimate, error) {
	e := c.estimate.Load()
	switch e.trust(now, now.UnixNano()) {
	case trustFully:
		return e, nil
	case trustAging:
		_, err := c.ask()
		return e, err
	}
	return c.awaitNodeClock(ctx, wait-time.Since(now))
}

func (c *conn) awaitNodeClock(ctx context.Context, wait time.Duration) (*estimate, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		a, err := c.ask()
		if err != nil {
			return nil, err
		}
		select {
		case <-a.done:
		case <-timer.C:
			return nil, errAttemptTimeout
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now := time.Now()
		if e := c.estimate.Load(); e.trust(now, now.UnixNano()) != trustNone {
			return e, nil
		}
	}
}

// ask pings the node for its time, unless a ping is under way.
func (c *conn) ask() (*asking, error) {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	a := c.asking
	if a != nil {
		c.mu.Unlock()
		return a, nil
	}
	a = &asking{id: c.nextIDLocked(), sent: time.Now(), done: make(chan struct{})}
	c.asking = a
	c.mu.Unlock()
	err := c.link.Send(func(w *wire.Writer) {
		w.Request(a.id, wire.MethodPing)
		(&wire.PlainRequest{}).Encode(w)
	})
	if err != nil {
		if c.asked(a.id) != nil {
			close(a.done)
		}
		return nil, err
	}
	return a, nil
}

// asked ends the ping with the id; nil if there is none. Who got it must close its done.
func (c *conn) asked(id uint32) *asking {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.asking
	if a == nil || a.id != id {
		return nil
	}
	c.asking = nil
	return a
}

// told takes the answer to a ping. One that took long tells too little to go by, but whoever refuses to answer does not tell the time.
func (c *conn) told(a *asking, e *wire.Envelope) error {
	defer close(a.done)
	took := time.Since(a.sent)
	var pong wire.PingResult
	if f, _ := e.Failure(); f == nil {
		if err := pong.Decode(&e.Body); err != nil {
			return err
		}
	}
	if took <= c.node.c.opts.DialTimeout {
		c.estimate.Store(estimateOf(a.sent, took, pong.NowMicros, c.estimate.Load()))
	}
	return nil
}
