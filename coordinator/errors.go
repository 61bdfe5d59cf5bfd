package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// Errors. Each says which wire code it stands for and, for writes, its effect; EffectOf finds the effect through any
// wrapping.
var (
	// ErrBadRequest: the request itself is wrong (bad_request, none). What is wrong says the *RequestError around it.
	ErrBadRequest = errors.New("coordinator: bad request")
	// ErrTooLarge: a key, value, context or request is over a limit (too_large, none), in a *RequestError that names
	// it.
	ErrTooLarge = errors.New("coordinator: too large")
	// ErrTooManySiblings: the write would add a sibling past the limit (too_many_siblings, none). A write with a
	// context that covers some of them is taken.
	ErrTooManySiblings = errors.New("coordinator: too many siblings")
	// ErrUnknownKey: the replica has lost what it held for the key and cannot decide on it (unavailable, none). Another
	// replica can.
	ErrUnknownKey = errors.New("coordinator: replica has lost what it held for the key")
	// ErrNotReplica: a peer forwarded a key that this node is no replica of (unavailable, none): their tables differ.
	ErrNotReplica = errors.New("coordinator: node is no replica of the key")
	// ErrRetired: a replica refuses an event of an actor that is retired: only an exchange may bring it (unavailable, none).
	ErrRetired = errors.New("coordinator: an event of a retired actor, which the replica does not hold")
	// ErrNotServing: no write may be coordinated by this node now, nor by any other replica that could be asked
	// (unavailable, none). It is wrapped together with the reason that Local.Serving gave.
	ErrNotServing = errors.New("coordinator: replica does not coordinate writes now")
	// ErrOverloaded: a replica's queue is full (overloaded). Replicas use it for work that they refuse (none).
	ErrOverloaded = errors.New("coordinator: replica is overloaded")
)

// RequestError is a request that no replica was asked about. Err is ErrBadRequest or ErrTooLarge.
type RequestError struct {
	// Detail says what is wrong, in words for whoever sent the request.
	Detail string
	Err    error
}

func (e *RequestError) Error() string { return e.Err.Error() + ": " + e.Detail }
func (e *RequestError) Unwrap() error { return e.Err }

func badRequest(format string, args ...any) error {
	return &RequestError{Detail: fmt.Sprintf(format, args...), Err: ErrBadRequest}
}

func tooLarge(format string, args ...any) error {
	return &RequestError{Detail: fmt.Sprintf(format, args...), Err: ErrTooLarge}
}

// UnreachableError is a request that never left for its node: it had no effect and another node may be asked.
type UnreachableError struct {
	Node ring.NodeID
	Err  error
}

func (e *UnreachableError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("coordinator: node %s is unreachable", e.Node)
	}
	return fmt.Sprintf("coordinator: node %s is unreachable: %v", e.Node, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Cause is why one replica does not count.
type Cause struct {
	Node ring.NodeID
	// Err is context.DeadlineExceeded for a replica that was asked and stayed silent.
	Err error
}

// QuorumError is a key for which fewer replicas than needed answered in time (quorum_not_met, with Need and Got), be
// it that they failed or that they were silent until the deadline.
type QuorumError struct {
	// Op is "put", "delete", "get" or "repair"; "join" is the reading of vectors before an ordered write.
	Op string
	// Need and Got are the replicas that had to answer and that did.
	Need, Got int
	// Causes has an entry for each replica that was tried, or left out as unreachable, and does not count.
	Causes []Cause
	// Effect is what a write did; EffectNone for a read. With EffectApplied the coordinating replica holds the write
	// durably and the other replicas get it sooner or later.
	Effect wire.Effect
}

func (e *QuorumError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "coordinator: %s needs %d replicas, got %d", e.Op, e.Need, e.Got)
	for i, c := range e.Causes {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text := "no answer"
		if !errors.Is(c.Err, context.DeadlineExceeded) && c.Err != nil {
			text = c.Err.Error()
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, c.Node, text)
	}
	return b.String()
}

// Unwrap returns nothing on purpose: the error of one replica is not the error of the request.
func (e *QuorumError) Unwrap() error { return nil }

// WriteError is a write that failed in one place, and what it did: the local replica or the peer it was forwarded to,
// with that one's error; or the deadline (context.DeadlineExceeded: timeout), or the caller who went away
// (context.Canceled).
type WriteError struct {
	Effect wire.Effect
	Err    error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("coordinator: write failed (effect: %s): %v", e.Effect, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

// RangeError names the partitions that lack the replicas a range needs (quorum_not_met).
type RangeError struct {
	// Partitions are in ascending order.
	Partitions []ring.PartitionID
	// Need is R; Got the replicas of the first of Partitions that answered, or could still be asked.
	Need, Got int
	// Causes has an entry for each node that was left out.
	Causes []Cause
}

func (e *RangeError) Error() string {
	const most = 8
	shown := e.Partitions
	rest := ""
	if len(shown) > most {
		rest = fmt.Sprintf(" and %d more", len(shown)-most)
		shown = shown[:most]
	}
	return fmt.Sprintf("coordinator: range needs %d replicas of each partition, got %d of %v%s", e.Need, e.Got, shown, rest)
}

// gotOf and causesOf are what the error of a key says of the replicas.
func gotOf(err error) int {
	var q *QuorumError
	if errors.As(err, &q) {
		return q.Got
	}
	return 0
}

func causesOf(err error) []Cause {
	var q *QuorumError
	if errors.As(err, &q) {
		return q.Causes
	}
	return nil
}

// EffectOf is what a write that failed with err may have done, wherever in its chain err says so. The effect of nil
// is EffectApplied; of an error that is not known here EffectUnknown.
func EffectOf(err error) wire.Effect {
	if err == nil {
		return wire.EffectApplied
	}
	var (
		quorum  *QuorumError
		write   *WriteError
		fault   *wire.Fault
		request *RequestError
		never   *UnreachableError
	)
	switch {
	case errors.As(err, &write):
		return write.Effect
	case errors.As(err, &quorum):
		return quorum.Effect
	case errors.As(err, &fault):
		return fault.Effect
	case errors.As(err, &request), errors.As(err, &never):
		return wire.EffectNone
	}
	for _, none := range []error{
		ErrBadRequest, ErrTooLarge, ErrTooManySiblings, ErrUnknownKey, ErrNotReplica, ErrRetired, ErrNotServing,
		ErrOverloaded,
	} {
		if errors.Is(err, none) {
			return wire.EffectNone
		}
	}
	return wire.EffectUnknown
}

// elsewhere says that a write which failed so did nothing, and that another replica may well succeed.
func elsewhere(err error) bool {
	if err == nil || EffectOf(err) != wire.EffectNone {
		return false
	}
	var (
		never *UnreachableError
		fault *wire.Fault
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &never), errors.Is(err, ErrUnknownKey), errors.Is(err, ErrNotServing), errors.Is(err, ErrNotReplica):
		return true
	case errors.As(err, &fault):
		return fault.Code == wire.CodeUnavailable || fault.Code == wire.CodeReadOnly || fault.Code == wire.CodeNoSpace
	}
	return false
}

// errOmitted is a key of a read whose values there was no room for.
var errOmitted = tooLarge("the values of the keys before it fill the answer: ask for fewer keys at once")

var (
	// errNotMember: a table names a node that the peers do not know.
	errNotMember = errors.New("node is not a member")
	// errAnswerLength: a replica broke its contract.
	errAnswerLength = errors.New("coordinator: replica answered another number of keys than it was asked for")
	// errScanPage: a replica broke its contract.
	errScanPage = errors.New("coordinator: replica answered a scan with a page that gets nowhere")
	// errNeverDecided: the local replica broke its contract.
	errNeverDecided = errors.New("coordinator: local replica called durable without decided")
)
