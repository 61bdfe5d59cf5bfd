package gateway

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// Admission bounds the client requests of a node, over all its faces: how many are under way and how many bytes they
// hold. Past either bound a request is refused at once, with a hint when to try again; nothing ever waits here. Work
// for peers is not admitted here and so cannot be crowded out by clients. It is lock-free and safe for concurrent
// use.
type Admission struct {
	inFlightMax, bytesMax int64
	// overloaded is what every refused request gets: refusing must not cost.
	overloaded *wire.Fault

	inFlight, bytes, total, refused atomic.Int64
}

// NewAdmission bounds requests and their bytes, each at least 1. retryAfter is what the refused are told; zero tells them
// nothing.
func NewAdmission(inFlightMax int, bytesMax int64, retryAfter time.Duration) *Admission {
	return &Admission{
		inFlightMax: max(1, int64(inFlightMax)),
		bytesMax:    max(1, bytesMax),
		overloaded: &wire.Fault{
			Code:       wire.CodeOverloaded,
			Effect:     wire.EffectNone,
			Message:    "node has as many requests under way as it is allowed",
			RetryAfter: retryAfter,
		},
	}
}

// Acquire admits a request that will hold bytes (what was read of it, and what it may have to buffer), or says why
// not: overloaded, or too_large for one that would never be admitted. Who got nil owes a Release of the same bytes.
// The fault is shared and must not be changed.
func (a *Admission) Acquire(bytes int64) *wire.Fault {
	a.total.Add(1)
	if bytes > a.bytesMax {
		a.refused.Add(1)
		return &wire.Fault{
			Code:    wire.CodeTooLarge,
			Effect:  wire.EffectNone,
			Message: fmt.Sprintf("request of %d bytes is more than the %d that all requests together may hold", bytes, a.bytesMax),
		}
	}
	// Adding first and taking back what was too much never admits beyond a bound, without a lock.
	if a.inFlight.Add(1) <= a.inFlightMax {
		if a.bytes.Add(bytes) <= a.bytesMax {
			return nil
		}
		a.bytes.Add(-bytes)
	}
	a.inFlight.Add(-1)
	a.refused.Add(1)
	return a.overloaded
}

// Grow adds bytes to a request that was admitted and turns out to hold more, or says why not. Who got nil owes the
// Release of them, too; who got a fault owes what was owed before.
func (a *Admission) Grow(bytes int64) *wire.Fault {
	if a.bytes.Add(bytes) <= a.bytesMax {
		return nil
	}
	a.bytes.Add(-bytes)
	a.refused.Add(1)
	return a.overloaded
}

// Release ends a request that holds these bytes, those it grew by among them.
func (a *Admission) Release(bytes int64) {
	a.bytes.Add(-bytes)
	a.inFlight.Add(-1)
}

// Status counts the requests under way, and all that were ever admitted and refused.
func (a *Admission) Status() wire.RequestStatus {
	return wire.RequestStatus{
		InFlight:      a.inFlight.Load(),
		InFlightBytes: a.bytes.Load(),
		Total:         a.total.Load(),
		Refused:       a.refused.Load(),
	}
}

// InFlight is the number of requests under way.
func (a *Admission) InFlight() int64 { return a.inFlight.Load() }

// Refused is the number of requests that were ever refused.
func (a *Admission) Refused() int64 { return a.refused.Load() }
