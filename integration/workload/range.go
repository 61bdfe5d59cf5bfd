package workload

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

const (
	// rangeKeys is how many neighbouring keys are in use at once, rangeUses how often all together before others take their place. A scan is of
	// these, so that the checker has no more than rangeKeys reads to judge for each.
	rangeKeys = 32
	rangeUses = 4000
)

// ranges puts, deletes and scans neighbouring keys: forward and reverse, with bounds, limits and pages of any size.
//
// Violations: "missing", a scan or get left out what was surely there; "phantom", it shows a key that surely was not there, that nobody wrote, or that is not
// between the bounds; "wrong value", a value is behind one that was acknowledged or shown before the scan began, or nobody wrote it;
// "unordered", keys are not strictly in order. A scan is no snapshot: each of its keys was read at some time between its beginning and its end.
type ranges struct {
	uses    atomic.Int64
	written names
}

func (r *ranges) Name() string { return "range" }

func (r *ranges) Run(ctx context.Context, e Env) error { return work(ctx, e, r.Name(), r.step) }

func (r *ranges) step(ctx context.Context, w *worker) {
	use := r.uses.Add(1) - 1
	prefix := fmt.Sprintf("r/%04d/", use/rangeUses)
	if use%rangeUses == 0 {
		for i := range rangeKeys {
			r.written.add(rangeKey(prefix, i))
		}
	}
	key := rangeKey(prefix, w.rand.IntN(rangeKeys))
	switch p := w.rand.Float64(); {
	case p < 0.4:
		w.put(ctx, key, w.value(), client.PutOptions{Ordered: w.chance(0.5)})
	case p < 0.65:
		w.remove(ctx, key, "")
	case p < 0.75:
		w.get(ctx, key, false)
	default:
		w.scan(ctx, drawScan(w, prefix), false)
	}
}

func rangeKey(prefix string, n int) string { return fmt.Sprintf("%s%02d", prefix, n) }

// drawScan draws what to scan of the keys with a prefix.
func drawScan(w *worker, prefix string) client.RangeOptions {
	a, b := w.rand.IntN(rangeKeys), w.rand.IntN(rangeKeys)
	o := client.RangeOptions{
		Start: []byte(rangeKey(prefix, min(a, b))), End: []byte(rangeKey(prefix, max(a, b))), Reverse: w.chance(0.5),
	}
	if w.chance(0.1) {
		o.Start, o.End = []byte(prefix), []byte(prefix+"~")
	}
	if w.chance(0.3) {
		o.Limit = 1 + w.rand.IntN(rangeKeys/2)
	}
	if w.chance(0.5) {
		o.PageItems = 1 + w.rand.IntN(rangeKeys/4)
	}
	return o
}

// Settle reads every key, and scans them all in both directions.
func (r *ranges) Settle(ctx context.Context, e Env) error {
	if err := settle(ctx, e, r.Name(), r.written.all(), false); err != nil {
		return err
	}
	e.Rate = 0
	w := workers(e, r.Name())[0]
	for _, reverse := range []bool{false, true} {
		for w.scan(ctx, client.RangeOptions{Start: []byte("r/"), End: []byte("r/~"), Reverse: reverse}, true) != history.Ok {
			if ctx.Err() != nil {
				return fmt.Errorf("workload: %s: the keys could not be scanned in the end: %w", r.Name(), context.Cause(ctx))
			}
			pause(ctx, settlePause)
		}
	}
	return nil
}

func (r *ranges) Check(ops []history.Operation) Result {
	v := newVerdict(r.Name(), ops)
	all := timelines(ops)
	v.addScans(all, ops)
	v.judgeKeys(all, nameInRange)
	return v.r
}

func nameInRange(f finding) string {
	switch f.fault {
	case missing:
		return "missing"
	case revived, appeared:
		return "phantom"
	}
	return "wrong value"
}
