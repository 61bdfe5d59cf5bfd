package memindex

import "bytes"

// Appender adds keys in rising order behind all that the table has. It gathers a leaf's entries and builds the leaf once, full; what
// it has gathered is in the table after Flush. From one Flush to the next it must be alone with the table.
type Appender struct {
	table *Table
	// pending are the entries of the leaf to come, and shape is what they have in common.
	pending entries
	shape   shape
	// separator tells the first of them from the keys before it, and last is the greatest key of the table.
	separator, last []byte
}

// NewAppender returns an Appender of a table.
func NewAppender(t *Table) *Appender { return &Appender{table: t} }

// Append adds a key that is greater than all keys of the table and those added before; it panics if the key is not. It copies
// key and meta; for their sizes see Set.
func (a *Appender) Append(key, meta []byte, loc Location) {
	checkSizes(key, meta)
	n := len(a.pending.list)
	if n == 0 {
		a.follow(key)
	} else if bytes.Compare(key, a.pending.key(n-1)) <= 0 {
		panicOrder()
	}
	a.pending.add(nil, key, meta, loc)
	shape := a.shape
	shape.add(&a.pending.list[n])
	if tooMany(n+1, shape.used(commonPrefix(a.pending.key(0), key))) {
		a.build(n)
		a.separator = append(a.separator[:0], a.pending.separator(n)...)
		a.pending.keepLast()
		shape.reset()
		shape.add(&a.pending.list[0])
	}
	a.shape = shape
}

func panicOrder() { panic("memindex: Append of a key that is not the greatest") }

// Flush has the table take what was gathered.
func (a *Appender) Flush() {
	if n := len(a.pending.list); n > 0 {
		a.build(n)
		a.pending.reset()
		a.shape.reset()
	}
}

// follow begins with a key behind those of the table.
func (a *Appender) follow(key []byte) {
	t := a.table
	if t.root == none {
		return
	}
	l := t.locateLast()
	e := l.entry(l.count() - 1)
	a.last = append(append(a.last[:0], l.prefix()...), l.rest(&e)...)
	if bytes.Compare(key, a.last) <= 0 {
		panicOrder()
	}
	a.separator = append(a.separator[:0], key[:commonPrefix(a.last, key)+1]...)
}

// build makes the first n entries the last leaf of the table.
func (a *Appender) build(n int) {
	t := a.table
	t.begin()
	f := a.pending.form(0, n)
	r, b := t.alloc(f.used + leafPad)
	a.pending.write(b, &f, 0, n)
	t.len += n
	if t.root == none {
		t.root, t.height = r, 0
		return
	}
	t.locateLast()
	if t.limit > 0 {
		t.ownInner()
	}
	t.appendLeaf(r, a.separator)
}

// keepLast drops all but the last entry.
func (s *entries) keepLast() {
	e := s.list[len(s.list)-1]
	s.text = append(s.text[:0], s.text[e.keyAt:]...)
	s.list = append(s.list[:0], entry{0, e.metaAt - e.keyAt, e.end - e.keyAt, e.loc})
}
