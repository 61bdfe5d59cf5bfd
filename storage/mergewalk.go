package storage

import "github.com/ringcask/ringcask/storage/internal/memindex"

// A merge copies so many entries of the memory tier, or so many bytes of their keys and metas, at a time.
const (
	mergeWalkEntries = 512
	mergeWalkBytes   = 64 << 10
)

// mergeWalk walks the memory tier in key order. It copies some entries at a time: with a view of all of it, writers would copy each leaf that they touch for
// as long as the merge takes. An entry that points to a segment which is being merged was there when the merge began, and is come to unless it goes; one that has
// changed by then is younger than all that is merged.
type mergeWalk struct {
	x *index
	// text has the keys and metas of the entries, and from is where the next ones begin.
	text, from []byte
	entries    []copiedEntry
	at         int
}

// copiedEntry is an entry whose key and meta stand in the text.
type copiedEntry struct {
	keyAt, metaAt, end int
	memindex.Location
}

// walkForMerge returns a walk that stands at the first entry. ok is false if there is none.
func (x *index) walkForMerge() (w *mergeWalk, ok bool) {
	w = &mergeWalk{x: x}
	return w, w.fill()
}

// next goes one on.
func (w *mergeWalk) next() bool {
	w.at++
	return w.at < len(w.entries) || w.fill()
}

// fill copies the next entries. It says whether there are any.
func (w *mergeWalk) fill() bool {
	w.text, w.entries, w.at = w.text[:0], w.entries[:0], 0
	v := w.x.view()
	defer v.release()
	mem, ok := v.walk(&Range{Start: w.from}, nil)
	for ; ok && len(w.entries) < mergeWalkEntries && len(w.text) < mergeWalkBytes; ok = mem.next() {
		en, from := mem.at(), len(w.text)
		w.text = append(append(w.text, en.key...), en.meta...)
		w.entries = append(w.entries, copiedEntry{from, from + len(en.key), len(w.text), en.Location})
	}
	if n := len(w.entries); n > 0 {
		w.from = append(append(w.from[:0], w.keyOf(n-1)...), 0) // the first key behind the last one
	}
	return len(w.entries) > 0
}

func (w *mergeWalk) keyOf(i int) []byte { return w.text[w.entries[i].keyAt:w.entries[i].metaAt] }

func (w *mergeWalk) key() []byte { return w.keyOf(w.at) }

// entry is the one that the walk stands at. It is valid until the next step.
func (w *mergeWalk) entry() entry {
	e := &w.entries[w.at]
	return entry{w.key(), w.text[e.metaAt:e.end], e.Location}
}
