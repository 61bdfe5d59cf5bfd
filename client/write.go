package client

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// PutOptions are how a key is written. A nil pointer is the zero value.
type PutOptions struct {
	// Context is from an earlier Get: the write supersedes what that saw and leaves the rest as siblings. An empty one is
	// none: the write then supersedes what its coordinating replica holds.
	Context []byte
	// W is how many replicas must hold the write; R how many an ordered one hears first.
	W, R Level
	// TTL is how long the value is visible; zero is for ever.
	TTL time.Duration
	// Ordered makes a put without a context come after everything that R replicas have seen, at the cost of a round trip. False leaves
	// it to the cluster's setting.
	Ordered bool
	// Sloppy lets other nodes keep copies for replicas that cannot be reached, where fewer than W can. A read may miss such a write until
	// the replicas are back and have got it. False leaves it to the cluster's setting.
	Sloppy bool
	// Timeout is the call's time limit; zero is Options.Timeout.
	Timeout time.Duration
}

// DeleteOptions are how a key is deleted; see PutOptions.
type DeleteOptions struct {
	Context []byte
	// W is how many replicas must hold the deletion; R how many one without a context hears first.
	W, R    Level
	Sloppy  bool
	Timeout time.Duration
}

// Receipt says where a write is.
type Receipt struct {
	// Context covers the write and what it superseded.
	Context []byte
	// Replicas are the nodes known to hold the write durably, the one that coordinated it first.
	Replicas []string
	// Hints were kept for replicas that had not acknowledged the write. More may have been kept later.
	Hints []KeptHint
	// Actor and Time are the dot of the write; Time is a hybrid timestamp.
	Actor, Time uint64
	// Retried says that an earlier attempt of this write may have taken effect, too.
	Retried bool
}

// KeptHint says that the node At durably keeps a write for the replica For, until that has it. Counted: it is one of the W copies of a
// sloppy write.
type KeptHint = wire.KeptHint

// Put writes a key. The error is an *Error; its Effect says what may have happened all the same.
func (c *Client) Put(ctx context.Context, key, value []byte, o *PutOptions) (*Receipt, error) {
	if o == nil {
		o = &PutOptions{}
	}
	params := wire.PutRequest{Key: nonNil(key), Value: value, Options: wire.Options{
		W: o.W, R: o.R, Context: contextOf(o.Context), TTL: o.TTL, Ordered: orDefaultChoice(o.Ordered), Sloppy: orDefaultChoice(o.Sloppy),
	}}
	return c.write(ctx, &request{
		method: wire.MethodPut, key: params.Key, bytes: len(value), safe: safetyOf(params.Context), timeout: o.Timeout,
		options: &params.Options, params: params.Encode,
	})
}

// Delete deletes a key; deleting what is absent is no error. The error is an *Error.
func (c *Client) Delete(ctx context.Context, key []byte, o *DeleteOptions) (*Receipt, error) {
	if o == nil {
		o = &DeleteOptions{}
	}
	params := wire.DeleteRequest{Key: nonNil(key), Options: wire.Options{
		W: o.W, R: o.R, Context: contextOf(o.Context), Sloppy: orDefaultChoice(o.Sloppy),
	}}
	return c.write(ctx, &request{
		method: wire.MethodDelete, key: params.Key, safe: safetyOf(params.Context), timeout: o.Timeout,
		options: &params.Options, params: params.Encode,
	})
}

func (c *Client) write(ctx context.Context, q *request) (*Receipt, error) {
	var result wire.WriteResult
	q.result = func(r *wire.Reader) (uint64, error) {
		err := result.Decode(r)
		return result.Clock, err
	}
	if err := c.do(ctx, q); err != nil {
		return nil, err
	}
	return receiptOf(&result), nil
}

func receiptOf(x *wire.WriteResult) *Receipt {
	return &Receipt{
		Context: bytes.Clone(x.Context), Replicas: x.Receipt.Replicas, Hints: x.Receipt.Hints,
		Actor: x.Receipt.Actor, Time: x.Receipt.Time, Retried: x.Receipt.Retried,
	}
}

// orDefaultChoice is yes, or what the cluster has as its setting.
func orDefaultChoice(yes bool) wire.Choice {
	if yes {
		return wire.ChoiceYes
	}
	return wire.ChoiceDefault
}

// contextOf is nil for no context.
func contextOf(cc []byte) []byte {
	if len(cc) == 0 {
		return nil
	}
	return cc
}

func safetyOf(cc []byte) safety {
	if cc != nil {
		return safeNever
	}
	return safeOverwrite
}

// Op is one operation of a batch.
type Op struct {
	// Delete makes it a deletion; else it is a put of Value.
	Delete     bool
	Key, Value []byte
	// Context and TTL are as in PutOptions.
	Context []byte
	TTL     time.Duration
}

// BatchOptions are how a batch is written; see PutOptions. A nil pointer is the zero value.
type BatchOptions struct {
	W, R    Level
	Ordered bool
	Sloppy  bool
	Timeout time.Duration
}

// BatchResult is what became of one operation.
type BatchResult struct {
	// Receipt is nil if there is an error.
	Receipt *Receipt
	// Err is nil or an *Error.
	Err error
}

// Batch writes different keys with one request, and those that failed again by the rule for each. It is atomic on each replica for
// the keys that share their replicas, not as a whole. There is a result for each operation, in their order; the error, an *Error, is for a
// request that failed as a whole. More operations or bytes than Options allow are refused as too large (effect none).
func (c *Client) Batch(ctx context.Context, ops []Op, o *BatchOptions) ([]BatchResult, error) {
	if o == nil {
		o = &BatchOptions{}
	}
	if err := c.checkBatch(ops); err != nil {
		return nil, err
	}
	results := make([]BatchResult, len(ops))
	round := func(todo []int, deadline time.Time, retried bool) ([]*wire.Fault, error) {
		return c.batchRound(ctx, ops, o, results, todo, deadline, retried)
	}
	safe := func(i int) safety { return safetyOf(contextOf(ops[i].Context)) }
	b := bulk{c: c, method: wire.MethodBatch, timeout: o.Timeout, safe: safe, round: round}
	if err := b.run(ctx, len(ops), func(i int, err error) { results[i].Err = err }); err != nil {
		return nil, err
	}
	return results, nil
}

func (c *Client) checkBatch(ops []Op) error {
	if len(ops) > c.opts.BatchOpsMax {
		return tooLarge(wire.MethodBatch, fmt.Sprintf("%d operations, more than the limit of %d", len(ops), c.opts.BatchOpsMax))
	}
	bytes := 0
	for i := range ops {
		bytes += len(ops[i].Key) + len(ops[i].Value)
	}
	if bytes > c.opts.BatchBytesMax {
		return tooLarge(wire.MethodBatch, fmt.Sprintf("%d bytes, more than the limit of %d", bytes, c.opts.BatchBytesMax))
	}
	return nil
}

// batchRound sends some of the operations.
func (c *Client) batchRound(
	ctx context.Context, ops []Op, o *BatchOptions, results []BatchResult, todo []int, deadline time.Time, retried bool,
) ([]*wire.Fault, error) {
	params := wire.BatchRequest{Ops: make([]wire.Op, len(todo)), Options: wire.Options{
		W: o.W, R: o.R, Ordered: orDefaultChoice(o.Ordered), Sloppy: orDefaultChoice(o.Sloppy),
	}}
	safe := safeOverwrite
	for at, i := range todo {
		op := &ops[i]
		params.Ops[at] = wire.Op{
			Delete: op.Delete, Key: op.Key, Value: op.Value, Options: wire.Options{Context: contextOf(op.Context), TTL: op.TTL},
		}
		safe = max(safe, safetyOf(params.Ops[at].Options.Context))
	}
	var answer wire.BatchResult
	q := &request{
		method: wire.MethodBatch, safe: safe, timeout: max(time.Until(deadline), 1), retried: retried,
		options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) {
			err := answer.Decode(r)
			return answer.Clock, checkCount(err, len(answer.Results), len(todo))
		},
	}
	if err := c.do(ctx, q); err != nil {
		return nil, err
	}
	faults := make([]*wire.Fault, len(todo))
	for at, i := range todo {
		if faults[at] = answer.Results[at].Fault; faults[at] == nil {
			results[i].Receipt = receiptOf(&answer.Results[at])
		} else {
			faults[at].Effect = graver(faults[at].Effect, q.before)
		}
	}
	return faults, nil
}
