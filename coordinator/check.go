package coordinator

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// checkRead says what is wrong with a read, whatever the cluster looks like.
func (c *Coordinator) checkRead(req *ReadRequest) error {
	switch {
	case len(req.Keys) == 0:
		return badRequest("no key")
	case len(req.Keys) > c.opt.ReadKeysMax:
		return tooLarge("%d keys are more than %d", len(req.Keys), c.opt.ReadKeysMax)
	}
	for _, key := range req.Keys {
		if err := c.checkKey(key); err != nil {
			return err
		}
	}
	return nil
}

func (c *Coordinator) checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return badRequest("empty key")
	case len(key) > c.opt.KeyBytesMax:
		return tooLarge("key of %d bytes is longer than %d", len(key), c.opt.KeyBytesMax)
	}
	return nil
}

// checkWrite says what is wrong with a write, whatever the cluster looks like.
func (c *Coordinator) checkWrite(req *WriteRequest) error {
	switch {
	case len(req.Ops) == 0:
		return badRequest("no operation")
	case len(req.Ops) > c.opt.BatchOpsMax:
		return tooLarge("%d operations are more than %d", len(req.Ops), c.opt.BatchOpsMax)
	}
	total := 0
	for i := range req.Ops {
		if err := c.checkOp(&req.Ops[i]); err != nil {
			return err
		}
		total += len(req.Ops[i].Key) + len(req.Ops[i].Value)
	}
	if len(req.Ops) > 1 && total > c.opt.BatchBytesMax {
		return tooLarge("%d bytes of keys and values are more than %d", total, c.opt.BatchBytesMax)
	}
	return checkDistinct(req.Ops)
}

func (c *Coordinator) checkOp(op *Op) error {
	if err := c.checkKey(op.Key); err != nil {
		return err
	}
	switch {
	case op.Kind > OpDelete:
		return badRequest("unknown kind of operation %d", op.Kind)
	case op.Kind == OpDelete && (len(op.Value) > 0 || op.ExpiresAt != 0):
		return badRequest("a delete with a value or an expiry")
	case len(op.Value) > c.opt.ValueBytesMax:
		return tooLarge("value of %d bytes is longer than %d", len(op.Value), c.opt.ValueBytesMax)
	case op.ExpiresAt < 0:
		return badRequest("negative expiry")
	case len(op.Context) > c.opt.ContextEntriesMax:
		return tooLarge("context of %d entries is longer than %d", len(op.Context), c.opt.ContextEntriesMax)
	}
	if err := op.Context.Validate(); err != nil {
		return badRequest("context: %v", err)
	}
	return nil
}

// checkDistinct refuses a key that stands twice in a write: a frame has no order among its keys.
func checkDistinct(ops []Op) error {
	const few = 8
	if len(ops) <= few {
		for i := range ops {
			for j := range i {
				if bytes.Equal(ops[i].Key, ops[j].Key) {
					return badRequest("key %q stands twice in one batch", ops[i].Key)
				}
			}
		}
		return nil
	}
	hashes := make([]uint64, len(ops)) // sorted in a fraction of the time that keys take
	for i := range ops {
		hashes[i] = xxhash.Sum64(ops[i].Key)
	}
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) == len(ops) {
		return nil
	}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(ops[i].Key, ops[j].Key) })
	for n := range order[1:] {
		if key := ops[order[n]].Key; bytes.Equal(key, ops[order[n+1]].Key) {
			return badRequest("key %q stands twice in one batch", key)
		}
	}
	return nil
}

// checkRange says what is wrong with a range.
func (c *Coordinator) checkRange(req *RangeRequest) error {
	// A bound may be longer than a key: the Resume after a key of the greatest length is.
	if len(req.Start) > c.opt.KeyBytesMax+1 || len(req.End) > c.opt.KeyBytesMax+1 {
		return tooLarge("a bound is longer than %d bytes", c.opt.KeyBytesMax+1)
	}
	if req.Limit < 0 || req.BytesMax < 0 {
		return badRequest("negative limit")
	}
	return nil
}
