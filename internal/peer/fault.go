package peer

import (
	"context"
	"errors"
	"math"
	"syscall"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// errorKind says which Go type or sentinel an error was, so that errors.Is and errors.As find it at the origin, too.
// The list is append-only.
type errorKind uint8

const (
	kindFault errorKind = iota
	kindDeadline
	kindCanceled
	kindQuorum
	kindBadRequest
	kindTooLarge
	kindTooManySiblings
	kindUnknownKey
	kindNotReplica
	kindNotServing
	kindOverloaded
	kindRetired
	errorKindEnd
)

// sentinels are the errors that travel as their kind.
var sentinels = [errorKindEnd]error{
	kindDeadline:        context.DeadlineExceeded,
	kindCanceled:        context.Canceled,
	kindBadRequest:      coordinator.ErrBadRequest,
	kindTooLarge:        coordinator.ErrTooLarge,
	kindTooManySiblings: coordinator.ErrTooManySiblings,
	kindUnknownKey:      coordinator.ErrUnknownKey,
	kindNotReplica:      coordinator.ErrNotReplica,
	kindNotServing:      coordinator.ErrNotServing,
	kindOverloaded:      coordinator.ErrOverloaded,
	kindRetired:         coordinator.ErrRetired,
}

// RemoteError is an error of another node that is one of coordinator's, or of context's, with the other node's words.
type RemoteError struct {
	// Text is what the other node's error said.
	Text string
	Err  error
}

func (e *RemoteError) Error() string { return e.Text }
func (e *RemoteError) Unwrap() error { return e.Err }

const (
	errorFields = 10
	// needMax bounds what a quorum error says that it needed and got.
	needMax       = math.MaxInt16
	retryAfterMax = time.Hour
)

// encodeError writes an error as [kind, effect or nil, text, code, retry after, op, need, got, causes, is it a
// *WriteError].
func encodeError(w *wire.Writer, err error) {
	fault, quorum, written := faultOf(err), (*coordinator.QuorumError)(nil), (*coordinator.WriteError)(nil)
	kind := kindOf(err)
	w.ArrayLen(errorFields)
	w.Uint(uint64(kind))
	w.Uint(uint64(effectOf(err)))
	writeText(w, textOf(err), detailBytesMax)
	w.Uint(uint64(fault.Code))
	w.Uint(uint64(min(max(fault.RetryAfter, 0), retryAfterMax)))
	if !errors.As(err, &quorum) {
		quorum = &coordinator.QuorumError{Need: fault.Need, Got: fault.Got}
	}
	writeText(w, quorum.Op, nodeIDBytesMax)
	w.Uint(uint64(min(max(quorum.Need, 0), needMax)))
	w.Uint(uint64(min(max(quorum.Got, 0), needMax)))
	causes := quorum.Causes[:min(len(quorum.Causes), replicasMax)]
	w.ArrayLen(3 * len(causes))
	for _, c := range causes {
		writeText(w, string(c.Node), nodeIDBytesMax)
		w.Bool(c.Err == nil || errors.Is(c.Err, context.DeadlineExceeded))
		cause := ""
		if c.Err != nil {
			cause = c.Err.Error()
		}
		writeText(w, cause, textBytesMax)
	}
	w.Bool(errors.As(err, &written))
}

// decodeError is what errors.Is, errors.As and coordinator.EffectOf see as the error that encodeError was handed.
func decodeError(r *wire.Reader) error {
	exactly(r, errorFields, "an error")
	kind := errorKind(r.Uint(math.MaxUint8))
	effect := wire.Effect(r.Uint(uint64(wire.EffectApplied)))
	said := text(r, detailBytesMax)
	fault := wire.Fault{Code: wire.Code(r.Uint(math.MaxUint8)), Effect: effect, Message: said}
	fault.RetryAfter = time.Duration(r.Uint(uint64(retryAfterMax)))
	quorum := coordinator.QuorumError{Op: text(r, nodeIDBytesMax), Effect: effect}
	quorum.Need, quorum.Got = int(r.Uint(needMax)), int(r.Uint(needMax))
	fault.Need, fault.Got = quorum.Need, quorum.Got
	n := r.ArrayLen(3 * replicasMax)
	if n%3 != 0 {
		r.Fail("a cause is cut short")
	}
	for range n / 3 {
		quorum.Causes = append(quorum.Causes, decodeCause(r))
	}
	written := r.Bool()

	var err error
	switch kind {
	case kindQuorum:
		err = &quorum
	case kindBadRequest, kindTooLarge:
		err = &coordinator.RequestError{Detail: said, Err: sentinels[kind]}
	case kindDeadline, kindCanceled:
		err = sentinels[kind]
	case kindTooManySiblings, kindUnknownKey, kindNotReplica, kindNotServing, kindOverloaded, kindRetired:
		err = &RemoteError{Text: said, Err: sentinels[kind]}
	default:
		// A kind of a later version says at least its code and effect.
		err = &fault
	}
	if written {
		return &coordinator.WriteError{Effect: effect, Err: err}
	}
	return err
}

func decodeCause(r *wire.Reader) coordinator.Cause {
	c := coordinator.Cause{Node: ring.NodeID(text(r, nodeIDBytesMax))}
	silent, said := r.Bool(), text(r, textBytesMax)
	if c.Err = error(context.DeadlineExceeded); !silent {
		c.Err = errors.New(said)
	}
	return c
}

func kindOf(err error) errorKind {
	var quorum *coordinator.QuorumError
	if errors.As(err, &quorum) {
		return kindQuorum
	}
	for kind, sentinel := range sentinels {
		if sentinel != nil && errors.Is(err, sentinel) {
			return errorKind(kind)
		}
	}
	return kindFault
}

// textOf is what the receiver is to read. What it puts around the text again is left off.
func textOf(err error) string {
	var (
		quorum  *coordinator.QuorumError
		request *coordinator.RequestError
		fault   *wire.Fault
		written *coordinator.WriteError
	)
	switch {
	case errors.As(err, &quorum):
		return "" // what it says is put together from its fields
	case errors.As(err, &request):
		return request.Detail
	case errors.As(err, &fault):
		return fault.Message
	case errors.As(err, &written):
		return written.Err.Error()
	}
	return err.Error()
}

// effectOf is coordinator.EffectOf, which does not know the store's errors: those below come before anything is
// written.
func effectOf(err error) wire.Effect {
	effect := coordinator.EffectOf(err)
	var written *coordinator.WriteError
	if effect != wire.EffectUnknown || errors.As(err, &written) {
		return effect
	}
	for _, none := range []error{storage.ErrReadOnly, storage.ErrTooLarge, storage.ErrClosed} {
		if errors.Is(err, none) {
			return wire.EffectNone
		}
	}
	return wire.EffectUnknown
}

// faultOf is the wire's form of errors that have none of coordinator's types: those of the local replica and its store.
func faultOf(err error) wire.Fault {
	var (
		fault *wire.Fault
		never *coordinator.UnreachableError
	)
	switch {
	case errors.As(err, &fault):
		return *fault
	case errors.As(err, &never):
		return wire.Fault{Code: wire.CodeUnavailable}
	case errors.Is(err, syscall.ENOSPC):
		return wire.Fault{Code: wire.CodeNoSpace}
	case errors.Is(err, storage.ErrReadOnly):
		return wire.Fault{Code: wire.CodeReadOnly}
	case errors.Is(err, storage.ErrTooLarge):
		return wire.Fault{Code: wire.CodeTooLarge}
	case errors.Is(err, storage.ErrClosed):
		return wire.Fault{Code: wire.CodeUnavailable}
	}
	return wire.Fault{Code: wire.CodeInternal}
}
