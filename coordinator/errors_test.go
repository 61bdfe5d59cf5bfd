package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestEveryErrorOfAWriteSaysItsEffect(t *testing.T) {
	disk := errors.New("disk")
	for _, tc := range []struct {
		err  error
		want wire.Effect
	}{
		{nil, wire.EffectApplied},
		{disk, wire.EffectUnknown},
		{context.DeadlineExceeded, wire.EffectUnknown},
		{badRequest("x"), wire.EffectNone},
		{tooLarge("x"), wire.EffectNone},
		{ErrTooManySiblings, wire.EffectNone},
		{ErrUnknownKey, wire.EffectNone},
		{ErrNotReplica, wire.EffectNone},
		{ErrOverloaded, wire.EffectNone},
		{notServing(disk), wire.EffectNone},
		{&UnreachableError{Node: "n1", Err: disk}, wire.EffectNone},
		{&QuorumError{Effect: wire.EffectApplied, Causes: []Cause{{Err: ErrOverloaded}}}, wire.EffectApplied},
		{&WriteError{Effect: wire.EffectNone, Err: disk}, wire.EffectNone},
		{&WriteError{Effect: wire.EffectUnknown, Err: ErrOverloaded}, wire.EffectUnknown},
		{&wire.Fault{Effect: wire.EffectApplied}, wire.EffectApplied},
	} {
		if got := EffectOf(tc.err); got != tc.want {
			t.Errorf("%v: effect %s, want %s", tc.err, got, tc.want)
		}
		if tc.err != nil {
			if got := EffectOf(fmt.Errorf("wrapped: %w", tc.err)); got != tc.want {
				t.Errorf("%v, wrapped: effect %s, want %s", tc.err, got, tc.want)
			}
		}
	}
}

func TestOnlyWritesWithoutEffectGoElsewhere(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{&UnreachableError{Node: "n1"}, true},
		{ErrUnknownKey, true},
		{ErrNotReplica, true},
		{notServing(errors.New("draining")), true},
		{&WriteError{Effect: wire.EffectNone, Err: notServing(errors.New("no space"))}, true},
		{&WriteError{Effect: wire.EffectNone, Err: errors.New("too large for a frame")}, false},
		{&WriteError{Effect: wire.EffectNone, Err: ErrOverloaded}, false},
		{&wire.Fault{Code: wire.CodeUnavailable, Effect: wire.EffectNone}, true},
		{&wire.Fault{Code: wire.CodeReadOnly, Effect: wire.EffectNone}, true},
		{&wire.Fault{Code: wire.CodeNoSpace, Effect: wire.EffectNone}, true},
		{nil, false},
		{&wire.Fault{Code: wire.CodeUnavailable, Effect: wire.EffectUnknown}, false},
		{&wire.Fault{Code: wire.CodeBadRequest, Effect: wire.EffectNone}, false},
		{&WriteError{Effect: wire.EffectNone, Err: context.DeadlineExceeded}, false},
		{&WriteError{Effect: wire.EffectUnknown, Err: notServing(errors.New("no space"))}, false},
		{&QuorumError{Effect: wire.EffectNone}, false},
		{ErrTooManySiblings, false},
		{tooLarge("x"), false},
	} {
		if got := elsewhere(tc.err); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
}

func TestErrorsSayWhatWasNeededAndWhoDidWhat(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want []string
	}{
		{&QuorumError{Op: "put", Need: 2, Got: 1, Causes: []Cause{
			{Node: "n2", Err: context.DeadlineExceeded}, {Node: "n3", Err: &UnreachableError{Node: "n3", Err: errors.New("refused")}},
		}}, []string{"put needs 2", "got 1", "n2: no answer", "n3 is unreachable: refused"}},
		{&RangeError{Partitions: make([]ring.PartitionID, 30), Need: 2}, []string{"needs 2", "got 0", "and 22 more"}},
		{&UnreachableError{Node: "n3"}, []string{"n3 is unreachable"}},
		{badRequest("key %d", 7), []string{"bad request: key 7"}},
		{&WriteError{Effect: wire.EffectUnknown, Err: errVoid{had: 1, has: 2}}, []string{"effect: unknown", "actor is now"}},
	} {
		for _, part := range tc.want {
			if !strings.Contains(tc.err.Error(), part) {
				t.Errorf("%q does not say %q", tc.err, part)
			}
		}
	}
}

func TestAQuorumErrorIsNotTheErrorOfOneReplica(t *testing.T) {
	err := error(&QuorumError{Causes: []Cause{{Node: "n1", Err: context.DeadlineExceeded}}})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("a quorum that was not met would be reported as a timeout")
	}
}

func TestNewSaysWhatIsWrongWithItsOptions(t *testing.T) {
	c := newCluster(newFakeTable(1, 1, 1), 1, nil)
	good := c.nodes[0].coord.opt
	for name, spoil := range map[string]func(*Options){
		"self":     func(o *Options) { o.Self = "" },
		"local":    func(o *Options) { o.Local = nil },
		"level":    func(o *Options) { o.R = -7 },
		"timeouts": func(o *Options) { o.TimeoutMax = time.Millisecond },
		"limit":    func(o *Options) { o.BatchOpsMax = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
