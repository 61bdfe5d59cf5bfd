package gateway

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

var faultCases = []struct {
	name   string
	err    error
	code   wire.Code
	effect wire.Effect
}{
	{"plain", errors.New("oops"), wire.CodeInternal, wire.EffectUnknown},
	{"bad request", &coordinator.RequestError{Detail: "x", Err: coordinator.ErrBadRequest}, wire.CodeBadRequest, wire.EffectNone},
	{"too large", &coordinator.RequestError{Detail: "x", Err: coordinator.ErrTooLarge}, wire.CodeTooLarge, wire.EffectNone},
	{"siblings", fmt.Errorf("put: %w", coordinator.ErrTooManySiblings), wire.CodeTooManySiblings, wire.EffectNone},
	{"unknown key", coordinator.ErrUnknownKey, wire.CodeUnavailable, wire.EffectNone},
	{"retired", coordinator.ErrRetired, wire.CodeUnavailable, wire.EffectNone},
	{"not replica", coordinator.ErrNotReplica, wire.CodeUnavailable, wire.EffectNone},
	{"not serving", coordinator.ErrNotServing, wire.CodeUnavailable, wire.EffectNone},
	{"not serving as read-only", fmt.Errorf("%w: %w", coordinator.ErrNotServing, storage.ErrReadOnly), wire.CodeReadOnly, wire.EffectNone},
	{"overloaded", coordinator.ErrOverloaded, wire.CodeOverloaded, wire.EffectNone},
	{"unreachable", &coordinator.UnreachableError{Node: "b"}, wire.CodeUnavailable, wire.EffectNone},
	{"quorum", &coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: wire.EffectApplied}, wire.CodeQuorumNotMet, wire.EffectApplied},
	{"quorum whose cause timed out",
		&coordinator.QuorumError{Op: "get", Need: 2, Got: 1, Causes: []coordinator.Cause{{Node: "b", Err: context.DeadlineExceeded}}, Effect: wire.EffectNone},
		wire.CodeQuorumNotMet, wire.EffectNone},
	{"range", &coordinator.RangeError{Partitions: []ring.PartitionID{3}, Need: 2, Got: 0}, wire.CodeQuorumNotMet, wire.EffectUnknown},
	{"write out of time", &coordinator.WriteError{Effect: wire.EffectApplied, Err: context.DeadlineExceeded}, wire.CodeTimeout, wire.EffectApplied},
	{"write in a full engine", &coordinator.WriteError{Effect: wire.EffectUnknown, Err: fmt.Errorf("%w: %w", storage.ErrReadOnly, syscall.ENOSPC)},
		wire.CodeNoSpace, wire.EffectUnknown},
	{"read-only before anything was written", storage.ErrReadOnly, wire.CodeReadOnly, wire.EffectNone},
	{"read-only after it was sent", &coordinator.WriteError{Effect: wire.EffectUnknown, Err: storage.ErrReadOnly}, wire.CodeReadOnly, wire.EffectUnknown},
	{"full disk", &storage.IOError{Op: "write", Path: "x", Err: syscall.ENOSPC}, wire.CodeNoSpace, wire.EffectUnknown},
	{"failed sync", &storage.IOError{Op: "sync", Path: "x", Err: syscall.EIO}, wire.CodeInternal, wire.EffectUnknown},
	{"corrupt", &storage.CorruptError{Segment: 1, Offset: 2, Reason: "checksum"}, wire.CodeInternal, wire.EffectUnknown},
	{"not found", storage.ErrNotFound, wire.CodeNotFound, wire.EffectNone},
	{"record too large", storage.ErrTooLarge, wire.CodeTooLarge, wire.EffectNone},
	{"closed", storage.ErrClosed, wire.CodeUnavailable, wire.EffectNone},
	{"deadline", context.DeadlineExceeded, wire.CodeTimeout, wire.EffectUnknown},
	{"canceled", context.Canceled, wire.CodeUnavailable, wire.EffectUnknown},
	{"fault", &wire.Fault{Code: wire.CodeForbidden, Effect: wire.EffectNone}, wire.CodeForbidden, wire.EffectNone},
	{"unauthorized", &wire.Fault{Code: wire.CodeUnauthorized, Effect: wire.EffectNone}, wire.CodeUnauthorized, wire.EffectNone},
	{"forwarded fault", &coordinator.WriteError{Effect: wire.EffectUnknown, Err: &wire.Fault{Code: wire.CodeNoSpace, Effect: wire.EffectNone}},
		wire.CodeNoSpace, wire.EffectUnknown},
}

func TestFaultOfTellsCodeAndEffect(t *testing.T) {
	seen := make(map[wire.Code]bool)
	for _, c := range faultCases {
		f := FaultOf(c.err)
		if f.Code != c.code || f.Effect != c.effect {
			t.Errorf("%s: got %s with effect %s, want %s with effect %s", c.name, f.Code, f.Effect, c.code, c.effect)
		}
		if wrapped := FaultOf(fmt.Errorf("outer: %w", c.err)); wrapped.Code != c.code || wrapped.Effect != c.effect {
			t.Errorf("%s, wrapped: got %s with effect %s", c.name, wrapped.Code, wrapped.Effect)
		}
		if r := ReadFaultOf(c.err); r.Code != c.code || r.Effect != wire.EffectNone {
			t.Errorf("%s as a read: got %s with effect %s, want effect none", c.name, r.Code, r.Effect)
		}
		seen[f.Code] = true
	}
	for _, code := range wire.Codes() {
		if !seen[code] {
			t.Errorf("no case yields %s", code)
		}
	}
}

func TestFaultOfCarriesCountsAndRetryAfter(t *testing.T) {
	if f := FaultOf(fmt.Errorf("key 1: %w", &coordinator.QuorumError{Need: 2, Got: 1})); f.Need != 2 || f.Got != 1 {
		t.Errorf("quorum error became need %d got %d", f.Need, f.Got)
	}
	if f := FaultOf(&coordinator.RangeError{Need: 3, Got: 2}); f.Need != 3 || f.Got != 2 {
		t.Errorf("range error became need %d got %d", f.Need, f.Got)
	}
	if f := FaultOf(coordinator.ErrOverloaded); f.RetryAfter <= 0 {
		t.Error("overloaded without a time to retry")
	}
	remote := &wire.Fault{Code: wire.CodeOverloaded, RetryAfter: time.Second}
	if f := FaultOf(&coordinator.WriteError{Effect: wire.EffectNone, Err: remote}); f.RetryAfter != time.Second || f.Effect != wire.EffectNone {
		t.Errorf("forwarded fault became %+v", f)
	}
	if FaultOf(nil) != nil || ReadFaultOf(nil) != nil {
		t.Error("nil became a fault")
	}
}

func TestReadFaultOfDoesNotChangeWhatItWasGiven(t *testing.T) {
	shared := &wire.Fault{Code: wire.CodeTimeout, Effect: wire.EffectUnknown}
	ReadFaultOf(shared)
	if shared.Effect != wire.EffectUnknown {
		t.Fatal("the shared fault was changed")
	}
}
