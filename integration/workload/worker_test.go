package workload

import (
	"context"
	"errors"
	"testing"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

func TestAnOutcomeIsWhatTheErrorSaysOfItsEffect(t *testing.T) {
	none := &client.Error{Code: client.CodeOverloaded, Effect: client.EffectNone}
	unknown := &client.Error{Code: client.CodeTimeout, Effect: client.EffectUnknown}
	applied := &client.Error{Code: client.CodeQuorumNotMet, Effect: client.EffectApplied}
	for _, c := range []struct {
		name    string
		kind    history.Kind
		err     error
		outcome history.Outcome
		code    string
	}{
		{"an answer", history.Put, nil, history.Ok, ""},
		{"a refused put", history.Put, none, history.Failed, "overloaded"},
		{"a put that timed out", history.Put, unknown, history.Unknown, "timeout"},
		{"a put on too few replicas", history.Put, applied, history.Unknown, "quorum_not_met"},
		{"a deletion", history.Delete, unknown, history.Unknown, "timeout"},
		{"a batch", history.Batch, none, history.Failed, "overloaded"},
		{"a put that failed in an unknown way", history.Put, errors.New("odd"), history.Unknown, "internal"},
		{"a read has no effect", history.Read, unknown, history.Failed, "timeout"},
		{"nor has a scan", history.Scan, errors.New("odd"), history.Failed, "internal"},
	} {
		if outcome, code := outcomeOf(t.Context(), c.kind, c.err); outcome != c.outcome || code != c.code {
			t.Errorf("%s: %v %q, want %v %q", c.name, outcome, code, c.outcome, c.code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if outcome, code := outcomeOf(ctx, history.Put, unknown); outcome != history.Unknown || code != codeCancelled {
		t.Errorf("cut off by the end of the run: %v %q", outcome, code)
	}
}
