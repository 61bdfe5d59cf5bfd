package hintedhandoff

import (
	"context"
	"slices"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Add notes that target has not acknowledged items, whose keys must all be different. It does not block and calls done once, perhaps
// before it returns: with nil when the hints are durable under the engine's sync policy, all in one atomic frame. done must not block, nor
// hold a lock that is held over an Add. Items and what they hold must not change until then; the objects must be valid. A zero deadline is none; it is judged
// when the decision is taken.
//
// Errors: ErrInvalid, ErrFull, ErrOverloaded, context.DeadlineExceeded, storage.ErrTooLarge, storage.ErrDiskFull, storage.ErrReadOnly,
// storage.ErrClosed (effect: none), *storage.IOError (effect: unknown). After any of them counted hints must not be counted; uncounted
// ones are dropped, and their partitions become needs (but for ErrInvalid). The record of a need is written by Run, and not waited for.
func (s *Store) Add(deadline time.Time, target ring.NodeID, items []Item, counted bool, done func(error)) {
	if !valid(target, items) {
		done(ErrInvalid)
		return
	}
	if counted && planted.On(planted.DropHint) {
		done(nil)
		return
	}
	m, _ := s.adds.Get().(*adding)
	if m == nil {
		m = &adding{s: s}
	}
	m.deadline, m.target, m.items, m.counted, m.done = deadline, target, items, counted, done
	m.noted = millis(s.opts.Now())
	m.prepare()
	if err := s.book.reserve(m.partitions, m.size); err != nil {
		m.refused(err)
		return
	}
	m.reserved = true
	if err := s.engine.Submit(m); err != nil {
		m.Done(err)
	}
}

// valid says whether there can be such hints.
func valid(target ring.NodeID, items []Item) bool {
	return target.Validate() == nil && !slices.ContainsFunc(items, func(it Item) bool { return len(it.Key) == 0 })
}

// adding is the mutation behind Add.
type adding struct {
	s        *Store
	deadline time.Time
	target   ring.NodeID
	items    []Item
	counted  bool
	done     func(error)

	noted    int64
	size     int64 // what the hints may take at most
	reserved bool
	arena    []byte // of keys
	keys     [][]byte
	// partitions and changes are those of items.
	partitions []ring.PartitionID
	changes    []change
	local      causal.Object
	scratch
}

// change is what the decision does to one hint.
type change struct {
	from, to entry
	// lost says that what was there cannot be read.
	lost bool
}

// prepare lays out keys, partitions and changes.
func (m *adding) prepare() {
	n := 0
	for i := range m.items {
		n += hintKeyBytesMax + len(m.items[i].Key)
	}
	m.arena = slices.Grow(m.arena[:0], n) // the keys alias it: it must not move
	for i := range m.items {
		item := &m.items[i]
		at := len(m.arena)
		m.arena = appendHintKey(m.arena, m.target, item.Key)
		m.keys = append(m.keys, m.arena[at:])
		m.partitions = append(m.partitions, m.s.opts.Partition(item.Key))
		m.size += int64(len(m.arena)-at) + storedBytesMax(item.Object)
	}
	m.changes = slices.Grow(m.changes, len(m.items))[:len(m.items)]
}

// storedBytesMax is at least what meta and value of a hint take: the heads may stand in either, and a digest beside them.
func storedBytesMax(o causal.Object) int64 { return int64(headBytes + 16 + causal.ObjectLen(o)) }

func (m *adding) Keys() [][]byte { return m.keys }

// SizeBytes implements storage.Sized.
func (m *adding) SizeBytes() int { return int(m.size) }

func (m *adding) Decide(cur []storage.Current, w *storage.Writes) error {
	if !m.deadline.IsZero() && !time.Now().Before(m.deadline) {
		return context.DeadlineExceeded
	}
	for i := range cur {
		if err := m.join(i, &cur[i], w); err != nil {
			return err
		}
	}
	return nil
}

// join decides on one hint. What cannot be read is replaced: nothing can be joined with it, and no copy is worse for it.
func (m *adding) join(i int, cur *storage.Current, w *storage.Writes) error {
	item, c := &m.items[i], &m.changes[i]
	*c = change{lost: cur.State == storage.Unknown && !m.s.unnamed.Load()}
	next, joined := head{counted: m.counted, noted: m.noted}, item.Object
	if cur.State == storage.Present {
		stored, complete, err := m.decode(cur)
		c.from = stored.entry(len(m.keys[i]), len(cur.Meta))
		switch {
		case err != nil:
			c.lost = true
		case !complete:
			return storage.ErrNeedValues
		default:
			joined = causal.Join(m.local, item.Object)
			next.counted, next.noted = stored.counted || m.counted, min(stored.noted, m.noted)
			if joined.SameHeads(m.local) && next.counted == stored.counted && next.noted == stored.noted {
				c.to = c.from
				return nil
			}
			if !cur.HasValue && keepsOwn(joined, item.Object) {
				return storage.ErrNeedValues
			}
		}
	}
	next.revision = m.s.revision.Add(1)
	meta, value := m.encode(&next, joined)
	c.to = next.entry(len(m.keys[i]), len(meta))
	w.Put(m.keys[i], meta, value)
	return nil
}

// decode sets local to what is stored, with values if they are at hand. It is not complete where the object can only be told from the value.
func (m *adding) decode(cur *storage.Current) (h head, complete bool, err error) {
	if cur.HasValue {
		h, err = decodeHint(&m.local, cur.Meta, cur.Value)
		return h, true, err
	}
	return decodeHeads(&m.local, cur.Meta)
}

// keepsOwn says whether a join has a value that did not come with the other object.
func keepsOwn(joined, other causal.Object) bool {
	return slices.ContainsFunc(joined.Siblings, func(s causal.Sibling) bool {
		return !s.Tombstone && !slices.ContainsFunc(other.Siblings, func(o causal.Sibling) bool { return o.Dot == s.Dot })
	})
}

func (m *adding) Decided() {
	for i := range m.changes {
		c := &m.changes[i]
		if c.from != c.to {
			m.s.book.change(m.target, m.partitions[i], c.from, c.to)
		}
	}
}

func (m *adding) Done(err error) {
	if err != nil {
		m.refused(err)
		return
	}
	for i := range m.changes {
		c := &m.changes[i]
		if c.from.bytes > 0 {
			m.s.totals.joined.Add(1)
		} else {
			m.s.totals.added.Add(1)
		}
		if c.lost {
			m.s.totals.lost.Add(1)
			m.s.need(Pair{m.target, m.partitions[i]})
		}
	}
	m.end(nil)
}

// refused ends an Add that failed: what is not counted becomes a need.
func (m *adding) refused(err error) {
	m.s.totals.refuse(err, m.counted, len(m.items))
	if !m.counted {
		for _, p := range m.partitions {
			m.s.need(Pair{m.target, p})
		}
	}
	m.end(err)
}

// end gives everything back and calls done.
func (m *adding) end(err error) {
	s, done := m.s, m.done
	if m.reserved {
		s.book.release(m.partitions, m.size)
	}
	clear(m.keys)
	clear(m.local.Siblings[:cap(m.local.Siblings)]) // their values are the engine's
	m.scratch.release()
	if cap(m.arena) > scratchBytesKept {
		m.arena = nil
	}
	*m = adding{
		s: s, arena: m.arena, keys: m.keys[:0], partitions: m.partitions[:0], changes: m.changes[:0], local: m.local, scratch: m.scratch,
	}
	s.adds.Put(m)
	done(err)
}
