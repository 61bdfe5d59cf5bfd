package workload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/ring"
)

const (
	// batchItemsMin and batchItemsMax bound the items of a batch.
	batchItemsMin, batchItemsMax = 2, 6
	// togetherPrefix begins the keys of batches all of whose keys are in one partition, apartPrefix those of others.
	togetherPrefix, apartPrefix = "b/together/", "b/apart/"
)

// batch writes several keys with one request, and reads them with one. Half of the batches have all of their keys in one partition. Some of those that were
// acknowledged are overwritten or deleted by another batch.
//
// What is promised (DESIGN §5 and §6): each item has an outcome of its own that holds as for a single write; and on each replica the items that it holds
// are one frame, there as a whole or not at all. The second cannot be seen from outside: reads join replicas, and repair delivers keys one by one. Of a batch
// that was not answered, one replica may lose its disk before it has passed on the second key. So the first is judged here. The second is
// judged where disks are looked into after a crash (integration/sim), and is measured here: "torn batches" are those without an answer, of one partition, of
// which a part is there in the end.
//
// Violations: "lost", an acknowledged item is not there in the end; "stale", "went back", "revived", "appeared" and "invented" as for deletes.
type batch struct {
	written names
	mu      sync.Mutex
	// sets are the keys of each batch.
	sets       [][]string
	partitions int
}

func (b *batch) Name() string { return "batch" }

// Run fails if it cannot learn how many partitions there are.
func (b *batch) Run(ctx context.Context, e Env) error {
	if len(e.Clients) > 0 {
		t, err := e.Clients[0].Topology(ctx)
		if err != nil {
			return fmt.Errorf("workload: %s: %w", b.Name(), err)
		}
		b.partitions = t.Partitions
	}
	return work(ctx, e, b.Name(), b.step)
}

func (b *batch) step(ctx context.Context, w *worker) {
	if keys := b.some(w); keys != nil && w.chance(0.4) {
		w.getMany(ctx, keys, false, false)
		return
	}
	keys := b.draw(w)
	outcome := w.batch(ctx, puts(w, keys), false)
	b.remember(keys)
	if outcome != history.Ok || !w.chance(0.3) {
		return
	}
	ops := puts(w, keys)
	for i := range ops {
		if w.chance(0.5) {
			ops[i] = client.Op{Delete: true, Key: ops[i].Key}
		}
	}
	w.batch(ctx, ops, w.chance(0.5))
}

func puts(w *worker, keys []string) (ops []client.Op) {
	for _, key := range keys {
		ops = append(ops, client.Op{Key: []byte(key), Value: []byte(w.value())})
	}
	return ops
}

// draw makes up keys for a batch.
func (b *batch) draw(w *worker) (keys []string) {
	together := w.chance(0.5)
	prefix := apartPrefix
	if together {
		prefix = togetherPrefix
	}
	prefix += w.value() + "."
	first := ring.PartitionOf([]byte(prefix), b.partitions)
	for n, size := 0, batchItemsMin+w.rand.IntN(batchItemsMax-batchItemsMin+1); len(keys) < size; n++ {
		key := fmt.Sprint(prefix, n)
		if !together || ring.PartitionOf([]byte(key), b.partitions) == first {
			keys = append(keys, key)
		}
	}
	return keys
}

func (b *batch) remember(keys []string) {
	for _, key := range keys {
		b.written.add(key)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sets = append(b.sets, keys)
}

// some are the keys of one batch; nil if there was none yet.
func (b *batch) some(w *worker) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sets) == 0 {
		return nil
	}
	return b.sets[w.rand.IntN(len(b.sets))]
}

func (b *batch) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, b.Name(), b.written.all(), false)
}

func (b *batch) Check(ops []history.Operation) Result {
	v := newVerdict(b.Name(), ops)
	all := timelines(ops)
	v.judgeKeys(all, missingIsStale)
	v.countTorn(all, ops)
	return v.r
}

// InOnePartition says that an operation is a batch of this package all of whose keys are in one partition.
func InOnePartition(op *history.Operation) bool {
	return op.Kind == history.Batch && strings.HasPrefix(op.Items[0].Key, togetherPrefix)
}

// countTorn counts the batches of one partition that were not answered, and those of them of which some items are there in the end and some are not.
func (v *verdict) countTorn(all []*timeline, ops []history.Operation) {
	var unanswered [][]history.Item
	there := make(map[string]bool)
	for i := range ops {
		op := &ops[i]
		if op.Outcome == history.Unknown && InOnePartition(op) {
			unanswered = append(unanswered, op.Items)
			for j := range op.Items {
				there[op.Items[j].Key] = false
			}
		}
	}
	for _, k := range all {
		if _, asked := there[k.key]; !asked {
			continue
		}
		if len(k.writes) > 1 {
			delete(there, k.key) // who knows which of them is there
			continue
		}
		there[k.key] = slices.ContainsFunc(k.reads, func(r read) bool { return r.final && !r.absent })
	}
	v.count("unanswered batches of one partition", len(unanswered))
	for _, items := range unanswered {
		if torn(items, there) {
			v.count("torn batches", 1)
		}
	}
}

// torn says that some of the items that were not answered are there, and some are not.
func torn(items []history.Item, there map[string]bool) bool {
	some, every := false, true
	for _, item := range items {
		if present, known := there[item.Key]; known && item.Outcome == history.Unknown {
			some, every = some || present, every && present
		}
	}
	return some && !every
}
