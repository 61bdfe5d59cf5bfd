package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// Store implements coordinator.Replica: it joins items, whose keys must all be different, into what the replica holds. What
// it holds already, or has seen superseded, is not written again, but the answer still waits until that is durable.
//
// A key whose record cannot be read can be joined with nothing: then nothing is stored and the answer is an error that wraps
// coordinator.ErrUnknownKey. Others: context.DeadlineExceeded, coordinator.ErrOverloaded, storage.ErrTooLarge, storage.ErrReadOnly,
// storage.ErrClosed (effect none); *storage.IOError (effect unknown).
func (r *Replica) Store(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	size := 0
	for i := range items {
		r.clock.Observe(items[i].Object.Vector.Max())
		size += itemSize(&items[i])
	}
	if err := r.storing.take(size); err != nil {
		done(coordinator.StoreAck{}, err)
		return
	}
	m, _ := r.stores.Get().(*store)
	if m == nil {
		m = &store{r: r}
	}
	m.deadline, m.items, m.done, m.size = deadline, items, done, size
	for i := range items {
		m.keys = append(m.keys, items[i].Key)
	}
	if err := r.engine.Submit(m); err != nil {
		m.Done(err)
	}
}

func itemSize(item *coordinator.Item) int {
	size := len(item.Key)
	for i := range item.Object.Siblings {
		size += len(item.Object.Siblings[i].Value)
	}
	return size
}

// store is the mutation behind Store.
type store struct {
	r        *Replica
	size     int // what the budget was charged
	deadline time.Time
	items    []coordinator.Item
	done     func(coordinator.StoreAck, error)
	keys     [][]byte
	scratch
}

func (m *store) Keys() [][]byte { return m.keys }

func (m *store) Decide(cur []storage.Current, w *storage.Writes) error {
	if expired(m.deadline) {
		return context.DeadlineExceeded
	}
	for i := range cur {
		if err := m.join(&m.items[i], &cur[i], w); err != nil {
			return err
		}
	}
	return nil
}

func (m *store) join(item *coordinator.Item, cur *storage.Current, w *storage.Writes) error {
	complete, err := m.r.decode(&m.local, cur)
	if err != nil {
		return fmt.Errorf("replica: join: %w", err)
	}
	if !complete {
		return storage.ErrNeedValues
	}
	joined := causal.Join(m.local, item.Object)
	if joined.SameHeads(m.local) {
		return nil
	}
	if !cur.HasValue && keepsOwn(joined, item.Object) {
		return storage.ErrNeedValues
	}
	meta, value := m.encode(joined)
	w.Put(item.Key, meta, value)
	return nil
}

// keepsOwn says whether the join has a value that did not come with the other object.
func keepsOwn(joined, other causal.Object) bool {
	return slices.ContainsFunc(joined.Siblings, func(s causal.Sibling) bool {
		return !s.Tombstone && !slices.ContainsFunc(other.Siblings, func(o causal.Sibling) bool { return o.Dot == s.Dot })
	})
}

func (m *store) Decided() {}

func (m *store) Done(err error) {
	r, done := m.r, m.done
	r.storing.give(m.size)
	clear(m.keys)
	m.scratch.release()
	*m = store{r: r, keys: m.keys[:0], scratch: m.scratch}
	r.stores.Put(m)
	if err != nil {
		done(coordinator.StoreAck{}, err)
		return
	}
	done(coordinator.StoreAck{Actor: r.id.actor}, nil)
}
