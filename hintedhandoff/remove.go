package hintedhandoff

import (
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// reason is why hints are removed.
type reason uint8

const (
	// removeAcked: the target has them.
	removeAcked reason = iota
	// removeAged: they are too old. Their partitions become needs.
	removeAged
	// removeForgotten: the target is no member any more.
	removeForgotten
	// removeUndeliverable: the target takes them from no hint. Their partitions become needs; counted ones stay.
	removeUndeliverable
	// removeLost: they cannot be read. Their partitions become needs.
	removeLost
)

// makesNeeds says whether the partitions of the hints become needs, in the same frame as the removal.
func (r reason) makesNeeds() bool {
	return r == removeAged || r == removeUndeliverable || r == removeLost
}

// removalItemsMax bounds one removal.
const removalItemsMax = 256

// removal removes hints of one target, each only while it has the revision that it was seen with: so one that was counted
// meanwhile stays.
type removal struct {
	s      *Store
	target ring.NodeID
	reason reason
	// keys are the engine's.
	keys      [][]byte
	revisions []uint64
	size      int
	// gone are the hints that the last decision removes.
	gone []entry
	// done is told how many were removed. It must not block.
	done func(removed int, err error)
}

// add adds a hint. It keeps key.
func (r *removal) add(key []byte, revision uint64) {
	r.keys = append(r.keys, key)
	r.revisions = append(r.revisions, revision)
	r.size += len(key)
}

// submit starts the removal; done is called once, perhaps before it returns. Errors are those of Engine.Submit and Mutation.Done.
func (r *removal) submit() {
	if r.reason.makesNeeds() {
		// Noted first: an exchange that begins from now on is one that began after it.
		for _, key := range r.keys {
			r.s.need(r.pair(key))
		}
	}
	if err := r.s.engine.Submit(r); err != nil {
		r.Done(err)
	}
}

// run is submit, waited for.
func (r *removal) run() error {
	if len(r.keys) == 0 {
		return nil
	}
	done := make(chan error, 1)
	r.done = func(_ int, err error) { done <- err }
	r.submit()
	return <-done
}

func (r *removal) pair(key []byte) Pair {
	return Pair{r.target, r.s.opts.Partition(key[2+len(r.target):])}
}

func (r *removal) Keys() [][]byte { return r.keys }

// SizeBytes implements storage.Sized.
func (r *removal) SizeBytes() int { return r.size }

func (r *removal) Decide(cur []storage.Current, w *storage.Writes) error {
	r.gone = append(r.gone[:0], make([]entry, len(cur))...)
	for i := range cur {
		h, _, err := parseMeta(cur[i].Meta)
		switch {
		case cur[i].State == storage.Unknown && r.reason == removeLost:
			// What the book has of it stays until the next open.
		case cur[i].State != storage.Present || err != nil || h.revision != r.revisions[i]:
			continue
		case h.counted && r.reason == removeUndeliverable:
			continue
		default:
			r.gone[i] = h.entry(len(r.keys[i]), len(cur[i].Meta))
		}
		w.Delete(r.keys[i])
		if r.reason.makesNeeds() {
			r.s.needs.write(w, r.pair(r.keys[i]))
		}
	}
	return nil
}

func (r *removal) Decided() {}

func (r *removal) Done(err error) {
	removed, bytes := 0, int64(0)
	for i := range r.gone {
		if err != nil || r.gone[i].bytes == 0 {
			continue
		}
		removed++
		bytes += r.gone[i].bytes
		r.s.book.change(r.target, r.pair(r.keys[i]).Partition, r.gone[i], entry{})
	}
	r.s.totals.remove(r.reason, removed, bytes)
	r.done(removed, err)
}
