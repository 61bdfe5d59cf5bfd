package storage

import "fmt"

// Writes collects what one mutation writes, in order; of several writes of one key the last counts. They end in one
// frame: all of them or none survive a crash. A Writes is only valid inside the call that it was handed to.
type Writes struct {
	limits limits
	ops    []write
	// arena holds the bytes that were copied; ops refer to it by position, for it moves as it grows.
	arena []byte
	bytes int
	err   error
}

// write is one put or delete. Its bytes are in the arena from start on (key, then meta, then value), or, where aliased,
// belong to the caller until the mutation is done.
type write struct {
	delete           bool
	aliased          bool
	start            int
	keyLen, metaLen  int
	valueLen         int
	key, meta, value []byte
}

// limits are the sizes that a write must keep to.
type limits struct {
	keyBytesMax, valueBytesMax, batchBytesMax int
}

// Put adds a record. It copies its arguments. A write over a limit makes the whole mutation fail with ErrTooLarge.
func (w *Writes) Put(key, meta, value []byte) {
	if !w.admit(key, meta, value) {
		return
	}
	start := len(w.arena)
	w.arena = append(append(append(w.arena, key...), meta...), value...)
	w.ops = append(w.ops, write{start: start, keyLen: len(key), metaLen: len(meta), valueLen: len(value)})
}

// Delete adds the removal of a key, which need not exist. It copies key.
func (w *Writes) Delete(key []byte) {
	if !w.admit(key, nil, nil) {
		return
	}
	start := len(w.arena)
	w.arena = append(w.arena, key...)
	w.ops = append(w.ops, write{delete: true, start: start, keyLen: len(key)})
}

// Len is the number of writes so far.
func (w *Writes) Len() int { return len(w.ops) }

// alias adds a write without copying: the slices must not change until the mutation is done.
func (w *Writes) alias(del bool, key, meta, value []byte) {
	if w.admit(key, meta, value) {
		w.ops = append(w.ops, write{delete: del, aliased: true, key: key, meta: meta, value: value})
	}
}

func (w *Writes) admit(key, meta, value []byte) bool {
	if w.err == nil {
		w.err = w.limits.check(key, meta, value)
	}
	w.bytes += recordBytesMax(len(key), len(meta), len(value))
	if w.err == nil && w.bytes > w.limits.batchBytesMax {
		w.err = fmt.Errorf("%w: batch is over %d bytes", ErrTooLarge, w.limits.batchBytesMax)
	}
	return w.err == nil
}

func (l limits) check(key, meta, value []byte) error {
	switch {
	case len(key) > l.keyBytesMax:
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, len(key), l.keyBytesMax)
	case len(meta) > MetaBytesMax:
		return fmt.Errorf("%w: meta of %d bytes, at most %d", ErrTooLarge, len(meta), MetaBytesMax)
	case len(value) > l.valueBytesMax:
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(value), l.valueBytesMax)
	}
	return nil
}

// parts returns the bytes of a write. They alias the arena or the caller's memory.
func (w *Writes) parts(op *write) (key, meta, value []byte) {
	if op.aliased {
		return op.key, op.meta, op.value
	}
	k, m := op.start+op.keyLen, op.start+op.keyLen+op.metaLen
	return w.arena[op.start:k:k], w.arena[k:m:m], w.arena[m : m+op.valueLen : m+op.valueLen]
}

// arenaBytesKept bounds what an idle Writes holds on to.
const arenaBytesKept = 1 << 20

func (w *Writes) reset() {
	clear(w.ops) // drop the callers' slices
	w.ops, w.bytes, w.err = w.ops[:0], 0, nil
	if cap(w.arena) > arenaBytesKept {
		w.arena = nil
	}
	w.arena = w.arena[:0]
}
