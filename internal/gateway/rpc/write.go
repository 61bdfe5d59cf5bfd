package rpc

import (
	"fmt"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

func (q *request) put() (*wire.Fault, error) {
	var params wire.PutRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	op := wire.Op{Key: params.Key, Value: params.Value, Options: params.Options}
	return q.writeOne(&op, &params.Options)
}

func (q *request) delete() (*wire.Fault, error) {
	var params wire.DeleteRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	op := wire.Op{Delete: true, Key: params.Key, Options: params.Options}
	return q.writeOne(&op, &params.Options)
}

func (q *request) writeOne(op *wire.Op, o *wire.Options) (*wire.Fault, error) {
	out, err := q.op(op)
	if err != nil {
		return badRequest(err), nil
	}
	outcomes, fault := q.write([]coordinator.Op{out}, o)
	if fault != nil {
		return fault, nil
	}
	answer := writeResult(&outcomes[0])
	if answer.Fault != nil {
		return answer.Fault, nil
	}
	answer.Clock = q.clock()
	return nil, q.respond(answer.Encode)
}

func (q *request) batch() (*wire.Fault, error) {
	var params wire.BatchRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	answer := wire.BatchResult{Results: make([]wire.WriteResult, len(params.Ops))}
	if len(params.Ops) > 0 {
		ops := make([]coordinator.Op, len(params.Ops))
		for i := range params.Ops {
			var err error
			if ops[i], err = q.op(&params.Ops[i]); err != nil {
				return badRequest(fmt.Errorf("operation %d: %w", i, err)), nil
			}
		}
		outcomes, fault := q.write(ops, &params.Options)
		if fault != nil {
			return fault, nil
		}
		for i := range outcomes {
			answer.Results[i] = writeResult(&outcomes[i])
		}
	}
	answer.Clock = q.clock()
	return nil, q.respond(answer.Encode)
}

// op is an operation as the coordinator has it.
func (q *request) op(op *wire.Op) (coordinator.Op, error) {
	out := coordinator.Op{Kind: coordinator.OpPut, Key: op.Key, Value: op.Value}
	if op.Delete {
		out.Kind = coordinator.OpDelete
	}
	if op.TTL > 0 {
		// By this node's clock as it is now: a node that waits for the write does not shorten its life.
		out.ExpiresAt = q.ses.srv.opts.Now().Add(op.TTL).UnixMilli()
	}
	if op.Options.Context != nil {
		var err error
		if out.Context, err = causal.DecodeVector(op.Options.Context); err != nil {
			return out, fmt.Errorf("option context: %w", err)
		}
		// The dot exceeds every time in the context: a forged one must not push the clock into the future.
		if err = q.ses.srv.opts.Clock.ObserveClient(out.Context.Max()); err != nil {
			return out, fmt.Errorf("option context: %w", err)
		}
		out.HasContext = true
	}
	return out, nil
}

// write asks the store to write; the outcomes are as many as the operations, or there is a fault.
func (q *request) write(ops []coordinator.Op, o *wire.Options) ([]coordinator.Outcome, *wire.Fault) {
	if fault := q.observe(o.Clock); fault != nil {
		return nil, fault
	}
	deadline, fault := q.deadline(o)
	if fault != nil {
		return nil, fault
	}
	outcomes, err := q.ses.srv.opts.Store.Write(q.ses.ctx, &coordinator.WriteRequest{
		Ops: ops, W: level(o.W), R: level(o.R), Ordered: o.Ordered, Sloppy: o.Sloppy,
		Deadline: deadline, Retried: o.Retried,
	})
	if err != nil {
		return nil, faultOf(err, false)
	}
	return outcomes, nil
}

// writeResult is an outcome as a client sees it.
func writeResult(o *coordinator.Outcome) wire.WriteResult {
	if o.Err != nil {
		return wire.WriteResult{Fault: writeFault(o)}
	}
	replicas := make([]string, len(o.Receipt.Replicas))
	for i, id := range o.Receipt.Replicas {
		replicas[i] = string(id)
	}
	return wire.WriteResult{
		Context: causal.AppendVector(nil, o.Context),
		Receipt: wire.Receipt{
			Actor: uint64(o.Receipt.Dot.Actor), Time: uint64(o.Receipt.Dot.Time),
			Replicas: replicas, Hints: keptHints(o.Receipt.Hints), Retried: o.Receipt.Retried,
		},
	}
}

func keptHints(hints []coordinator.KeptHint) (out []wire.KeptHint) {
	for _, h := range hints {
		out = append(out, wire.KeptHint{For: string(h.Target), At: string(h.Node), Counted: h.Counted})
	}
	return out
}

// writeFault is the fault of one write, with its context where it was applied all the same.
func writeFault(o *coordinator.Outcome) *wire.Fault {
	f := faultOf(o.Err, false)
	if f.Effect != wire.EffectApplied {
		return f
	}
	applied := *f // which others may have, too
	applied.Context = causal.AppendVector(nil, o.Context)
	return &applied
}
