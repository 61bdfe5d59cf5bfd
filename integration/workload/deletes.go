package workload

import (
	"context"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

const (
	// deletesKeys is how many keys are in use at once, deletesUses how often one is used before another takes its place.
	deletesKeys = 12
	deletesUses = 60
)

// deletes puts, deletes and reads keys that all workers share. Puts are plain, ordered, or follow a read whose context they carry; deletions have no
// context or that of a read. After some time a key is left alone, half of them deleted, and others take its place; it is still read now and then.
//
// Violations: "revived", a deleted value is shown; "lost", a value is gone that nothing deleted; "stale" and "went back", a strict read shows what was behind
// something acknowledged or shown before it began; "appeared" and "invented" as for set.
type deletes struct {
	written names
	active  pool
}

func newDeletes() *deletes {
	return &deletes{active: pool{prefix: "d/", size: deletesKeys, uses: deletesUses}}
}

func (d *deletes) Name() string { return "deletes" }

func (d *deletes) Run(ctx context.Context, e Env) error { return work(ctx, e, d.Name(), d.step) }

func (d *deletes) step(ctx context.Context, w *worker) {
	if w.chance(0.1) {
		if key, ok := d.written.at(w.rand.IntN(d.written.count() + 1)); ok {
			w.get(ctx, key, false)
			return
		}
	}
	key, first, last := d.active.use(w)
	if first {
		d.written.add(key)
	}
	switch p := w.rand.Float64(); {
	case last && p < 0.5:
		w.remove(ctx, key, "")
	case p < 0.35:
		w.get(ctx, key, false)
	case p < 0.50:
		w.put(ctx, key, w.value(), client.PutOptions{})
	case p < 0.65:
		w.put(ctx, key, w.value(), client.PutOptions{Ordered: true})
	case p < 0.72:
		d.withContext(ctx, w, key, func(cc history.Context) { w.put(ctx, key, w.value(), client.PutOptions{Context: []byte(cc)}) })
	case p < 0.84:
		d.withContext(ctx, w, key, func(cc history.Context) { w.remove(ctx, key, cc) })
	default:
		w.remove(ctx, key, "")
	}
}

// withContext reads a key and then writes it with the context of that.
func (d *deletes) withContext(ctx context.Context, w *worker, key string, write func(cc history.Context)) {
	if item, ok := w.get(ctx, key, true); ok {
		write(item.After)
	}
}

func (d *deletes) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, d.Name(), d.written.all(), false)
}

func (d *deletes) Check(ops []history.Operation) Result {
	v := newVerdict(d.Name(), ops)
	v.judgeKeys(timelines(ops), usual)
	return v.r
}
