package storage

import "iter"

// Scan visits the records in a range in key order. It shows the store as it is when the iteration begins, however
// long it lasts, and neither blocks writers nor waits for them. The slices of a Record are valid until the next step.
//
// Beside a record that cannot be read stands a *CorruptError; its Key, and only that, is set, and the scan goes on. Any
// other error (ErrClosed, *IOError) ends the scan. Where Stats.UnknownAll is set there may be keys that no scan knows of.
func (e *Engine) Scan(r Range) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if e.closed.Load() {
			yield(Record{}, ErrClosed)
			return
		}
		var buf []byte
		e.index.view().visit(r, func(en entry) bool {
			if !en.live() || r.Select != nil && !r.Select(bytesOf(en.key()), bytesOf(en.meta())) {
				return true
			}
			rec, err := e.scanned(&en, r.KeysOnly, &buf)
			if err != nil && !isCorrupt(err) {
				yield(Record{}, err)
				return false
			}
			return yield(rec, err)
		})
	}
}

// scanned is the record that an entry of a view stands for.
func (e *Engine) scanned(en *entry, keyOnly bool, buf *[]byte) (Record, error) {
	e.life.RLock()
	defer e.life.RUnlock()
	if e.closed.Load() {
		return Record{}, ErrClosed
	}
	key := bytesOf(en.key())
	if e.stateOf(en, true) == Unknown {
		return Record{Key: key}, e.absence(en, true)
	}
	if keyOnly {
		return Record{Key: key, Meta: bytesOf(en.meta()), Seq: en.seq}, nil
	}
	f, err := e.readFrame(en, *buf)
	if err != nil {
		return Record{Key: key}, err
	}
	*buf = f.whole
	return Record{Key: key, Meta: f.meta, Value: f.value, Seq: f.seq}, nil
}
