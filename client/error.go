package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// Code is the kind of an error; Effect what a failed write may have done. Their String methods give the names of the protocol.
type (
	Code   = wire.Code
	Effect = wire.Effect
)

// The codes.
const (
	CodeInternal        = wire.CodeInternal
	CodeNotFound        = wire.CodeNotFound
	CodeBadRequest      = wire.CodeBadRequest
	CodeTooLarge        = wire.CodeTooLarge
	CodeTooManySiblings = wire.CodeTooManySiblings
	CodeQuorumNotMet    = wire.CodeQuorumNotMet
	CodeTimeout         = wire.CodeTimeout
	CodeOverloaded      = wire.CodeOverloaded
	CodeUnauthorized    = wire.CodeUnauthorized
	CodeForbidden       = wire.CodeForbidden
	CodeReadOnly        = wire.CodeReadOnly
	CodeNoSpace         = wire.CodeNoSpace
	CodeUnavailable     = wire.CodeUnavailable
)

// The effects.
const (
	EffectUnknown = wire.EffectUnknown
	EffectNone    = wire.EffectNone
	EffectApplied = wire.EffectApplied
)

var (
	// ErrNotFound: nothing is visible under the key.
	ErrNotFound = errors.New("client: key not found")
	// ErrClosed: the client was closed; it is wrapped in an *Error whose effect is that of the call.
	ErrClosed = errors.New("client: closed")
)

// Error is a call that failed after all its attempts.
type Error struct {
	// Op is the method.
	Op   string
	Code Code
	// Effect is the gravest of all attempts; EffectNone for a read.
	Effect  Effect
	Message string
	// Node is the address of the node that the message is from, or that could not be talked to; empty for one key of many.
	Node string
	// Need and Got are the replicas that were needed and that answered, with CodeQuorumNotMet.
	Need, Got int
	// Context is the causal context of a write that was applied: it covers the write and what that superseded. It is nil where no
	// node told it; of several attempts that were applied it is the last one's.
	Context []byte
	// RetryAfter is when the node wants to be asked again; zero says nothing.
	RetryAfter time.Duration
	// Attempts is how often the call was tried.
	Attempts int
	// Err is what broke the connection or ended the waiting; nil if a node answered.
	Err error
}

func (e *Error) Error() string {
	var about []string
	if e.Node != "" {
		about = append(about, "node "+e.Node)
	}
	if e.Effect != EffectNone {
		about = append(about, "effect: "+e.Effect.String())
	}
	if e.Attempts > 1 {
		about = append(about, fmt.Sprintf("%d attempts", e.Attempts))
	}
	text := fmt.Sprintf("%s: %s: %s", e.Op, e.Code, e.Message)
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }
