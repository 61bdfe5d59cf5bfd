package client

import (
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// safety says what may be done twice.
type safety uint8

const (
	// safeRead has no effect.
	safeRead safety = iota
	// safeOverwrite is a write without a context: done twice it leaves what it leaves done once.
	safeOverwrite
	// safeNever is a write that must not be done twice: it has a context, whose second use would make a sibling of the first.
	safeNever
)

// verdict is what to do after a failed attempt.
type verdict uint8

const (
	// giveUp: another attempt would end the same, or might do harm.
	giveUp verdict = iota
	// tryAgain on another node if there is one.
	tryAgain
)

// judge applies the rule of the package comment to a failed attempt.
func judge(f *wire.Fault, safe safety, retryUnknown bool) verdict {
	switch f.Code {
	case wire.CodeBadRequest, wire.CodeTooLarge, wire.CodeTooManySiblings, wire.CodeUnauthorized, wire.CodeForbidden,
		wire.CodeNotFound:
		return giveUp
	}
	if safe == safeRead || f.Effect == wire.EffectNone {
		return tryAgain
	}
	if safe == safeOverwrite && retryUnknown {
		return tryAgain
	}
	return giveUp
}

// graver is the effect of two attempts together: what one applied is applied, what one may have done may be done.
func graver(a, b wire.Effect) wire.Effect {
	rank := func(e wire.Effect) int {
		switch e {
		case wire.EffectNone:
			return 0
		case wire.EffectApplied:
			return 2
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

const (
	pauseFirst = 10 * time.Millisecond
	pauseMax   = 500 * time.Millisecond
)

// pause is how long to wait before the next attempt. The first attempt on each node waits for nothing, unless the last
// node was overloaded and said when to come back: whoever shares its load is asked for patience, too. rounds is how often all nodes have been
// tried; chance is a number in [0, 1).
func pause(f *wire.Fault, rounds int, chance float64) time.Duration {
	d := time.Duration(0)
	if rounds > 0 {
		d = min(pauseFirst<<min(rounds-1, 10), pauseMax)
	}
	if f.Code == wire.CodeOverloaded {
		d = max(d, f.RetryAfter, pauseFirst)
	}
	// Between one and one and a half times as long: callers that were refused together do not come back together.
	return d + time.Duration(chance*float64(d)/2)
}
