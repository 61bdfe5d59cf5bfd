package storage

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestMergesAreDueForWhatCanBeDropped has most of what was merged become droppable, with nothing new written.
func TestMergesAreDueForWhatCanBeDropped(t *testing.T) {
	const keys = 3000
	var droppable atomic.Int64
	var drops atomic.Bool
	e := mustOpen(t, vfstest.New(), Options{
		Sync: SyncNever, Droppable: droppable.Load, Filter: func(key, _ []byte) bool { return drops.Load() && key[0] == 'g' },
	})
	for i := range keys {
		mustPut(t, e, "gone "+key(i), "x")
		if i%3 == 0 {
			mustPut(t, e, "kept "+key(i), "x")
		}
	}
	if err := e.Merge(context.Background()); err != nil {
		t.Fatal(err)
	}
	merges := func() int64 { mergeDue(e, false); return e.Stats().Merge.Merges }

	before := merges()
	droppable.Store(keys / 3) // less than is left
	if n := merges(); n != before {
		t.Errorf("%d merges for the smaller part", n-before)
	}
	droppable.Store(keys)
	if n := merges(); n != before+1 || e.Stats().Keys != keys+keys/3 {
		t.Errorf("%d merges that find nothing, then %d keys", n-before, e.Stats().Keys)
	}
	drops.Store(true)
	if n := merges(); n != before+1 {
		t.Errorf("%d merges for what was not found before", n-before)
	}
	droppable.Store(keys + 1)
	if e.Stats().Merge.DebtBytes == 0 {
		t.Error("no merge is due")
	}
	drop := func() { droppable.Store(0) } // as who counts them does, who is told
	e.opts.Observer = func([]Change) { drop() }
	if n := merges(); n != before+2 || e.Stats().Keys != keys/3 {
		t.Errorf("%d merges, then %d keys", n-before, e.Stats().Keys)
	}
}
