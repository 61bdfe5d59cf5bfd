package causal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ClockOptions are the settings of a clock.
type ClockOptions struct {
	// Now is the physical clock; nil is time.Now.
	Now func() time.Time
	// Ceiling is what Persist last made durable, zero at the very first start. The clock starts there: every timestamp that a
	// forgotten run issued is at or below it.
	Ceiling Timestamp
	// Persist makes a new ceiling durable before it returns nil. It is never called twice at once. Required.
	Persist func(Timestamp) error
	// Window is how far ahead of what is needed the ceiling is set, and so how far ahead of the physical clock a clock
	// may start after a crash. Zero is 3 s.
	Window time.Duration
	// ClientAheadMax is how far ahead of the physical clock a timestamp may be that a client brings. Zero is 60 s.
	ClientAheadMax time.Duration
}

func (o ClockOptions) withDefaults() ClockOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Window <= 0 {
		o.Window = 3 * time.Second
	}
	if o.ClientAheadMax <= 0 {
		o.ClientAheadMax = 60 * time.Second
	}
	return o
}

const (
	// timestampMax is the greatest timestamp that a clock follows or issues, in the year 6429. One beyond it is joined and stored
	// like any other, but moves no clock: it may cost its own key further writes, never those of the other keys.
	timestampMax Timestamp = 1<<63 - 1

	// clientSlack is how far past the clock a client may push it where the clock is ahead of the physical clock already by
	// more than ClientAheadMax. It is as far as one node's clock may be behind another's between two messages. It is small so
	// that a hostile client cannot drive the clock on, step by step, much faster than time passes.
	clientSlack = 10 * time.Millisecond
)

var (
	// ErrClockExhausted: a timestamp was asked for that would have to be beyond the greatest that is ever issued.
	ErrClockExhausted = errors.New("causal: timestamps are exhausted")
	// ErrClockSettled: the clock was settled and issues no more than what its ceiling then allowed.
	ErrClockSettled = errors.New("causal: clock is settled")
	// ErrClockAhead is wrapped by the errors of ObserveClient and CheckContext.
	ErrClockAhead = errors.New("causal: timestamp is too far in the future")
)

// Clock is a hybrid logical clock: it follows the physical clock, and everything that it has issued or observed where that
// is ahead. What it issues is below a ceiling that was made durable before, so that after a crash a clock that starts at
// the ceiling issues nothing twice, even where the physical clock went back. It is safe for concurrent use.
type Clock struct {
	opts ClockOptions
	half Timestamp // half of the window
	// last is the greatest timestamp issued or observed; ceiling is durable. Both only grow.
	last, ceiling atomic.Uint64
	// low is told, without waiting, that less than half of the window is left.
	low chan struct{}
	// extending is held while the ceiling is made durable. It guards settled.
	extending sync.Mutex
	settled   bool
}

// NewClock is a clock that has issued everything up to opts.Ceiling. It starts nothing: see Reserve and Run.
func NewClock(opts ClockOptions) *Clock {
	c := &Clock{opts: opts.withDefaults(), low: make(chan struct{}, 1)}
	c.half = Timestamp(0).add(c.opts.Window / 2)
	c.last.Store(uint64(opts.Ceiling))
	c.ceiling.Store(uint64(opts.Ceiling))
	return c
}

// Last is the greatest timestamp issued or observed.
func (c *Clock) Last() Timestamp { return Timestamp(c.last.Load()) }

// Next issues a timestamp greater than everything issued or observed before and than after. It returns at once, unless
// the ceiling has to be raised first, which Run sees to ahead of need. Its errors are ErrClockExhausted, ErrClockSettled
// and those of Persist; nothing is issued then.
func (c *Clock) Next(after Timestamp) (Timestamp, error) {
	for {
		last := c.last.Load()
		floor := max(Timestamp(last), after)
		if floor >= timestampMax {
			return 0, ErrClockExhausted
		}
		next := min(max(floor+1, TimestampOf(c.opts.Now())), timestampMax)
		if next.IsFinal() {
			next = min(next+1, timestampMax)
		}
		if ceiling := Timestamp(c.ceiling.Load()); next > ceiling {
			if err := c.raise(next); err != nil {
				return 0, err
			}
		} else if ceiling-next < c.half {
			c.wake()
		}
		if c.last.CompareAndSwap(last, uint64(next)) {
			return next, nil
		}
	}
}

// Observe advances the clock past a timestamp that came from a peer or stands in a stored object.
func (c *Clock) Observe(t Timestamp) {
	if t > timestampMax {
		return
	}
	for {
		last := c.last.Load()
		if uint64(t) <= last || c.last.CompareAndSwap(last, uint64(t)) {
			return
		}
	}
}

// ObserveClient advances the clock past a timestamp that a client brought. One that is further ahead of the physical
// clock than ClientAheadMax, and is not one that this clock or one close to it has issued, is refused with an error that wraps
// ErrClockAhead: a client must not be able to push the clock into the future.
func (c *Clock) ObserveClient(t Timestamp) error {
	if err := c.checkClient(t); err != nil {
		return err
	}
	c.Observe(t)
	return nil
}

// CheckContext refuses, like ObserveClient, a causal context that a client brought if one of its times is too far ahead:
// the dot of a write exceeds all of them. The clock is not advanced.
func (c *Clock) CheckContext(v Vector) error { return c.checkClient(v.Max()) }

func (c *Clock) checkClient(t Timestamp) error {
	last := c.Last()
	if t <= last {
		return nil
	}
	now := TimestampOf(c.opts.Now())
	if limit := max(now.add(c.opts.ClientAheadMax), last.add(clientSlack)); t > min(limit, timestampMax) {
		return fmt.Errorf("%w: %v, and it is %v now", ErrClockAhead, t, now)
	}
	return nil
}

// Run keeps the ceiling ahead of need until ctx is done. A failure of Persist is not returned: Run tries again, and Next
// reports it once the ceiling is reached.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(c.opts.Window / 2)
	defer tick.Stop()
	for {
		_ = c.Reserve()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-c.low:
		}
	}
}

// Reserve raises the ceiling to a full window ahead, if less than half of one is left.
func (c *Clock) Reserve() error {
	next := max(c.Last(), TimestampOf(c.opts.Now()))
	if next >= timestampMax {
		return ErrClockExhausted
	}
	return c.raise(next + c.half)
}

// Settle lowers the durable ceiling to what was really issued or observed, so that a clock that starts there starts with no
// gap. Nothing may be issued any more: Persist is never called again.
func (c *Clock) Settle() error {
	c.extending.Lock()
	defer c.extending.Unlock()
	if c.settled {
		return nil
	}
	c.settled = true
	return c.opts.Persist(min(c.Last(), timestampMax))
}

// raise sees to it that the durable ceiling is at least need, and sets it half a window further where it has to move.
func (c *Clock) raise(need Timestamp) error {
	need = min(need, timestampMax)
	c.extending.Lock()
	defer c.extending.Unlock()
	if Timestamp(c.ceiling.Load()) >= need {
		return nil
	}
	if c.settled {
		return ErrClockSettled
	}
	ceiling := min(need+c.half, timestampMax)
	if err := c.opts.Persist(ceiling); err != nil {
		return fmt.Errorf("causal: raise the clock's ceiling: %w", err)
	}
	c.ceiling.Store(uint64(ceiling))
	return nil
}

func (c *Clock) wake() {
	select {
	case c.low <- struct{}{}:
	default: // Run knows already
	}
}
