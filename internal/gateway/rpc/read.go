package rpc

import (
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

func (q *request) get() (*wire.Fault, error) {
	var params wire.GetRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	results, fault := q.read([][]byte{params.Key}, &params.Options)
	if fault != nil {
		return fault, nil
	}
	if err := results[0].Err; err != nil {
		return faultOf(err, true), nil
	}
	answer := getResult(&results[0].Object, params.Values, q.ses.srv.opts.Now())
	answer.Clock = q.clock()
	return nil, q.respond(answer.Encode)
}

func (q *request) multiGet() (*wire.Fault, error) {
	var params wire.MultiGetRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	answer := wire.MultiGetResult{Results: make([]wire.KeyResult, len(params.Keys))}
	if len(params.Keys) > 0 {
		results, fault := q.read(params.Keys, &params.Options)
		if fault != nil {
			return fault, nil
		}
		now := q.ses.srv.opts.Now()
		for i := range results {
			if err := results[i].Err; err != nil {
				answer.Results[i].Fault = faultOf(err, true)
				continue
			}
			answer.Results[i].GetResult = getResult(&results[i].Object, params.Values, now)
		}
	}
	answer.Clock = q.clock()
	return nil, q.respond(answer.Encode)
}

// read asks the store for keys; the results are as many, or there is a fault.
func (q *request) read(keys [][]byte, o *wire.Options) ([]coordinator.ReadResult, *wire.Fault) {
	_ = q.observe(o.Clock) // a clock that cannot be followed does not change what is read
	deadline, fault := q.deadline(o)
	if fault != nil {
		return nil, fault
	}
	results, err := q.ses.srv.opts.Store.Read(q.ses.ctx, &coordinator.ReadRequest{
		Keys: keys, R: level(o.R), Deadline: deadline,
	})
	if err != nil {
		return nil, faultOf(err, true)
	}
	bytes := 0
	for i := range results {
		bytes += results[i].Object.ValueBytes()
	}
	// The objects, and their encoding.
	if fault := q.grow(2 * bytes); fault != nil {
		return nil, fault
	}
	return results, nil
}

// getResult is what a client sees of an object: the value of the greatest timestamp unless that is a tombstone or
// expired, the context that covers all of it, and how many siblings there are.
func getResult(o *causal.Object, values bool, now time.Time) wire.GetResult {
	result := wire.GetResult{Context: causal.AppendVector(nil, o.Vector), Siblings: len(o.Siblings)}
	if winner, ok := o.Winner(); ok && winner.Visible(now) {
		result.Found = true
		result.Value = winner.Value
		result.ExpiresAt = winner.ExpiresAt
	}
	if !values {
		return result
	}
	result.Values = make([]wire.Sibling, len(o.Siblings))
	for i := range o.Siblings {
		s := &o.Siblings[i]
		result.Values[i] = wire.Sibling{Time: uint64(s.Dot.Time), ExpiresAt: s.ExpiresAt, Deleted: !s.Visible(now)}
		if !result.Values[i].Deleted {
			result.Values[i].Value = s.Value
		}
	}
	return result
}

func (q *request) scan() (*wire.Fault, error) {
	var params wire.RangeRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	start, end, some, err := params.Span()
	if err != nil {
		return badRequest(err), nil
	}
	_ = q.observe(params.Clock)
	answer := wire.RangeResult{Clock: q.clock()}
	if !some {
		return nil, q.respond(answer.Encode)
	}
	deadline, fault := q.deadline(&params.Options)
	if fault != nil {
		return fault, nil
	}
	page, err := q.ses.srv.opts.Store.Range(q.ses.ctx, &coordinator.RangeRequest{
		Start: start, End: end, Reverse: params.Reverse, KeysOnly: params.KeysOnly, R: level(params.R),
		Limit: params.Limit, BytesMax: q.ses.srv.opts.RangeBytesMax, Partial: params.Partial,
		Deadline: deadline,
	})
	if err != nil {
		return faultOf(err, true), nil
	}
	fillPage(&answer, page, params.KeysOnly, q.ses.srv.opts.Now())
	if page.More {
		answer.Cursor = params.NextCursor(page.Resume)
	}
	answer.Clock = q.clock()
	return nil, q.respond(answer.Encode)
}

// fillPage puts what is visible of a page into the answer.
func fillPage(answer *wire.RangeResult, page *coordinator.RangePage, keysOnly bool, now time.Time) {
	answer.Items = make([]wire.RangeItem, 0, len(page.Items))
	for i := range page.Items {
		item := &page.Items[i]
		winner, ok := item.Object.Winner()
		if !ok || !winner.Visible(now) {
			continue // expired since the page was made
		}
		out := wire.RangeItem{Key: item.Key, Siblings: len(item.Object.Siblings)}
		if !keysOnly {
			// A value that is there and empty is not nil.
			if out.Value = winner.Value; out.Value == nil {
				out.Value = []byte{}
			}
		}
		answer.Items = append(answer.Items, out)
	}
	answer.Missing = make([]uint32, len(page.Missing))
	for i, partition := range page.Missing {
		answer.Missing[i] = uint32(partition)
	}
}
