package client

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// RangeOptions are which keys are read, in bytewise order, and how.
type RangeOptions struct {
	// Start and End are both inclusive; empty is no bound. Prefix restricts the range further.
	Start, End, Prefix []byte
	// Limit is how many keys are wanted; zero is all.
	Limit int
	// Reverse begins at the end.
	Reverse bool
	// KeysOnly leaves the values out.
	KeysOnly bool
	// R is how many replicas of each partition must answer.
	R Level
	// Partial passes over partitions that lack R live replicas; Missing, if it is set, is told of them, perhaps more than once.
	Partial bool
	Missing func(partitions []uint32)
	// PageItems is how many keys are asked for at once; zero leaves it to the node.
	PageItems int
	// Timeout is the time limit of each page; zero is Options.Timeout.
	Timeout time.Duration
}

// KeyValue is one key of a range. Its slices share memory with the other keys of its page (about 1 MiB): copy what is to be kept for long.
type KeyValue struct {
	Key []byte
	// Value is nil with KeysOnly.
	Value []byte
	// Siblings is how many values the key has at once; Value is the one with the greatest timestamp.
	Siblings int
}

// Range reads keys in order. While the caller looks at one page the next is read ahead, so that at most two are in memory. It ends
// after an error, which is an *Error. A range is no snapshot: each key is as it was when its page was read.
func (c *Client) Range(ctx context.Context, o RangeOptions) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pages, stop := make(chan page), make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			defer close(pages)
			c.readPages(ctx, &o, pages, stop)
		})
		defer reader.Wait()
		defer cancel()
		defer close(stop)
		for p := range pages {
			if p.err != nil {
				yield(KeyValue{}, p.err)
				return
			}
			if len(p.missing) > 0 && o.Missing != nil {
				o.Missing(p.missing)
			}
			for _, item := range p.items {
				if !yield(KeyValue{Key: item.Key, Value: item.Value, Siblings: item.Siblings}, nil) {
					return
				}
			}
		}
	}
}

// page is one answer to a range request.
type page struct {
	items   []wire.RangeItem
	missing []uint32
	err     error
}

// readPages follows the cursor until the range or the limit ends, there is an error, or stop is closed. Where ctx ends that
// is an error that the caller has to see.
func (c *Client) readPages(ctx context.Context, o *RangeOptions, pages chan<- page, stop <-chan struct{}) {
	params := wire.RangeRequest{
		Start: o.Start, End: o.End, Prefix: o.Prefix, Reverse: o.Reverse, KeysOnly: o.KeysOnly, Partial: o.Partial,
		Options: wire.Options{R: o.R},
	}
	left := o.Limit
	for {
		params.Limit = min(pageLimit(o.PageItems, left), wire.RangeLimitMax)
		answer, err := c.readPage(ctx, &params, o.Timeout)
		p := page{items: answer.Items, missing: answer.Missing, err: err}
		if o.Limit > 0 {
			p.items = p.items[:min(len(p.items), left)]
			left -= len(p.items)
		}
		select {
		case pages <- p:
		case <-stop:
			return
		}
		if err != nil || len(answer.Cursor) == 0 || (o.Limit > 0 && left == 0) {
			return
		}
		params.Cursor = answer.Cursor
	}
}

// pageLimit is the lesser of two limits of which zero is none.
func pageLimit(page, left int) int {
	if page <= 0 || (left > 0 && left < page) {
		return max(left, 0)
	}
	return page
}

func (c *Client) readPage(ctx context.Context, params *wire.RangeRequest, timeout time.Duration) (answer wire.RangeResult, err error) {
	err = c.do(ctx, &request{
		method: wire.MethodRange, safe: safeRead, timeout: timeout, options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) {
			err := answer.Decode(r)
			return answer.Clock, err
		},
	})
	if err != nil {
		return wire.RangeResult{}, err
	}
	return answer, nil
}
