package storage

const (
	// valueReaders is how many goroutines read the values that decisions ask for.
	valueReaders = 4
	// valueRounds is how often values are read outside of the decider before it reads them itself: a key that changes
	// again and again must not keep a decision from being taken.
	valueRounds = 3
	// valueBytesMax is when the readers pause until the decider has used what they read.
	valueBytesMax = 32 << 20
)

// values are the stored values that a decision asked for, by the index of the key.
type values struct {
	items  []valueRead
	rounds int
	bytes  int64
	// read says that bytes are in the writer's count.
	read bool
	err  error
}

type valueRead struct {
	entry entry
	want  bool
	value []byte
	ok    bool
}

// ofChange is the state of a key that a pending group changes. Without values asked for, v is nil.
func (v *values) ofChange(c *change, g *group) Current {
	if !c.now.live() {
		return Current{State: Absent}
	}
	cur := Current{State: Present, Meta: bytesOf(c.now.meta())}
	if v != nil {
		cur.Value, cur.HasValue = g.value(c), true
	}
	return cur
}

// ofEntry is the published state of the i-th key, with its value if that was read and is still the key's value.
func (v *values) ofEntry(i int, e *Engine, key []byte) Current {
	en, ok := e.index.get(key)
	cur := Current{State: e.stateOf(&en, ok)}
	if cur.State != Present {
		return cur
	}
	cur.Meta = bytesOf(en.meta())
	if v != nil && v.items[i].ok && v.items[i].entry.samePlace(&en) {
		cur.Value, cur.HasValue = v.items[i].value, true
	}
	return cur
}

// supply gets the values of all present keys into current; or sends the request off to have them read, which it says by
// clearing r.m.
func (w *writer) supply(r *request, keys [][]byte) error {
	if r.values == nil {
		r.values = &values{items: make([]valueRead, len(keys))}
	}
	v := r.values
	w.see(keys, v)
	missing := false
	for i := range w.current {
		v.items[i].want = w.current[i].State == Present && !w.current[i].HasValue
		if v.items[i].want {
			missing = true
			v.items[i].entry, _ = w.e.index.get(keys[i])
		}
	}
	switch {
	case !missing:
		return nil
	case v.rounds == valueRounds:
		w.e.readValues(v)
		w.see(keys, v)
		return v.err
	}
	v.rounds++
	w.mu.Lock()
	w.usedLocked(v)
	w.reading = append(w.reading, *r)
	w.unread.Signal()
	w.mu.Unlock()
	r.m = nil
	return nil
}

// usedLocked takes values that were read out of the count.
func (w *writer) usedLocked(v *values) {
	if !v.read {
		return
	}
	w.readyBytes -= v.bytes
	v.read = false
	// All of them: one that is woken while there is no room yet pauses again, and nobody else would be woken for it.
	w.unread.Broadcast()
}

// readLoop reads values for decisions that asked for them.
func (w *writer) readLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case len(w.reading) > 0 && w.readyBytes <= valueBytesMax:
			r := w.reading[0]
			w.reading[0] = request{}
			w.reading = w.reading[1:]
			w.mu.Unlock()
			w.e.readValues(r.values)
			w.mu.Lock()
			r.values.read = true
			w.readyBytes += r.values.bytes
			w.ready = append(w.ready, r)
			w.work.Signal()
		case w.decided:
			return
		default:
			w.unread.Wait()
		}
	}
}

// readValues reads the values wanted. A record that turns out unreadable is Unknown from now on, which the next look
// at its key shows; any other failure ends the mutation.
func (e *Engine) readValues(v *values) {
	v.bytes = 0
	for i := range v.items {
		item := &v.items[i]
		if item.want {
			frame, err := e.readFrame(&item.entry, nil)
			if err != nil && !isCorrupt(err) {
				v.err = err
				return
			}
			item.value, item.ok = frame.value, err == nil
		}
		v.bytes += int64(len(item.value))
	}
}
