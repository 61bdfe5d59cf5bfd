package client

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// bulk is a request of many parts, of which some may succeed while others fail. Those that failed are sent again by the rule
// for a call of each: as often, within the same time.
type bulk struct {
	c       *Client
	method  string
	timeout time.Duration
	// safe is the safety of a part.
	safe func(part int) safety
	// round sends some parts and returns what became of each; its error is for all of them. retried says that one of them
	// may have taken effect before.
	round func(parts []int, deadline time.Time, retried bool) ([]*wire.Fault, error)
}

// run sends parts 0 to n-1 and calls failed with the *Error of each that failed in the end. Its error is that of a first round that
// failed as a whole.
func (b *bulk) run(ctx context.Context, n int, failed func(part int, err error)) error {
	if b.timeout <= 0 {
		b.timeout = b.c.opts.Timeout
	}
	deadline := time.Now().Add(b.timeout)
	todo := make([]int, n)
	for i := range todo {
		todo[i] = i
	}
	worst := make(map[int]past)
	for attempt := 1; len(todo) > 0; attempt++ {
		faults, err := b.round(todo, deadline, b.retried(todo, worst))
		if err != nil {
			if attempt == 1 {
				return err
			}
			b.failAll(todo, worst, err, failed)
			return nil
		}
		last := attempt > b.c.opts.RetriesMax
		var wait time.Duration
		var again []int
		for at, part := range todo {
			f := faults[at]
			if f == nil {
				continue
			}
			worst[part] = b.after(part, worst, f)
			if last || judge(f, b.safe(part), !b.c.opts.NoUnknownRetries) == giveUp {
				failed(part, b.error(f, worst[part], attempt))
				continue
			}
			// Parts fail because of replicas, which another coordinator may reach; time may help, too.
			wait = max(wait, pause(f, attempt, b.c.opts.Random()))
			again = append(again, part)
		}
		if len(again) == 0 {
			return nil
		}
		if wait >= time.Until(deadline) || b.c.sleep(ctx, wait) != nil {
			b.failParts(todo, faults, again, worst, attempt, failed)
			return nil
		}
		todo = again
	}
	return nil
}

// retried says whether one of the parts may have taken effect before.
func (b *bulk) retried(parts []int, worst map[int]past) bool {
	return slices.ContainsFunc(parts, func(part int) bool {
		before, failed := worst[part]
		return failed && before.effect != wire.EffectNone
	})
}

// past is what the attempts of a part that failed came to.
type past struct {
	// effect is the gravest; a read has none.
	effect wire.Effect
	// context is of the last attempt that was applied.
	context []byte
}

// after is the past of a part that has failed once more.
func (b *bulk) after(part int, worst map[int]past, f *wire.Fault) past {
	if b.safe(part) == safeRead {
		return past{effect: wire.EffectNone}
	}
	next, failed := worst[part]
	if !failed {
		next.effect = wire.EffectNone
	}
	next.effect = graver(next.effect, f.Effect)
	if f.Context != nil {
		next.context = bytes.Clone(f.Context)
	}
	return next
}

// failParts fails the parts that would be tried again if there were time.
func (b *bulk) failParts(todo []int, faults []*wire.Fault, again []int, worst map[int]past, attempts int, failed func(int, error)) {
	next := 0
	for at, part := range todo {
		if next < len(again) && again[next] == part {
			next++
			failed(part, b.error(faults[at], worst[part], attempts))
		}
	}
}

// failAll fails every part with the error of a round.
func (b *bulk) failAll(todo []int, worst map[int]past, err error, failed func(int, error)) {
	for _, part := range todo {
		each := err
		if e, ok := err.(*Error); ok {
			own := *e
			before := worst[part]
			own.Effect, own.Context = graver(e.Effect, before.effect), before.context
			each = &own
		}
		failed(part, each)
	}
}

// error is the error of a part that failed with a fault.
func (b *bulk) error(f *wire.Fault, all past, attempts int) *Error {
	return &Error{
		Op: b.method, Code: f.Code, Effect: all.effect, Message: f.Message, Need: f.Need, Got: f.Got, RetryAfter: f.RetryAfter,
		Context: all.context, Attempts: attempts,
	}
}
