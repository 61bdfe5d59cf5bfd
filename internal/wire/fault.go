package wire

import (
	"fmt"
	"time"
)

// Code is the kind of an error, the same on every wire. The list is append-only.
type Code uint8

// The codes, with the names that travel in String's form.
const (
	CodeInternal Code = iota
	CodeNotFound
	CodeBadRequest
	CodeTooLarge
	CodeTooManySiblings
	CodeQuorumNotMet
	CodeTimeout
	CodeOverloaded
	CodeUnauthorized
	CodeForbidden
	CodeReadOnly
	CodeNoSpace
	// CodeUnavailable is a node that does not serve: it starts, drains, or its clock is off.
	CodeUnavailable
	codeCount
)

var codeNames = [codeCount]string{
	"internal", "not_found", "bad_request", "too_large", "too_many_siblings", "quorum_not_met", "timeout",
	"overloaded", "unauthorized", "forbidden", "read_only", "no_space", "unavailable",
}

func (c Code) String() string {
	if c < codeCount {
		return codeNames[c]
	}
	return codeNames[CodeInternal]
}

// Codes returns every code, for tables that must cover them all.
func Codes() []Code {
	all := make([]Code, codeCount)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// CodeOf is the code of a name; a name that this version does not know is CodeInternal.
func CodeOf(name string) Code {
	for i, n := range codeNames {
		if n == name {
			return Code(i)
		}
	}
	return CodeInternal
}

// Effect says what a failed write may have done.
type Effect uint8

// The effects. EffectUnknown is the zero value: who knows nothing says so.
const (
	EffectUnknown Effect = iota
	// EffectNone: the write is nowhere and never will be.
	EffectNone
	// EffectApplied: the write is on at least one replica and will spread, but fewer than W are known to hold it.
	EffectApplied
)

func (e Effect) String() string { return [...]string{"unknown", "none", "applied"}[min(e, 2)] }

// EffectOf is the effect of a name; any other name is EffectUnknown.
func EffectOf(name string) Effect {
	for e := EffectNone; e <= EffectApplied; e++ {
		if e.String() == name {
			return e
		}
	}
	return EffectUnknown
}

// Fault is an error as it crosses a wire. Reads have EffectNone.
type Fault struct {
	Code    Code
	Effect  Effect
	Message string
	// RetryAfter is when to try again, with CodeOverloaded and CodeUnavailable; zero says nothing.
	RetryAfter time.Duration
	// Need and Got are the replicas that were needed and that answered, with CodeQuorumNotMet.
	Need, Got int
	// Context covers a write that was applied all the same and what it superseded; nil where none is known.
	Context []byte
}

func (f *Fault) Error() string {
	return fmt.Sprintf("%s: %s (effect: %s)", f.Code, f.Message, f.Effect)
}
