package storage

import (
	"bytes"
	"cmp"

	"github.com/ringcask/ringcask/storage/internal/run"
)

const (
	// valueReaders is how many goroutines read the values that decisions ask for, and so how many mutations have theirs in
	// memory at once.
	valueReaders = 4
	// valueRounds is how often values are read outside of the decider before it reads them itself: a key that changes
	// again and again must not keep a decision from being taken.
	valueRounds = 3
)

// values are the stored values that a decision asked for, by the index of the key.
type values struct {
	items  []valueRead
	rounds int
	err    error
}

type valueRead struct {
	seq   uint64 // of the record that was read
	want  bool
	value []byte
	ok    bool
}

// decided is the state of a key that a pending group changes. Without values asked for, v is nil.
func (w *writer) decided(v *values, c *change, g *group) Current {
	if !c.live() || w.e.expired(g.meta(c)) {
		return Current{State: Absent}
	}
	cur := Current{State: Present, Meta: g.meta(c)}
	if v != nil {
		cur.Value, cur.HasValue = g.value(c), true
	}
	return cur
}

// published is the published state of the i-th key, with its value if that was read and is still the key's value. The meta is
// the writer's until the next decision. What is damaged is Unknown. The caller is one of readers.
func (w *writer) published(i int, v *values, key []byte) (Current, error) {
	from := len(w.metas)
	en, at, ok, err := w.e.storedAt(key, w.metas)
	w.places[i] = at
	if err != nil {
		return Current{State: Unknown}, uncorrupt(err)
	}
	w.metas = en.meta
	cur := Current{State: w.e.stateOf(&en, ok)}
	if cur.State != Present {
		return cur, nil
	}
	cur.Meta = w.metas[from:len(w.metas):len(w.metas)]
	if w.e.expired(cur.Meta) {
		return Current{State: Absent}, nil
	}
	if v != nil && v.items[i].ok && en.Seq == v.items[i].seq {
		cur.Value, cur.HasValue = v.items[i].value, true
	}
	return cur, nil
}

// supply gets the values of all present keys into current; or sends the request off to have them read, which it says by
// clearing r.m.
func (w *writer) supply(r *request, keys [][]byte) error {
	if r.values == nil {
		r.values = &values{items: make([]valueRead, len(keys))}
	}
	v := r.values
	if _, err := w.see(keys, v); err != nil {
		return err
	}
	missing := false
	for i := range w.current {
		v.items[i].want = w.current[i].State == Present && !w.current[i].HasValue
		missing = missing || v.items[i].want
	}
	switch {
	case !missing:
		return nil
	case v.rounds == valueRounds:
		w.e.readValues(keys, v)
		_, err := w.see(keys, v)
		return cmp.Or(v.err, err)
	}
	v.rounds++
	w.reading = append(w.reading, *r)
	w.unread.Signal()
	r.m = nil
	return nil
}

// readLoop reads values for decisions that asked for them, and then has the decision taken again.
func (w *writer) readLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case len(w.reading) > 0:
			r := w.reading[0]
			w.reading[0] = request{}
			w.reading = w.reading[1:]
			w.mu.Unlock()
			w.e.readValues(r.m.Keys(), r.values)
			w.mu.Lock()
			w.awaitSealed()
			if done, err := w.takeAndUnlock(&r); done {
				r.m.Done(err)
			}
			w.mu.Lock()
		case w.closing && w.undecided == 0:
			return
		default:
			w.unread.Wait()
		}
	}
}

// readValues reads the values wanted. A record that turns out unreadable is Unknown from now on, which the next look
// at its key shows; any other failure ends the mutation.
func (e *Engine) readValues(keys [][]byte, v *values) {
	for i := range v.items {
		item := &v.items[i]
		if item.want {
			if err := e.readValue(keys[i], item); err != nil {
				v.err = err
				return
			}
		}
	}
}

func (e *Engine) readValue(key []byte, item *valueRead) error {
	defer e.readers.leave(e.readers.enter())
	item.ok = false
	en, runs, ok := e.index.find(key, nil, false)
	if !ok {
		_, err := e.settled(runs, key, func(rec run.Record) {
			item.seq, item.ok = rec.Seq, rec.Flags == 0
			item.value = bytes.Clone(rec.Value)
		})
		return uncorrupt(err)
	}
	if item.seq = en.Seq; e.stateOf(&en, true) != Present {
		return nil // the key has changed, which the next look shows
	}
	frame, err := e.readFrame(&en, nil)
	item.value, item.ok = frame.value, err == nil
	return uncorrupt(err)
}

// uncorrupt leaves damage out, which the next look at the key shows.
func uncorrupt(err error) error {
	if isCorrupt(err) {
		return nil
	}
	return err
}
