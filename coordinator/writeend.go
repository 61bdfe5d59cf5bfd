package coordinator

import (
	"slices"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// end settles every outcome. late says why those that are open are not waited for. The caller holds mu.
func (op *writeOp) end(late error) {
	op.phase = writeOver
	for i := range op.outcomes {
		if op.tally.skip[i] {
			continue
		}
		switch op.tally.verdict(i) {
		case verdictMet:
			op.outcomes[i].Receipt.Replicas, op.outcomes[i].Receipt.Hints = op.holders(i), op.keptHints(i)
		case verdictUnknown:
			op.outcomes[i] = Outcome{Err: &WriteError{Effect: wire.EffectUnknown, Err: op.localErr}}
		case verdictFailed:
			op.outcomes[i].Err = op.shortfall(i, late)
		case verdictOpen:
			op.endOpen(i, late)
		}
	}
}

// endOpen settles a key that is not waited for any longer, by what is known of it.
func (op *writeOp) endOpen(i int, late error) {
	switch {
	case op.tally.local == localDurable:
		op.outcomes[i].Err = op.shortfall(i, late)
	case op.tally.acked[i] > 0:
		op.outcomes[i].Err = &WriteError{Effect: wire.EffectApplied, Err: late}
	default:
		op.outcomes[i] = Outcome{Err: &WriteError{Effect: wire.EffectUnknown, Err: late}}
	}
}

// holders are the replicas known to hold key i. Keys next to each other share the slice where they can.
func (op *writeOp) holders(i int) []ring.NodeID {
	held := append(make([]ring.NodeID, 0, 8), op.c.opt.Self)
	for g := range op.tally.givers {
		if v := &op.tally.givers[g]; v.state == giverAcked && v.standsFor == "" && v.has(i) {
			held = append(held, op.targets[v.target].id)
		}
	}
	if i > 0 && slices.Equal(held, op.outcomes[i-1].Receipt.Replicas) {
		return op.outcomes[i-1].Receipt.Replicas
	}
	return slices.Clone(held)
}

// shortfall is the error of a key that is durable here and on too few other replicas.
func (op *writeOp) shortfall(i int, late error) error {
	op.outcomes[i].Receipt.Replicas, op.outcomes[i].Receipt.Hints = op.holders(i), op.keptHints(i)
	op.c.metrics.QuorumFailures.Add(1)
	e := &QuorumError{Op: op.op(i).name(), Need: op.w, Got: 1 + int(op.tally.acked[i]), Effect: wire.EffectApplied}
	for g := range op.tally.givers {
		v := &op.tally.givers[g]
		if v.state == giverAcked || !v.has(i) {
			continue
		}
		cause := Cause{Node: op.targets[v.target].id, Err: v.err}
		if v.state == giverSilent {
			cause.Err = late
		}
		e.Causes = append(e.Causes, cause)
	}
	return e
}
