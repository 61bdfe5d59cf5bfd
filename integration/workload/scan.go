package workload

import (
	"context"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

// scan reads a range and records what came of it. One that fails on its way has seen what it had passed by then.
func (w *worker) scan(ctx context.Context, o client.RangeOptions, final bool) history.Outcome {
	op, ok := w.begin(ctx, history.Scan)
	if !ok {
		return 0
	}
	op.Final, op.From, op.To, op.Reverse = final, string(o.Start), string(o.End), o.Reverse
	o.R, o.Timeout = w.env.R, w.env.Timeout
	var failed error
	for kv, err := range w.c.Range(ctx, o) {
		if err != nil {
			failed = err
			break
		}
		op.Items = append(op.Items, history.Item{Key: string(kv.Key), Value: string(kv.Value)})
	}
	op.Partial = failed != nil || (o.Limit > 0 && len(op.Items) >= o.Limit)
	return w.end(ctx, op, failed)
}

// addScans adds to every key what scans showed of it, and judges what concerns no single key.
func (v *verdict) addScans(all []*timeline, ops []history.Operation) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b *timeline) int { return strings.Compare(a.key, b.key) })
	for i := range ops {
		if op := &ops[i]; op.Kind == history.Scan {
			v.count("scans", 1)
			v.count("keys scanned", len(op.Items))
			v.addScan(sorted, op)
		}
	}
}

// addScan adds one scan. Its items are put in order first, so that one that is out of order is not taken for several things at once.
func (v *verdict) addScan(sorted []*timeline, op *history.Operation) {
	items := op.Items
	if at := disorder(op); at > 0 {
		v.violate("unordered", "client %d at %s to %s: %q comes after %q", op.Client, when(op.Start), when(op.End), items[at].Key, items[at-1].Key)
	}
	from, to, ok := seen(op)
	if !ok {
		return
	}
	shown := slices.Clone(items)
	slices.SortStableFunc(shown, func(a, b history.Item) int { return strings.Compare(a.Key, b.Key) })
	next, _ := slices.BinarySearchFunc(sorted, from, func(k *timeline, key string) int { return strings.Compare(k.key, key) })
	for _, item := range shown {
		if item.Key < from || (to != "" && item.Key > to) {
			v.violate("phantom", "client %d at %s to %s: %q is not between %q and %q", op.Client, when(op.Start), when(op.End), item.Key, op.From, op.To)
			continue
		}
		for ; next < len(sorted) && sorted[next].key < item.Key; next++ {
			sorted[next].reads = append(sorted[next].reads, readOf(op, "", true))
		}
		switch {
		case next < len(sorted) && sorted[next].key == item.Key:
			sorted[next].reads = append(sorted[next].reads, readOf(op, item.Value, false))
			next++
		case next == 0 || sorted[next-1].key != item.Key: // else it is there twice
			v.violate("phantom", "client %d at %s to %s: nobody wrote %q", op.Client, when(op.Start), when(op.End), item.Key)
		}
	}
	for ; next < len(sorted) && (to == "" || sorted[next].key <= to); next++ {
		sorted[next].reads = append(sorted[next].reads, readOf(op, "", true))
	}
}

// disorder is the place of the first item that does not come after the one before it; 0 if there is none.
func disorder(op *history.Operation) int {
	for i := 1; i < len(op.Items); i++ {
		order := strings.Compare(op.Items[i-1].Key, op.Items[i].Key)
		if op.Reverse {
			order = -order
		}
		if order >= 0 {
			return i
		}
	}
	return 0
}

// seen are the bounds, both inclusive, of what a scan has looked at; an empty to is no bound. ok is false if that is nothing.
func seen(op *history.Operation) (from, to string, ok bool) {
	switch {
	case !op.Partial:
		return op.From, op.To, op.Outcome == history.Ok
	case len(op.Items) == 0:
		return "", "", false
	case op.Reverse:
		return op.Items[len(op.Items)-1].Key, op.To, true
	}
	return op.From, op.Items[len(op.Items)-1].Key, true
}
