package gateway

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/storage"
)

// retryAfterReplica is when to try again if a replica, not the edge, had too much to do. Its queues hold less than that.
const retryAfterReplica = 100 * time.Millisecond

// codes is the one table from errors to codes. The first line whose error is in the chain wins, so what is more
// telling stands first.
var codes = []struct {
	err  error
	code wire.Code
}{
	{coordinator.ErrBadRequest, wire.CodeBadRequest},
	{coordinator.ErrTooLarge, wire.CodeTooLarge},
	{coordinator.ErrTooManySiblings, wire.CodeTooManySiblings},
	{coordinator.ErrOverloaded, wire.CodeOverloaded},
	{coordinator.ErrUnknownKey, wire.CodeUnavailable},
	{coordinator.ErrNotReplica, wire.CodeUnavailable},
	{coordinator.ErrRetired, wire.CodeUnavailable},
	{storage.ErrNotFound, wire.CodeNotFound},
	{storage.ErrTooLarge, wire.CodeTooLarge},
	// Before read_only: a full disk is why the engine stopped writing, and the operator has to know.
	{syscall.ENOSPC, wire.CodeNoSpace},
	{storage.ErrReadOnly, wire.CodeReadOnly},
	{storage.ErrClosed, wire.CodeUnavailable},
	// After read_only: a replica does not coordinate *because* of that.
	{coordinator.ErrNotServing, wire.CodeUnavailable},
	{context.DeadlineExceeded, wire.CodeTimeout},
	// A caller who went away hears nothing: who does hear it was cut off by the node's shutdown.
	{context.Canceled, wire.CodeUnavailable},
}

// FaultOf is an error of the Store as it crosses a wire, nil for nil. A fault that came from another node keeps its
// code and message. The fault may be shared and must not be changed.
func FaultOf(err error) *wire.Fault {
	if err == nil {
		return nil
	}
	if f, bare := err.(*wire.Fault); bare {
		return f
	}
	f := &wire.Fault{Code: codeOf(err), Effect: effectOf(err), Message: err.Error()}
	var (
		fault  *wire.Fault
		quorum *coordinator.QuorumError
		ranged *coordinator.RangeError
	)
	switch {
	case errors.As(err, &quorum):
		f.Need, f.Got = quorum.Need, quorum.Got
	case errors.As(err, &ranged):
		f.Need, f.Got = ranged.Need, ranged.Got
	case errors.As(err, &fault):
		f.RetryAfter, f.Need, f.Got = fault.RetryAfter, fault.Need, fault.Got
	case f.Code == wire.CodeOverloaded:
		f.RetryAfter = retryAfterReplica
	}
	return f
}

// ReadFaultOf is FaultOf for a read, which has no effect whatever befalls it.
func ReadFaultOf(err error) *wire.Fault {
	f := FaultOf(err)
	if f == nil || f.Effect == wire.EffectNone {
		return f
	}
	read := *f
	read.Effect = wire.EffectNone
	return &read
}

func codeOf(err error) wire.Code {
	var (
		fault  *wire.Fault
		quorum *coordinator.QuorumError
		ranged *coordinator.RangeError
		never  *coordinator.UnreachableError
	)
	switch {
	case errors.As(err, &quorum), errors.As(err, &ranged):
		return wire.CodeQuorumNotMet
	case errors.As(err, &fault):
		return fault.Code
	case errors.As(err, &never):
		return wire.CodeUnavailable
	}
	for _, line := range codes {
		if errors.Is(err, line.err) {
			return line.code
		}
	}
	return wire.CodeInternal
}

// effectOf is the coordinator's word; where it has none, an engine that refused before it wrote anything had no effect.
func effectOf(err error) wire.Effect {
	effect := coordinator.EffectOf(err)
	var write *coordinator.WriteError
	if effect != wire.EffectUnknown || errors.As(err, &write) {
		return effect
	}
	for _, none := range []error{storage.ErrNotFound, storage.ErrTooLarge, storage.ErrReadOnly, storage.ErrClosed} {
		if errors.Is(err, none) {
			return wire.EffectNone
		}
	}
	return effect
}
