package client

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// GetOptions are how a key is read. A nil pointer is the zero value.
type GetOptions struct {
	// R is how many replicas must answer.
	R Level
	// Siblings asks for all siblings.
	Siblings bool
	// Timeout is the call's time limit; zero is Options.Timeout.
	Timeout time.Duration
}

// Value is what a key holds. Its slices belong to the caller.
type Value struct {
	// Value is nil if nothing is visible.
	Value []byte
	// Context is the causal context: a put with it supersedes everything that this get has seen.
	Context []byte
	// Siblings is how many values, tombstones among them, the key has at once: usually 1, 0 if it was never written.
	Siblings int
	// ExpiresAt is when the value ceases to be visible; the zero time is never.
	ExpiresAt time.Time
	// All are the siblings, with GetOptions.Siblings.
	All []Sibling
}

// Sibling is one of the values that a key has at once.
type Sibling struct {
	Value []byte
	// Time is the hybrid timestamp of the write: milliseconds since the Unix epoch in its upper 48 bits.
	Time uint64
	// ExpiresAt is when the value ceases to be visible; the zero time is never.
	ExpiresAt time.Time
	// Deleted says that this is a tombstone, or expired: it has no value.
	Deleted bool
}

// GetResult is one key's part of a GetMany.
type GetResult struct {
	Value *Value
	// Err is nil, ErrNotFound (Value then has the context), or an *Error (Value is nil).
	Err error
}

// Get reads a key. If nothing is visible the error is ErrNotFound, and the Value has the context and the number of siblings all
// the same. Any other error is an *Error.
func (c *Client) Get(ctx context.Context, key []byte, o *GetOptions) (*Value, error) {
	if o == nil {
		o = &GetOptions{}
	}
	params := wire.GetRequest{Key: nonNil(key), Options: wire.Options{R: o.R, Values: o.Siblings}}
	var result wire.GetResult
	err := c.do(ctx, &request{
		method: wire.MethodGet, key: params.Key, safe: safeRead, timeout: o.Timeout,
		options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) {
			err := result.Decode(r)
			return result.Clock, err
		},
	})
	if err != nil {
		return nil, err
	}
	return valueOf(&result)
}

// valueOf copies a result out of its message, which would otherwise stay in memory as a whole.
func valueOf(g *wire.GetResult) (*Value, error) {
	both := make([]byte, 0, len(g.Value)+len(g.Context))
	both = append(append(both, g.Value...), g.Context...)
	at := len(g.Value)
	v := &Value{Context: both[at:], Siblings: g.Siblings, ExpiresAt: timeOf(g.ExpiresAt)}
	for i := range g.Values {
		s := &g.Values[i]
		v.All = append(v.All, Sibling{
			Value: bytes.Clone(s.Value), Time: s.Time, ExpiresAt: timeOf(s.ExpiresAt), Deleted: s.Deleted,
		})
	}
	if !g.Found {
		return v, ErrNotFound
	}
	v.Value = both[:at:at]
	return v, nil
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// nonNil is a key that is there, be it empty.
func nonNil(key []byte) []byte {
	if key == nil {
		return []byte{}
	}
	return key
}

// GetMany reads up to 10,000 keys. Those that failed are asked for again, and those for whose values an answer had no room. There
// is a result for each key in the order of keys; the error, an *Error, is for a request that failed as a whole.
func (c *Client) GetMany(ctx context.Context, keys [][]byte, o *GetOptions) ([]GetResult, error) {
	if o == nil {
		o = &GetOptions{}
	}
	results := make([]GetResult, len(keys))
	round := func(todo []int, deadline time.Time, _ bool) ([]*wire.Fault, error) {
		return c.getRound(ctx, keys, o, results, todo, deadline)
	}
	b := bulk{c: c, method: wire.MethodMultiGet, timeout: o.Timeout, safe: func(int) safety { return safeRead }, round: round}
	err := b.run(ctx, len(keys), func(i int, err error) { results[i].Err = err })
	if err != nil {
		return nil, err
	}
	return results, nil
}

// getRound reads some of the keys, with as many requests as it takes for their values to fit into the answers.
func (c *Client) getRound(
	ctx context.Context, keys [][]byte, o *GetOptions, results []GetResult, todo []int, deadline time.Time,
) ([]*wire.Fault, error) {
	faults := make([]*wire.Fault, len(todo))
	left := make([]int, len(todo)) // places in todo
	for at := range left {
		left[at] = at
	}
	for {
		var some [][]byte
		for _, at := range left {
			some = append(some, keys[todo[at]])
		}
		answers, err := c.getSome(ctx, some, o, deadline)
		if err != nil && len(left) == len(todo) {
			return nil, err
		}
		var e *Error
		if errors.As(err, &e) {
			for _, at := range left {
				faults[at] = &wire.Fault{Code: e.Code, Effect: wire.EffectNone, Message: e.Message, Need: e.Need, Got: e.Got}
			}
			return faults, nil
		}
		var full []int
		for n, at := range left {
			answer := &answers[n]
			if faults[at] = answer.Fault; answer.Fault == nil {
				results[todo[at]].Value, results[todo[at]].Err = valueOf(&answer.GetResult)
			} else if answer.Fault.Code == wire.CodeTooLarge {
				full = append(full, at)
			}
		}
		if len(full) == 0 || len(full) == len(left) {
			return faults, nil
		}
		left = full
	}
}

// getSome sends one request; there is an answer for each key. The error is an *Error.
func (c *Client) getSome(ctx context.Context, keys [][]byte, o *GetOptions, deadline time.Time) ([]wire.KeyResult, error) {
	params := wire.MultiGetRequest{Keys: keys, Options: wire.Options{R: o.R, Values: o.Siblings}}
	var answer wire.MultiGetResult
	err := c.do(ctx, &request{
		method: wire.MethodMultiGet, safe: safeRead, timeout: max(time.Until(deadline), 1), options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) {
			err := answer.Decode(r)
			return answer.Clock, checkCount(err, len(answer.Results), len(keys))
		},
	})
	return answer.Results, err
}

// checkCount is an error if an answer has not as many parts as the request.
func checkCount(err error, got, want int) error {
	if err == nil && got != want {
		return &wire.DecodeError{Reason: "answer has not a result for each part of the request"}
	}
	return err
}

// tooLarge is the error of a request that is refused here.
func tooLarge(method, message string) *Error {
	return &Error{Op: method, Code: wire.CodeTooLarge, Effect: wire.EffectNone, Message: message}
}
