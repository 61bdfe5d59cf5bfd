package memindex

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// Options are the options of a Table. The zero value is good.
type Options struct {
	// Heap makes the table take its memory from the Go heap, in pieces without pointers of up to 2 MiB, so that the race
	// detector sees it. Systems other than unix have no other way.
	Heap bool
}

// heightMax bounds the levels of inner nodes. A node has at least two children, and hundreds unless keys are of
// kilobytes.
const heightMax = 32

// step is one node on the way from the root to a leaf, and which of its children comes next.
type step struct {
	ref ref
	at  int32
}

// Table is a sorted map from keys to metas and locations. See the package's comment for which methods may run at the
// same time.
type Table struct {
	arena  arena
	root   ref
	height int
	len    int
	// version changes whenever a node leaves the tree. No two tables have the same.
	version uint64
	// gen is the generation in which nodes are born. limit is that of the newest view that was live when the change in
	// progress began: it may see any node that was not born later.
	gen, limit uint64

	path    [heightMax + 1]step
	levels  [heightMax]levelScratch
	leaves  kids
	entries entries
	before  [metaBytesMax]byte

	// newest is the generation of the newest live view, 0 if there is none; debt says that released views left nodes.
	newest atomic.Uint64
	debt   atomic.Bool
	mu     sync.Mutex
	// live are the generations that views see, the oldest first; dead those that none sees anymore and that have nodes
	// to give back.
	live, dead []*generation
	closed     bool
}

// levelScratch is memory for rebuilding a node of one level.
type levelScratch struct{ in, out, merged kids }

// versions are handed out to tables, 2^32 at a time.
var versions atomic.Uint32

func newVersion() uint64 { return uint64(versions.Add(1)) << 32 }

// New returns an empty table. It takes no memory until something is in it.
func New(o Options) *Table { return &Table{arena: arena{heap: o.Heap}, gen: 1, version: newVersion()} }

// Close gives all memory back to the system: now, or when the last view is released. The table must not be used
// anymore.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if len(t.live) == 0 {
		t.arena.close()
	}
	t.root, t.height, t.len = none, 0, 0
}

// Len returns the number of keys.
func (t *Table) Len() int { return t.len }

// Bytes returns how much memory the table has taken from the system, also for what it would store next.
func (t *Table) Bytes() int64 { return t.arena.bytes }

// Get returns what is stored for a key. The meta is the table's memory: it must not be changed, and is valid until the
// next change.
func (t *Table) Get(key []byte) (meta []byte, loc Location, ok bool) {
	meta, loc, _, ok = t.Find(key)
	return meta, loc, ok
}

// Place is where a key was found, for SetAt. The zero Place is none.
type Place struct {
	version uint64
	leaf    ref
	at      uint16
}

// Find is Get, and says where the key is.
func (t *Table) Find(key []byte) (meta []byte, loc Location, at Place, ok bool) {
	r := t.root
	if r == none {
		return nil, Location{}, Place{}, false
	}
	for range t.height {
		n := inner(t.arena.at(r))
		r = n.child(n.search(key))
	}
	l := leaf(t.arena.at(r))
	i, ok := l.search(key)
	if !ok {
		return nil, Location{}, Place{}, false
	}
	e := l.entry(i)
	return l.meta(&e), l.location(&e), Place{t.version, r, uint16(i)}, true
}

// Set stores a meta and a location for a key, and returns what was stored before. It copies key and meta, which must
// not be the table's memory. beforeMeta is valid until the next change. A key has at most 65535 bytes, a meta 255;
// Set panics if one is longer.
func (t *Table) Set(key, meta []byte, loc Location) (beforeMeta []byte, before Location, existed bool) {
	checkSizes(key, meta)
	t.begin()
	if t.root == none {
		t.first(key, meta, loc, 0)
		return nil, Location{}, false
	}
	l := t.locate(key)
	l = t.ownPath(l)
	i, existed := l.search(key)
	if existed {
		e := l.entry(i)
		var done bool
		if beforeMeta, before, done = t.overwrite(l, &e, key, meta, &loc); done {
			return beforeMeta, before, true
		}
		l.remove(i)
		t.len--
	}
	t.len++
	t.insert(l, i, key, meta, &loc)
	return beforeMeta, before, existed
}

// SetAt is Set where the key was found: it spares the search if no node has left the tree since, and the key is where it was.
func (t *Table) SetAt(at Place, key, meta []byte, loc Location) (beforeMeta []byte, before Location, existed bool) {
	if at.version == t.version {
		checkSizes(key, meta)
		t.begin()
		if l := leaf(t.arena.at(at.leaf)); int(at.at) < l.count() && (t.limit == 0 || birthOf(l) > t.limit) {
			e := l.entry(int(at.at))
			if n := l.prefixLen(); len(key) >= n && bytes.Equal(l.prefix(), key[:n]) && bytes.Equal(l.rest(&e), key[n:]) {
				if beforeMeta, before, existed = t.overwrite(l, &e, key, meta, &loc); existed {
					return beforeMeta, before, true
				}
			}
		}
	}
	return t.Set(key, meta, loc)
}

// overwrite puts another meta and location in the place of an entry's, and returns what stood there. It is not done if the entry has no room
// for them.
func (t *Table) overwrite(l leaf, e *leafEntry, key, meta []byte, loc *Location) (beforeMeta []byte, before Location, done bool) {
	f := l.frame()
	textLen := e.textLen(l)
	beforeMeta, before = t.keep(l.meta(e)), f.get(l[e.loc:], textLen)
	if textLen = len(key) + len(meta); !l.roomInPlace(e, len(meta)) || !f.fits(loc, textLen) {
		return beforeMeta, before, false
	}
	l.replaceMeta(e, key, meta)
	f.put(l[e.loc:], loc, textLen)
	return beforeMeta, before, true
}

// Delete removes a key, and returns what was stored for it. beforeMeta is valid until the next change.
func (t *Table) Delete(key []byte) (beforeMeta []byte, before Location, existed bool) {
	t.begin()
	if t.root == none {
		return nil, Location{}, false
	}
	l := t.locate(key)
	i, existed := l.search(key)
	if !existed {
		return nil, Location{}, false
	}
	l = t.ownPath(l)
	e := l.entry(i)
	beforeMeta, before = t.keep(l.meta(&e)), l.location(&e)
	l.remove(i)
	t.len--
	t.settle(l)
	return beforeMeta, before, true
}

// Update replaces the location of a key, and keeps its meta. It returns false if the key is not there.
func (t *Table) Update(key []byte, loc Location) bool {
	t.begin()
	if t.root == none {
		return false
	}
	l := t.locate(key)
	i, ok := l.search(key)
	if !ok {
		return false
	}
	l = t.ownPath(l)
	e := l.entry(i)
	f := l.frame()
	if textLen := e.textLen(l); f.fits(&loc, textLen) {
		f.put(l[e.loc:], &loc, textLen)
		return true
	}
	t.entries.reset()
	t.entries.addLeaf(l, 0, l.count())
	t.entries.list[i].loc = loc
	t.rebuildLeaf(l)
	return true
}

func checkSizes(key, meta []byte) {
	if len(key) > keyBytesMax || len(meta) > metaBytesMax {
		panic("memindex: the key or the meta is too long")
	}
}

// keep copies a meta to where it outlives the change.
func (t *Table) keep(meta []byte) []byte { return t.before[:copy(t.before[:], meta)] }

// begin begins a change.
func (t *Table) begin() {
	t.limit = t.newest.Load()
	if t.limit >= t.gen {
		t.gen = t.limit + 1
	}
	if t.debt.Load() {
		t.reclaim(reclaimStep)
	}
}

// locate notes the path to the leaf that has the key if any has, and returns the leaf.
func (t *Table) locate(key []byte) leaf {
	r := t.root
	for level := range t.height {
		n := inner(t.arena.at(r))
		i := n.search(key)
		t.path[level] = step{r, int32(i)}
		r = n.child(i)
	}
	t.path[t.height].ref = r
	return leaf(t.arena.at(r))
}

func (t *Table) locateLast() leaf {
	r := t.root
	for level := range t.height {
		n := inner(t.arena.at(r))
		i := n.count() - 1
		t.path[level] = step{r, int32(i)}
		r = n.child(i)
	}
	t.path[t.height].ref = r
	return leaf(t.arena.at(r))
}

// ownPath makes the nodes of the path ones that no view sees. l is the leaf; it returns the one to change.
func (t *Table) ownPath(l leaf) leaf {
	if t.limit == 0 {
		return l
	}
	t.ownInner()
	if birthOf(l) > t.limit {
		return l
	}
	return leaf(t.own(t.height))
}

func (t *Table) ownInner() {
	for level := range t.height {
		if birthOf(t.arena.at(t.path[level].ref)) <= t.limit {
			t.own(level)
		}
	}
}

// own puts a copy in the place of a node of the path. That of the level above is already one to change.
func (t *Table) own(level int) []byte {
	old := t.path[level].ref
	b := t.arena.at(old)
	n := granulesOf(b)
	size := n << granuleShift
	r, c := t.alloc(size)
	if spare := granulesOf(c) - n; spare > 0 {
		// Else a node would grow with each generation.
		t.arena.release(r+ref(n), spare)
	}
	copy(c[:size], b)
	setBirth(c, t.gen)
	t.setRef(level, r)
	t.drop(old)
	return c
}

// setRef puts a node in the place of that of the path.
func (t *Table) setRef(level int, r ref) {
	if t.path[level].ref == r {
		return
	}
	t.path[level].ref = r
	if level == 0 {
		t.root = r
		return
	}
	up := t.path[level-1]
	inner(t.arena.at(up.ref)).setChild(int(up.at), r)
}

// alloc returns a node that is born now.
func (t *Table) alloc(size int) (ref, []byte) {
	for t.debt.Load() && t.arena.find(granulesFor(size)) == none {
		t.reclaim(reclaimStep)
	}
	r, n := t.arena.alloc(size)
	b := t.arena.at(r)
	setBirth(b, t.gen)
	setGranules(b, n)
	return r, b
}

// drop gives a node back that is in the tree no more: now, or when no view sees it.
func (t *Table) drop(r ref) {
	if t.version++; uint32(t.version) == 0 { // the next ones are another table's
		t.version = newVersion()
	}
	b := t.arena.at(r)
	if birthOf(b) <= t.limit && t.retire(r, birthOf(b)) {
		return
	}
	t.arena.release(r, granulesOf(b))
}
