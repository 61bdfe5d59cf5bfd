package storage

import (
	"bytes"

	"github.com/ringcask/ringcask/storage/internal/memindex"
)

const (
	// mergeWalkEntriesDefault is how many entries a merge copies at a time: few enough that writers change next to nothing while it has a view of them.
	mergeWalkEntriesDefault = 512
	// mergeWalkBytes bounds their keys and metas.
	mergeWalkBytes = 256 << 10
)

// mergeWalk walks the memory tier in key order, some entries at a time: with one view of all of it, writers would copy each leaf that they touch for as long
// as the merge takes. What it comes to is thus not of one moment. That does no harm:
//   - An entry that points to a segment of the plan was there when the merge began. It is come to, unless something younger has taken its place.
//   - What is left out because the memory tier has its key is found there, or, if that entry has gone to another merge's run meanwhile, in that younger
//     run: tombstones, too, which are kept while more than one merge is under way.
//   - What has taken the place of something in the meantime is durable before the run takes its own: mergeNow syncs the log last.
type mergeWalk struct {
	x *index
	// most is how many entries are copied at a time.
	most int
	// text has the keys and metas of the entries, and from is where the next ones begin.
	text, from []byte
	entries    []copiedEntry
	at         int
	// end is the last key that there was when the walk began: what comes behind it is younger. last says that the entries reach as far.
	end  []byte
	last bool
	// pause is called between two views.
	pause func() error
	err   error
}

// copiedEntry is an entry whose key and meta stand in the text.
type copiedEntry struct {
	keyAt, metaAt, end int
	memindex.Location
}

// walkForMerge returns a walk that stands at the first entry. ok is false if there is none.
func (x *index) walkForMerge(most int, pause func() error) (w *mergeWalk, ok bool) {
	w = &mergeWalk{x: x, most: most, pause: pause}
	v := x.view()
	defer v.release()
	last, ok := v.walk(&Range{Reverse: true}, nil)
	if !ok {
		return w, false
	}
	w.end = bytes.Clone(last.key())
	w.fill()
	return w, len(w.entries) > 0
}

// next goes one on. It is false at the end, and after an error, which err says.
func (w *mergeWalk) next() bool {
	if w.at++; w.at < len(w.entries) {
		return true
	}
	if w.last {
		return false
	}
	if w.err = w.pause(); w.err != nil {
		return false
	}
	w.fill()
	return len(w.entries) > 0
}

// fill copies the next entries.
func (w *mergeWalk) fill() {
	w.text, w.entries, w.at = w.text[:0], w.entries[:0], 0
	v := w.x.view()
	defer v.release()
	mem, ok := v.walk(&Range{Start: w.from}, nil)
	for ; ok && len(w.entries) < w.most && len(w.text) < mergeWalkBytes; ok = mem.next() {
		en, from := mem.at(), len(w.text)
		if bytes.Compare(en.key, w.end) > 0 {
			ok = false
			break
		}
		w.text = append(append(w.text, en.key...), en.meta...)
		w.entries = append(w.entries, copiedEntry{from, from + len(en.key), len(w.text), en.Location})
	}
	w.last = !ok
	if n := len(w.entries); n > 0 {
		w.from = append(append(w.from[:0], w.keyOf(n-1)...), 0) // the first key behind the last one
	}
}

func (w *mergeWalk) keyOf(i int) []byte {
	e := &w.entries[i]
	return w.text[e.keyAt:e.metaAt:e.metaAt]
}

func (w *mergeWalk) key() []byte { return w.keyOf(w.at) }

// entry is the one that the walk stands at. It is valid until the next step.
func (w *mergeWalk) entry() entry {
	e := &w.entries[w.at]
	return entry{w.key(), w.text[e.metaAt:e.end:e.end], e.Location}
}
