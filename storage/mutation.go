package storage

import "sync"

// Sized is what a Mutation may implement besides, to say how many bytes it holds until it is decided. Others count as
// the size of their keys toward Options.QueueBytesMax.
type Sized interface {
	SizeBytes() int
}

// Submit takes a mutation; Mutation.Done has the outcome, and may have had it before Submit returns. It blocks while too much is
// not done yet (Options.QueueLenMax, QueueBytesMax), and must not be called from Decide or Decided. After an error the engine has not kept m, and none of its methods is
// called. Errors: ErrClosed, ErrReadOnly, ErrDiskFull (effect: none). Done may get these and, with an unknown effect, *IOError.
func (e *Engine) Submit(m Mutation) error {
	size := 0
	if s, ok := m.(Sized); ok {
		size = s.SizeBytes()
	} else {
		for _, key := range m.Keys() {
			size += len(key)
		}
	}
	done, err := e.writer.submit(m, size)
	if done {
		m.Done(err)
		return nil
	}
	return err
}

// Put stores a record without meta and returns once it is durable under the sync policy and visible.
// It copies key and value. Errors: ErrTooLarge, ErrClosed, ErrReadOnly, ErrDiskFull (effect: none), *IOError (effect: unknown).
func (e *Engine) Put(key, value []byte) error {
	return e.write(simpleWrite{key: key, value: value})
}

// PutMeta is Put with a meta.
func (e *Engine) PutMeta(key, meta, value []byte) error {
	return e.write(simpleWrite{key: key, meta: meta, value: value})
}

// Delete removes a key, which need not exist. Errors and durability are those of Put.
func (e *Engine) Delete(key []byte) error {
	return e.write(simpleWrite{delete: true, key: key})
}

// Apply makes the writes of a batch durable and visible, all at once: no crash and no reader ever sees a part of
// them. The batch must not change until Apply returns. Errors are those of Put.
func (e *Engine) Apply(b *Batch) error {
	return e.write(simpleWrite{batch: b})
}

// Update decides on the current state of keys, which must all be different, and returns once what it wrote is durable
// under the sync policy and visible. decide is Mutation.Decide. Errors are decide's own and those of Put.
func (e *Engine) Update(keys [][]byte, decide func(cur []Current, w *Writes) error) error {
	return e.write(simpleWrite{keys: keys, update: decide})
}

// simpleWrite is what the blocking calls ask for.
type simpleWrite struct {
	delete           bool
	key, meta, value []byte
	batch            *Batch
	keys             [][]byte
	update           func(cur []Current, w *Writes) error
}

// blocking is the mutation of a blocking call. They are pooled: a call in steady state allocates none.
type blocking struct {
	simpleWrite
	done chan error
}

var _ Mutation = (*blocking)(nil)

func newBlockingPool() *sync.Pool {
	return &sync.Pool{New: func() any { return &blocking{done: make(chan error, 1)} }}
}

func (e *Engine) write(w simpleWrite) error {
	b := e.blockings.Get().(*blocking)
	b.simpleWrite = w
	done, err := e.writer.submit(b, b.SizeBytes())
	if !done && err == nil {
		err = <-b.done
	}
	b.simpleWrite = simpleWrite{}
	e.blockings.Put(b)
	return err
}

func (b *blocking) Keys() [][]byte { return b.keys }

func (b *blocking) Decide(cur []Current, w *Writes) error {
	switch {
	case b.update != nil:
		return b.update(cur, w)
	case b.batch != nil:
		b.batch.writeTo(w)
	default:
		w.alias(b.delete, b.key, b.meta, b.value)
	}
	return nil
}

func (b *blocking) Decided()       {}
func (b *blocking) Done(err error) { b.done <- err }

func (b *blocking) SizeBytes() int {
	size := len(b.key) + len(b.meta) + len(b.value)
	if b.batch != nil {
		size += b.batch.Bytes()
	}
	for _, key := range b.keys {
		size += len(key)
	}
	return size
}
