package storage

import (
	"sync"
	"unsafe"

	"github.com/tidwall/btree"
)

// The flags of an entry.
const (
	// flagTombstone marks a key that is known to be absent. Such entries are kept only while other absent keys are not.
	flagTombstone = 1 << iota
	// flagUnreadable marks a key whose newest record cannot be read.
	flagUnreadable
)

// entry is what the index knows of a key: its meta, and where its newest record stands.
type entry struct {
	// text is the key followed by the meta.
	text    string
	seq     uint64
	segment uint32
	offset  uint32
	length  uint32
	keyLen  uint16
	flags   uint8
}

func (e *entry) key() string  { return e.text[:e.keyLen] }
func (e *entry) meta() string { return e.text[e.keyLen:] }
func (e *entry) live() bool   { return e.flags&flagTombstone == 0 }

func (e *entry) corrupt(reason string) *CorruptError {
	return &CorruptError{Segment: SegmentID(e.segment), Offset: int64(e.offset), Reason: reason}
}

// samePlace says whether two entries of one key are of the same record.
func (e *entry) samePlace(o *entry) bool {
	return e.segment == o.segment && e.offset == o.offset && e.seq == o.seq
}

// lookupKey is an entry to search with. It borrows key: it must not be stored.
func lookupKey(key []byte) entry {
	return entry{text: unsafe.String(unsafe.SliceData(key), len(key)), keyLen: uint16(min(len(key), keyBytesLimit))}
}

var noBytes = []byte{}

// bytesOf lends a string as bytes that must not be changed; never nil.
func bytesOf(s string) []byte {
	if s == "" {
		return noBytes
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// index is the sorted map from keys to entries. Readers and the committer share it under a lock that is never held
// across I/O; a view is immutable and needs none.
type index struct {
	mu   sync.RWMutex
	tree *btree.BTreeG[entry]
	// shared is the view that scans share until the next change.
	shared *btree.BTreeG[entry]
	// keys counts the entries that are no tombstones, and liveBytes the records that they point at.
	keys, liveBytes int64
	// keepTombstones: see flagTombstone.
	keepTombstones bool
}

func newIndex(keepTombstones bool) *index {
	less := func(a, b entry) bool { return a.key() < b.key() }
	return &index{
		tree:           btree.NewBTreeGOptions(less, btree.Options{NoLocks: true}),
		keepTombstones: keepTombstones,
	}
}

// get returns the entry of a key.
func (x *index) get(key []byte) (entry, bool) {
	if len(key) > keyBytesLimit {
		return entry{}, false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.tree.Get(lookupKey(key))
}

// load adds an entry whose key is greater than all before it, while the engine opens.
func (x *index) load(e entry) {
	x.count(&e, 1)
	x.tree.Load(e)
}

func (x *index) count(e *entry, by int64) {
	if e.live() {
		x.keys += by
		x.liveBytes += by * int64(e.length)
	}
}

// publishChunk is how many changes are made under one hold of the lock, so that a large group does not keep readers
// waiting.
const publishChunk = 64

// publish makes changes visible, those of one mutation all at once, and notes in each what stood before.
func (x *index) publish(changes []change) {
	for len(changes) > 0 {
		n := chunkOf(changes)
		x.mu.Lock()
		x.shared = nil
		for i := range changes[:n] {
			x.setLocked(&changes[i])
		}
		x.mu.Unlock()
		changes = changes[n:]
	}
}

// chunkOf is how many changes go together: whole mutations, and no more than it takes to come to publishChunk.
func chunkOf(changes []change) int {
	n := min(publishChunk, len(changes))
	for !changes[n-1].last {
		n++
	}
	return n
}

func (x *index) setLocked(c *change) {
	if c.now.live() || x.keepTombstones {
		c.before, _ = x.tree.Set(c.now)
		x.count(&c.now, 1)
	} else {
		c.before, _ = x.tree.Delete(c.now)
	}
	// Where nothing stood, before is the zero entry, which must not count as a key.
	if c.before.seq != 0 {
		x.count(&c.before, -1)
	}
}

// flag sets flags on the entry of a key if it is still that of the same record. It says whether that changed anything.
func (x *index) flag(e entry, flags uint8) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	now, ok := x.tree.Get(e)
	if !ok || !now.samePlace(&e) || now.flags&flags == flags {
		return false
	}
	x.shared = nil
	now.flags |= flags
	x.tree.Set(now)
	return true
}

// totals returns the number of keys and the size of their records.
func (x *index) totals() (keys, liveBytes int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.keys, x.liveBytes
}

// view is a sorted map as it was at one moment.
type view struct{ tree *btree.BTreeG[entry] }

// view takes a view. It costs nothing now; later changes copy the nodes that they touch, once for each view.
func (x *index) view() view {
	x.mu.RLock()
	shared := x.shared
	x.mu.RUnlock()
	if shared != nil {
		return view{shared}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.shared == nil {
		x.shared = x.tree.Copy()
	}
	return view{x.shared}
}

// visit calls fn for each entry in the range, in order, until it returns false.
func (v view) visit(r Range, fn func(entry) bool) {
	start, end := lookupKey(r.Start), lookupKey(r.End)
	inRange := func(e entry) bool { return e.key() >= start.text && (r.End == nil || e.key() < end.text) }
	switch {
	case !r.Reverse && len(r.Start) <= keyBytesLimit:
		v.tree.Ascend(start, func(e entry) bool { return (r.End == nil || e.key() < end.text) && fn(e) })
	case !r.Reverse:
		// A start that is longer than any key can be: the entry that its beginning leads to may come before it.
		v.tree.Ascend(start, func(e entry) bool { return e.key() < start.text || inRange(e) && fn(e) })
	case r.End == nil:
		v.tree.Reverse(func(e entry) bool { return inRange(e) && fn(e) })
	default:
		// End is exclusive, and the walk begins at it.
		v.tree.Descend(end, func(e entry) bool { return e.key() >= end.text || inRange(e) && fn(e) })
	}
}

// stringOf lends bytes as a string that must not outlive them.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
