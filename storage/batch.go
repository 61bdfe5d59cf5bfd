package storage

// Batch collects writes that are to become durable and visible together. It copies what it is given, may be reused after
// Reset, and must not be used by two goroutines at once. The zero Batch is empty and ready.
type Batch struct {
	arena []byte
	ops   []batchOp
}

type batchOp struct {
	delete               bool
	key, meta, value, to int // positions in the arena
}

// Put adds a record without meta.
func (b *Batch) Put(key, value []byte) { b.PutMeta(key, nil, value) }

// PutMeta adds a record.
func (b *Batch) PutMeta(key, meta, value []byte) { b.add(false, key, meta, value) }

// Delete adds the removal of a key, which need not exist.
func (b *Batch) Delete(key []byte) { b.add(true, key, nil, nil) }

// Len is the number of writes.
func (b *Batch) Len() int { return len(b.ops) }

// Bytes is the size of all keys, metas and values together.
func (b *Batch) Bytes() int { return len(b.arena) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.arena, b.ops = b.arena[:0], b.ops[:0] }

func (b *Batch) add(del bool, key, meta, value []byte) {
	op := batchOp{delete: del, key: len(b.arena)}
	b.arena = append(b.arena, key...)
	op.meta = len(b.arena)
	b.arena = append(b.arena, meta...)
	op.value = len(b.arena)
	b.arena = append(b.arena, value...)
	op.to = len(b.arena)
	b.ops = append(b.ops, op)
}

// writeTo adds the batch to w without copying it.
func (b *Batch) writeTo(w *Writes) {
	for _, op := range b.ops {
		w.alias(op.delete, b.arena[op.key:op.meta:op.meta], b.arena[op.meta:op.value:op.value],
			b.arena[op.value:op.to:op.to])
	}
}
