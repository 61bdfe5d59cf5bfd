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
// An object with an event of a retired actor that the replica does not hold is refused, and all items with it: ErrRetired (effect none).
// A key whose record cannot be read can be joined with nothing: then nothing is stored and the answer is an error that wraps
// coordinator.ErrUnknownKey. Others: context.DeadlineExceeded, coordinator.ErrOverloaded, storage.ErrTooLarge, storage.ErrReadOnly,
// storage.ErrClosed (effect none); *storage.IOError (effect unknown).
func (r *Replica) Store(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	r.store(deadline, items, storeSent, done)
}

// StoreExchanged is Store for what an exchange brings, which may be events of retired actors.
func (r *Replica) StoreExchanged(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	r.store(deadline, items, storeExchanged, done)
}

func (r *Replica) store(deadline time.Time, items []coordinator.Item, way storeWay, done func(coordinator.StoreAck, error)) {
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
	m.deadline, m.items, m.way, m.done, m.size = deadline, items, way, done, size
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

// storeWay is how items have come.
type storeWay uint8

const (
	// storeSent: as a write, a repair or a hint.
	storeSent storeWay = iota
	// storeExchanged: by an exchange, which may bring events of retired actors.
	storeExchanged
	// storeRestored: from as many replicas as it takes to make up for a record that cannot be read.
	storeRestored
)

// store is the mutation behind Store.
type store struct {
	r        *Replica
	size     int // what the budget was charged
	deadline time.Time
	way      storeWay
	items    []coordinator.Item
	done     func(coordinator.StoreAck, error)
	keys     [][]byte
	// actor is that of the decision: what is lost later, and forgotten under another actor, is not vouched for by that one.
	actor causal.Actor
	scratch
}

func (m *store) Keys() [][]byte { return m.keys }

func (m *store) Decide(cur []storage.Current, w *storage.Writes) error {
	if expired(m.deadline) {
		return context.DeadlineExceeded
	}
	m.actor = m.r.Actor()
	for i := range cur {
		if err := m.join(&m.items[i], &cur[i], w); err != nil {
			return err
		}
	}
	return nil
}

func (m *store) join(item *coordinator.Item, cur *storage.Current, w *storage.Writes) error {
	part := m.r.partition(item.Key)
	if m.way == storeRestored && cur.State == storage.Unknown {
		m.restore(part, item, w)
		return nil
	}
	complete, err := m.decode(m.r, part, cur)
	if err != nil {
		return fmt.Errorf("replica: join: %w", err)
	}
	if !complete {
		return storage.ErrNeedValues
	}
	if m.way == storeSent && m.bringsRetired(part, item.Object) {
		return ErrRetired
	}
	joined := causal.Join(m.local, item.Object)
	switch {
	case joined.SameHeads(m.local) && !joined.Outdated(cur.Meta), len(joined.Siblings) == 0 && cur.State == storage.Absent:
		return nil
	case len(joined.Siblings) == 0:
		w.Delete(item.Key) // all that was seen of it is stable, or it would be held somewhere
		return nil
	}
	if !cur.HasValue && keepsOwn(joined, item.Object) {
		return storage.ErrNeedValues
	}
	meta, value := m.encode(joined, part.implied())
	w.Put(item.Key, meta, value)
	return nil
}

// restore ends that a key cannot be read.
func (m *store) restore(part *partition, item *coordinator.Item, w *storage.Writes) {
	if len(item.Object.Siblings) == 0 {
		w.Delete(item.Key)
		return
	}
	meta, value := m.encode(item.Object, part.implied())
	w.Put(item.Key, meta, value)
}

// bringsRetired says whether an object has an event of a refused actor that the replica does not hold.
func (m *store) bringsRetired(part *partition, o causal.Object) bool {
	return slices.ContainsFunc(o.Siblings, func(s causal.Sibling) bool {
		held := func(own causal.Sibling) bool { return own.Dot == s.Dot }
		return part.refuses(s.Dot.Actor) && !slices.ContainsFunc(m.local.Siblings, held)
	})
}

// keepsOwn says whether the join has a value that did not come with the other object.
func keepsOwn(joined, other causal.Object) bool {
	return slices.ContainsFunc(joined.Siblings, func(s causal.Sibling) bool {
		return !s.Tombstone && !slices.ContainsFunc(other.Siblings, func(o causal.Sibling) bool { return o.Dot == s.Dot })
	})
}

func (m *store) Decided() {}

func (m *store) Done(err error) {
	r, done, ack := m.r, m.done, coordinator.StoreAck{Actor: m.actor}
	r.storing.give(m.size)
	clear(m.keys)
	m.scratch.release()
	*m = store{r: r, keys: m.keys[:0], scratch: m.scratch}
	r.stores.Put(m)
	if err != nil {
		done(coordinator.StoreAck{}, err)
		return
	}
	done(ack, nil)
}
